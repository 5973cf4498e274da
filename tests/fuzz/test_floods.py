"""Instances that are small to send and endless to read: their sender is answered, and nobody else waits for them."""

import struct
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from tests.dimse.instances import MR_IMAGE_STORAGE
from tests.fuzz.books import QUARANTINED
from tests.fuzz.conftest import Defects
from tests.fuzz.data_sets import DEFLATED, EXPLICIT, deflated_nothing, plain_offer
from tests.fuzz.speaking import Answer, Associations
from tests.fuzz.trials import Target

pytestmark = [pytest.mark.slow, pytest.mark.peer]

SIZE = 10_000_000
PATIENCE_SECONDS = 5.0
_SEQUENCE = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFF_FFFF)
_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
_OPEN_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFF_FFFF) + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
_PRIVATE = b"".join(struct.pack("<HH2sH", 0x0009, number, b"LO", 0) for number in range(0x1000, 0x10000))
FLOODS = {
    "empty items": (EXPLICIT, _SEQUENCE + _ITEM * (SIZE // 8) + _END),
    "items without length": (EXPLICIT, _SEQUENCE + _OPEN_ITEM * (SIZE // 16) + _END),
    "items in items": (EXPLICIT, (_SEQUENCE + _OPEN_ITEM[:8]) * (SIZE // 20)),
    "empty elements": (EXPLICIT, _PRIVATE * (SIZE // len(_PRIVATE))),
    "nothing": (EXPLICIT, bytes(SIZE)),
    "nothing, deflated": (DEFLATED, deflated_nothing(64) + b"\3\0"),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_nobody_waits_for_a_flood(target: Target, defects: Defects, associations: Associations, flood: str) -> None:
    syntax, front = FLOODS[flood]
    plain = plain_offer(flood)
    offer = replace(plain, transfer_syntax=syntax, data_set=front if syntax == DEFLATED else front + plain.data_set)
    target.books.note_sent(offer.data_set)
    with ThreadPoolExecutor() as beside, closing(Associations(port=target.dicom_port, title=target.title)) as others:
        flooded = beside.submit(associations.store, offer, MR_IMAGE_STORAGE)
        waited: list[float] = []
        while not flooded.done():
            begun = time.monotonic()
            assert try_next(target, others, f"{flood} {len(waited)}").status == 0
            waited.append(time.monotonic() - begun)
    answer = flooded.result()
    news = target.books.news()
    assert answer is not None
    assert (answer.status in QUARANTINED) == (offer.data_set in [data for _uid, data in news.quarantined])
    assert (answer.status == 0) == (offer.data_set in [data for _uid, data in news.stored])
    assert max(waited, default=0) < PATIENCE_SECONDS
    assert defects.found == []


def try_next(target: Target, others: Associations, seed: str) -> Answer:
    """Send a plain instance beside the flood."""
    offer = plain_offer(seed)
    target.books.note_sent(offer.data_set)
    answer = others.store(offer, MR_IMAGE_STORAGE)
    assert answer is not None
    return answer
