"""PDU streams as no upper layer should send them, and which data sets they hold in full (PS3.8 section 9.3)."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN, MR_IMAGE_STORAGE
from tests.dimse.wire import DATA, association_request, data_pdu, pdu
from tests.fuzz.data_sets import PRIVATE, Offer, mutated_offer, plain_offer
from tests.fuzz.speaking import RELEASE_REQUEST, store_message

_ABORT = pdu(0x07, b"\0\0\0\0")
_HEAD = struct.Struct(">BxI")


class Ending(Enum):
    """How the sender leaves."""

    WAITS = "says no more, and listens to the end"
    CLOSES = "closes without listening"
    RESETS = "breaks off with a reset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What one sender says: its association request, then the rest, at once or after it was let in."""

    what: str
    request: bytes
    rest: bytes
    waits_to_be_let_in: bool
    ending: Ending
    pauses: tuple[int, ...]
    """Where in the rest a packet ends, so that the node sees a part of a PDU alone."""

    def whole_data_sets(self) -> list[bytes]:
        """Find the data sets that are there from the first to the last byte, by the framing alone."""
        return whole_data_sets(self.request + self.rest)


_Items = list[bytes]
_Change = Callable[[random.Random, _Items], _Items]


def mutated_stream(seed: str, called: bytes) -> Stream:
    """Make the stream of a seed."""
    chance = random.Random(seed)
    request, story = _request(chance, called)
    items: _Items = []
    for number in range(chance.choice((1, 1, 2, 3))):
        items += store_message(_offer(chance, f"{seed}/{number}"), chance.choice((100, 1000, 4000, 100_000)))
    for change in chance.sample(_CHANGES, chance.choice((0, 1, 1, 2))):
        items = change(chance, items)
        story.append(change.__name__)
    if chance.random() < 0.7:
        items.append(RELEASE_REQUEST)
    rest = b"".join(items)
    for damage in chance.sample(_DAMAGES, chance.choice((0, 0, 1))):
        rest = damage(chance, rest)
        story.append(damage.__name__)
    ending = chance.choice((Ending.WAITS, Ending.WAITS, Ending.WAITS, Ending.CLOSES, Ending.RESETS))
    return Stream(
        what=", ".join([*story, ending.value]),
        request=request,
        rest=rest,
        waits_to_be_let_in=chance.random() < 0.85,
        ending=ending,
        pauses=tuple(sorted(chance.sample(range(len(rest) + 1), min(len(rest), chance.choice((0, 0, 1, 3)))))),
    )


def whole_data_sets(stream: bytes) -> list[bytes]:
    """Read P-DATA-TF PDUs up to the first thing that is none, and collect the data sets that have an end."""
    whole, data, at = [], b"", 0
    while at + _HEAD.size <= len(stream):
        kind, length = _HEAD.unpack_from(stream, at)
        body = stream[at + _HEAD.size : at + _HEAD.size + length]
        at += _HEAD.size + length
        if kind != DATA:
            continue
        for control, fragment in _values(body):
            if control & 1:
                data = b""
                continue
            data += fragment
            if control & 2:
                whole.append(data)
                data = b""
    return whole


def _values(body: bytes) -> list[tuple[int, bytes]]:
    """Read the PDVs that lie in a body in full: message control header and fragment."""
    found, at = [], 0
    while at + 6 <= len(body):
        (length,) = struct.unpack_from(">I", body, at)
        if length < 2 or at + 4 + length > len(body):
            break
        found.append((body[at + 5], body[at + 6 : at + 4 + length]))
        at += 4 + length
    return found


def _offer(chance: random.Random, seed: str) -> Offer:
    return plain_offer(seed) if chance.random() < 0.8 else mutated_offer(seed)


def _request(chance: random.Random, called: bytes) -> tuple[bytes, list[str]]:
    """Ask to be let in: as one should, for what the node does not take, or with damage."""
    kind = chance.randrange(8)
    if kind == 0:
        return association_request(called=called, transfer_syntax=PRIVATE), ["private transfer syntax"]
    if kind == 1:
        return association_request(called=called, sop_class="1.2.840.10008.5.1.4.31"), ["another SOP class"]
    whole = association_request(called=called, sop_class=MR_IMAGE_STORAGE, transfer_syntax=EXPLICIT_LITTLE_ENDIAN)
    if kind == 2:
        damage = chance.choice(_DAMAGES)
        return damage(chance, whole), [f"request {damage.__name__}"]
    if kind == 3:
        field = chance.choice((2, 3, 6, 7, 74, 76, 77, *range(80, 120)))
        return whole[:field] + chance.randbytes(1) + whole[field + 1 :], [f"request byte {field}"]
    return whole, ["plain request"]


def _drop(chance: random.Random, items: _Items) -> _Items:
    del items[chance.randrange(len(items))]
    return items


def _repeat(chance: random.Random, items: _Items) -> _Items:
    items.insert(chance.randrange(len(items) + 1), chance.choice(items))
    return items


def _swap(chance: random.Random, items: _Items) -> _Items:
    first, second = chance.randrange(len(items)), chance.randrange(len(items))
    items[first], items[second] = items[second], items[first]
    return items


def _byte(chance: random.Random, items: _Items, place: int, values: tuple[int, ...]) -> _Items:
    at = chance.randrange(len(items))
    changed = bytearray(items[at])
    changed[min(place, len(changed) - 1)] = chance.choice(values)
    items[at] = bytes(changed)
    return items


def _other_kind(chance: random.Random, items: _Items) -> _Items:
    return _byte(chance, items, 0, (0, 1, 2, 3, 4, 5, 6, 7, 8, 0x16, 0xFF))


def _other_context(chance: random.Random, items: _Items) -> _Items:
    return _byte(chance, items, 10, (0, 2, 3, 5, 0xFF))


def _other_control(chance: random.Random, items: _Items) -> _Items:
    return _byte(chance, items, 11, (0, 1, 2, 3, 4, 0x80, 0xFF))


def _other_pdu_length(chance: random.Random, items: _Items) -> _Items:
    return _length(chance, items, 2)


def _other_pdv_length(chance: random.Random, items: _Items) -> _Items:
    return _length(chance, items, 6)


def _length(chance: random.Random, items: _Items, place: int) -> _Items:
    at = chance.randrange(len(items))
    true = int.from_bytes(items[at][place : place + 4], "big")
    lie = chance.choice((0, 1, 2, 5, true - 1, true + 1, true + 6, true * 2, 0x7FFF_FFFF, 0xFFFF_FFFF))
    items[at] = items[at][:place] + struct.pack(">I", lie & 0xFFFF_FFFF) + items[at][place + 4 :]
    return items


def _insert_abort(chance: random.Random, items: _Items) -> _Items:
    items.insert(chance.randrange(len(items) + 1), _ABORT)
    return items


def _insert_release(chance: random.Random, items: _Items) -> _Items:
    items.insert(chance.randrange(len(items) + 1), RELEASE_REQUEST)
    return items


def _insert_request(chance: random.Random, items: _Items) -> _Items:
    items.insert(chance.randrange(len(items) + 1), association_request())
    return items


def _insert_answer(chance: random.Random, items: _Items) -> _Items:
    items.insert(
        chance.randrange(len(items) + 1), pdu(chance.choice((2, 3, 6)), chance.randbytes(chance.choice((4, 80))))
    )
    return items


def _insert_command(chance: random.Random, items: _Items) -> _Items:
    """Begin another message in the middle of one: with noise, an unknown command, an empty or an endless one."""
    command = chance.choice((chance.randbytes(40), b"", _command_of(0x8001), _command_of(0x0FFF), _command_of(0x0020)))
    items.insert(chance.randrange(len(items) + 1), data_pdu(command, control=chance.choice((1, 3))))
    return items


def _insert_empty(chance: random.Random, items: _Items) -> _Items:
    """Send P-DATA with nothing in it, and fragments of no byte."""
    items.insert(chance.randrange(len(items) + 1), chance.choice((pdu(DATA, b""), data_pdu(b"", control=0))))
    return items


def _join(_chance: random.Random, items: _Items) -> _Items:
    """Put the fragments of all messages into one PDU."""
    return [pdu(DATA, b"".join(one[6:] for one in items))]


def _command_of(field: int) -> bytes:
    elements = (
        (0x0002, b"1.2.840.10008.1.1\0"),
        (0x0100, struct.pack("<H", field)),
        (0x0110, b"\1\0"),
        (0x0800, b"\1\1"),
    )
    encoded = b"".join(struct.pack("<HHI", 0, number, len(value)) + value for number, value in elements)
    return struct.pack("<HHII", 0, 0, 4, len(encoded)) + encoded


def _cut_short(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _cut_out(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + data[at + chance.randrange(1, 30) :]


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _time in range(chance.choice((1, 2, 10)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _insert_noise(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randrange(1, 40)) + data[at:]


_CHANGES: tuple[_Change, ...] = (
    *(_drop, _repeat, _swap, _other_kind, _other_context, _other_control, _other_pdu_length, _other_pdv_length),
    *(_insert_abort, _insert_release, _insert_request, _insert_answer, _insert_command, _insert_empty, _join),
)
_DAMAGES = (_cut_short, _cut_out, _flip, _insert_noise)
