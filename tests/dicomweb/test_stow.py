"""STOW-RS over a real ledger and spool (PS3.18 section 10.5)."""

import gzip
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from dicomnode.dicomweb.incoming_body import ExpansionLimit
from dicomnode.dicomweb.service import dicomweb_service
from dicomnode.domain.association import OfferedInstance
from dicomnode.journey.receive import IncomingInstance, Receiving
from tests.builders import PATIENT_NAME, a_series, uid, with_file_meta
from tests.conftest import FakeClock
from tests.dicomweb.sending import (
    BEGIN,
    BOUNDARY,
    END,
    FAILED,
    OTHER_FAILURES,
    PART_10,
    STORED,
    STUDIES,
    address,
    body,
    data_set_of,
    files,
    intake,
    is_untouched,
    post,
    post_gzip,
    quarantined,
    reasons,
    receiving,
    references,
    rows,
    service,
)
from tests.journey.bench import without_table
from tests.nodes import wait_until
from tests.web.holdings import HOST, Browser, Holdings, empty_holdings, encode, served

(ONE,) = a_series(slices=1, shape=(8, 6))
FILE = encode(ONE)


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(service(holdings))


@pytest.fixture(scope="module")
def empty(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holdings]:
    """Holdings for the tests of what is refused: they all leave nothing behind."""
    clock = FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    with empty_holdings(sqlite_template, tmp_path_factory.mktemp("stow"), clock) as holdings:
        yield holdings
        assert is_untouched(holdings)


def without(dataset: Dataset, keyword: str) -> Dataset:
    delattr(dataset, keyword)
    return dataset


def a_slice(study: str = "study") -> Dataset:
    return a_series(study=study, slices=1, shape=(8, 6))[0]


def test_one_instance_is_durable_recorded_and_told(holdings: Holdings, browser: Browser) -> None:
    response = post(browser, body([FILE]))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+json"
    where = address(ONE.StudyInstanceUID, ONE.SeriesInstanceUID, ONE.SOPInstanceUID)
    assert response.json() == {
        "00081190": {"vr": "UR", "Value": [f"{HOST}{STUDIES}/{ONE.StudyInstanceUID}"]},
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [ONE.SOPClassUID]},
                    "00081155": {"vr": "UI", "Value": [ONE.SOPInstanceUID]},
                    "00081190": {"vr": "UR", "Value": [where]},
                }
            ],
        },
    }
    (row,), (file,) = rows(holdings), files(holdings)
    assert file == holdings.spool.locate(row.path)
    assert (row.calling_ae, row.called_ae, row.peer_address) == ("STOW-RS", "DICOMNODE", "127.0.0.1")
    assert file.read_bytes().endswith(data_set_of(FILE))
    assert browser.get(where.removeprefix(HOST)).status_code == 200


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def test_the_data_set_stays_as_it_came(holdings: Holdings, browser: Browser, syntax: str) -> None:
    dataset = a_slice()
    if syntax == RLELossless:
        dataset.compress(RLELossless, generate_instance_uid=False)
    else:
        with_file_meta(dataset, syntax)  # type: ignore[arg-type]
    file = encode(dataset)
    assert post(browser, body([file])).status_code == 200
    (kept,) = files(holdings)
    assert kept.read_bytes().endswith(data_set_of(file))
    assert dcmread(kept).file_meta.TransferSyntaxUID == syntax


def test_instances_of_several_studies_come_in_one_body(holdings: Holdings, browser: Browser) -> None:
    datasets = [*a_series(slices=2, shape=(8, 6)), *a_series(study="second", slices=3, shape=(8, 6))]
    response = post(browser, body(map(encode, datasets)))
    assert response.status_code == 200
    assert references(response, STORED) == [dataset.SOPInstanceUID for dataset in datasets]
    assert response.json()["00081190"] == {"vr": "UR"}
    assert len(rows(holdings)) == len(files(holdings)) == 5


def test_two_hundred_small_parts(holdings: Holdings, browser: Browser) -> None:
    datasets = a_series(slices=200, shape=(2, 2))
    response = post(browser, body(map(encode, datasets)), f"{STUDIES}/{uid('study')}")
    assert response.status_code == 200
    assert references(response, STORED) == [dataset.SOPInstanceUID for dataset in datasets]
    assert len(rows(holdings)) == len(files(holdings)) == 200


def test_the_same_instance_again_is_stored_and_nothing_new(holdings: Holdings, browser: Browser) -> None:
    first, second = post(browser, body([FILE])), post(browser, body([FILE, FILE]))
    assert (first.status_code, second.status_code) == (200, 200)
    assert references(second, STORED) == [ONE.SOPInstanceUID] * 2
    assert len(rows(holdings)) == len(files(holdings)) == 1


def test_an_instance_of_another_study_is_refused_and_quarantined(holdings: Holdings, browser: Browser) -> None:
    response = post(browser, body([FILE]), f"{STUDIES}/{uid('other')}")
    assert response.status_code == 409
    assert references(response, FAILED) == [ONE.SOPInstanceUID]
    assert reasons(response) == [0xA900]
    assert response.json()["00081190"] == {"vr": "UR"}
    assert rows(holdings) == []
    (row,) = quarantined(holdings)
    assert (row.sop_instance_uid, row.calling_ae) == (ONE.SOPInstanceUID, "STOW-RS")
    assert files(holdings) == [holdings.spool.locate(row.path)]


def test_what_belongs_is_stored_beside_what_does_not(holdings: Holdings, browser: Browser) -> None:
    other = a_slice("other")
    response = post(browser, body([encode(other), FILE]), f"{STUDIES}/{uid('study')}")
    assert response.status_code == 202
    assert (references(response, STORED), references(response, FAILED)) == (
        [ONE.SOPInstanceUID],
        [other.SOPInstanceUID],
    )
    assert [row.sop_instance_uid for row in rows(holdings)] == [ONE.SOPInstanceUID]


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [("TransferSyntaxUID", "1.2.3.4", 0xC122), ("MediaStorageSOPClassUID", "1.2.3.4", 0x0122)],
)
def test_what_the_listener_would_not_negotiate_is_refused(
    empty: Holdings, keyword: str, value: str, reason: int
) -> None:
    dataset = a_slice()
    known = str(getattr(dataset.file_meta, keyword))
    strange = encode(dataset).replace(known.encode(), value.encode().ljust(len(known), b"\0"), 1)
    response = post(Browser(service(empty)), body([strange]))
    assert response.status_code == 409
    assert (references(response, FAILED), reasons(response)) == ([ONE.SOPInstanceUID], [reason])
    assert is_untouched(empty)


@pytest.mark.parametrize(
    "part",
    [
        FILE[128:],
        FILE[132:],
        b"",
        b"no DICOM at all",
        FILE[:200],
        FILE.replace(b"1.2.840.10008.5.1.4.1.1.4", b"1.2.840.10008.5.1.4.1.1.x", 1),
        FILE[:132] + b"\x02\x00\x02\x01OB\0\0" + (2**32 - 1).to_bytes(4, "little") + FILE[132:],
    ],
    ids=["no preamble", "no prefix", "empty", "text", "cut short", "no UID", "endless file meta"],
)
def test_a_part_that_is_no_part_10_file_is_told_without_a_uid(empty: Holdings, part: bytes) -> None:
    response = post(Browser(service(empty)), body([part]))
    assert response.status_code == 409
    assert (references(response, OTHER_FAILURES), reasons(response, OTHER_FAILURES)) == ([None], [0xC001])
    assert is_untouched(empty)


def test_a_part_that_is_no_part_10_file_does_not_hinder_the_others(holdings: Holdings, browser: Browser) -> None:
    response = post(browser, body([FILE[128:], FILE, b"no DICOM at all"]))
    assert response.status_code == 202
    assert references(response, STORED) == [ONE.SOPInstanceUID]
    assert reasons(response, OTHER_FAILURES) == [0xC001] * 2
    assert len(rows(holdings)) == 1


def test_a_part_of_another_type_is_refused(holdings: Holdings, browser: Browser) -> None:
    content = BEGIN.replace(b"application/dicom", b"text/plain") + FILE + b"\r\n" + body([FILE])
    response = post(browser, content)
    assert response.status_code == 202
    assert reasons(response, OTHER_FAILURES) == [0xC001]
    assert len(rows(holdings)) == 1


def test_a_data_set_that_cannot_be_placed_is_quarantined(
    holdings: Holdings, browser: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        response = post(browser, body([encode(without(a_slice(), "SeriesInstanceUID"))]))
    assert response.status_code == 409
    assert (references(response, FAILED), reasons(response)) == ([ONE.SOPInstanceUID], [0xC001])
    assert len(quarantined(holdings)) == len(files(holdings)) == 1
    assert PATIENT_NAME not in caplog.text + response.text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"--another\r\n\r\n" + FILE + b"\r\n--another--",
        f"--{BOUNDARY}--\r\n".encode(),
        f"--{BOUNDARY}\r\nno header\r\n\r\n".encode() + FILE + END,
        BEGIN,
        BEGIN + FILE,
        BEGIN + FILE[:-10],
        BEGIN + FILE + b"\r\n--" + BOUNDARY[:4].encode(),
    ],
    ids=["nothing", "wrong boundary", "no part", "broken header", "header only", "no end", "cut short", "half an end"],
)
def test_a_body_that_is_not_whole_is_refused_and_nothing_is_kept(empty: Holdings, content: bytes) -> None:
    response = post(Browser(service(empty)), content)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert is_untouched(empty)


def test_what_was_stored_before_the_body_broke_off_is_told(holdings: Holdings, browser: Browser) -> None:
    second = encode(a_slice("second"))
    response = post(browser, BEGIN + FILE + b"\r\n" + BEGIN + second[:-10])
    assert response.status_code == 202
    assert references(response, STORED) == [ONE.SOPInstanceUID]
    assert reasons(response, OTHER_FAILURES) == [0x0110]
    assert len(rows(holdings)) == len(files(holdings)) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/dicom"}, 415),
        ({"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}, 415),
        ({"Content-Type": f'multipart/related; type="application/dicom+xml"; boundary={BOUNDARY}'}, 415),
        ({"Content-Type": 'multipart/related; type="application/dicom"'}, 400),
        ({"Content-Type": PART_10 + 300 * "x"}, 400),
        ({"Content-Type": PART_10, "Content-Encoding": "br"}, 415),
        ({"Content-Type": PART_10, "Accept": "application/dicom+xml"}, 406),
    ],
)
def test_other_forms_are_refused(empty: Holdings, headers: dict[str, str], status: int) -> None:
    response = Browser(service(empty)).post(STUDIES, content=body([FILE]), headers=headers)
    assert response.status_code == status
    assert response.json()["help"]
    assert is_untouched(empty)


@pytest.mark.parametrize(
    "content_type",
    [
        f'multipart/related; boundary="{BOUNDARY}"',
        f"Multipart/Related;type=application/dicom;boundary={BOUNDARY}",
        f'multipart/related; boundary={BOUNDARY}; type="APPLICATION/DICOM"; start="<1>"',
    ],
)
def test_the_type_of_the_parts_may_be_written_in_many_ways(
    holdings: Holdings, browser: Browser, content_type: str
) -> None:
    headers = {"Content-Type": content_type, "Accept": "application/dicom+json"}
    assert browser.post(STUDIES, content=b"\r\n" + body([FILE]), headers=headers).status_code == 200
    assert len(rows(holdings)) == 1


def test_a_study_that_is_no_uid_is_refused(empty: Holdings) -> None:
    assert post(Browser(service(empty)), body([FILE]), f"{STUDIES}/not-a-uid").status_code == 400
    assert is_untouched(empty)


def test_a_node_that_does_not_receive_stores_nothing(empty: Holdings) -> None:
    browser = Browser(dicomweb_service(empty.archive))
    assert browser.post("/studies", content=body([FILE]), headers={"Content-Type": PART_10}).status_code == 405


def test_a_body_may_come_as_gzip(holdings: Holdings, browser: Browser) -> None:
    datasets = a_series(slices=3)
    response = post_gzip(browser, body(map(encode, datasets)))
    assert response.status_code == 200
    assert references(response, STORED) == [dataset.SOPInstanceUID for dataset in datasets]
    assert len(rows(holdings)) == 3


@pytest.mark.parametrize("damage", [lambda body: body[:-9], lambda body: b"x" + body], ids=["cut short", "no gzip"])
def test_damaged_gzip_is_refused(empty: Holdings, damage: Callable[[bytes], bytes]) -> None:
    # The last piece of a small gzip body comes only with its end, so nothing was stored before.
    response = post(Browser(service(empty)), damage(gzip.compress(BEGIN + FILE[:-100])), content_encoding="gzip")
    assert response.status_code == 400
    assert is_untouched(empty)


@pytest.mark.parametrize(
    "limit", [ExpansionLimit(size=2**20), ExpansionLimit(ratio=100, free=2**20)], ids=["size", "ratio"]
)
def test_a_gzip_bomb_is_refused_and_nothing_of_it_is_kept(empty: Holdings, limit: ExpansionLimit) -> None:
    browser = Browser(service(empty, replace(intake(receiving(empty)), expansion=limit)))
    response = post_gzip(browser, BEGIN + FILE + bytes(32 * 2**20) + END)
    assert response.status_code == 413
    assert response.json()["title"] == "ContentTooLarge"
    assert is_untouched(empty)


def test_without_room_in_the_spool_the_client_is_told_to_try_again(holdings: Holdings, browser: Browser) -> None:
    (holdings.spool.root / "incoming").rmdir()
    response = post(browser, body([FILE, b"no DICOM at all"]))
    assert response.status_code == 507
    assert response.json()["title"] == "SpoolFull"
    assert is_untouched(holdings)


def test_nothing_is_acknowledged_that_the_ledger_does_not_take(holdings: Holdings, browser: Browser) -> None:
    with without_table(holdings.ledger, "instance"):
        response = post(browser, body([FILE]))
    assert response.status_code == 503
    assert response.json()["title"] == "LedgerUnavailable"
    assert rows(holdings) == []
    assert post(browser, body([FILE])).status_code == 200


def test_when_the_room_ends_in_the_middle_each_instance_is_told(holdings: Holdings, browser: Browser) -> None:
    (large,) = a_series(study="large", slices=1, shape=(1024, 1024))

    async def content() -> AsyncIterator[bytes]:
        yield BEGIN + encode(large) + b"\r\n" + BEGIN
        (holdings.spool.root / "incoming").rmdir()
        yield FILE + END

    response = post(browser, content())
    assert response.status_code == 202
    assert (references(response, STORED), references(response, FAILED)) == (
        [large.SOPInstanceUID],
        [ONE.SOPInstanceUID],
    )
    assert reasons(response) == [0xA700]


def test_disk_and_ledger_are_not_used_on_the_thread_that_answers(holdings: Holdings) -> None:
    class Watched(Receiving):
        threads: ClassVar[set[threading.Thread]] = set()

        def open(self, offered: OfferedInstance) -> IncomingInstance:
            self.threads.add(threading.current_thread())
            return super().open(offered)

    watched = Watched(holdings.ledger, holdings.spool, holdings.clock)
    assert post(Browser(service(holdings, intake(watched))), body([FILE])).status_code == 200
    assert watched.threads
    assert threading.current_thread() not in watched.threads


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        (STUDIES, {}, 200),
        (f"{STUDIES}/{uid('study')}", {}, 200),
        (STUDIES, {"Origin": HOST}, 200),
        (STUDIES, {"Origin": "http://127.0.0.1:9999"}, 403),
        (STUDIES, {"Origin": "null"}, 403),
        (STUDIES, {"Sec-Fetch-Site": "cross-site"}, 403),
        (STUDIES, {"Sec-Fetch-Site": "none"}, 403),
        (STUDIES, {"Host": "node.example"}, 421),
        ("/studies", {}, 403),
    ],
)
def test_a_program_may_store_and_a_page_of_another_site_may_not(
    holdings: Holdings, path: str, headers: dict[str, str], status: int
) -> None:
    browser = Browser(holdings.app(intake=intake(receiving(holdings))))
    response = browser.post(path, content=body([FILE]), headers={"Content-Type": PART_10, **headers})
    assert response.status_code == status
    assert len(rows(holdings)) == (status == 200)


def test_a_large_part_is_never_in_memory(holdings: Holdings) -> None:
    size, piece = 64 * 2**20, bytes(range(256)) * 256
    header = a_slice()
    del header.PixelData
    pixels = b"\xe0\x7f\x10\x00OW\0\0" + size.to_bytes(4, "little")

    def content() -> Iterator[bytes]:
        yield BEGIN + encode(header) + pixels
        for _ in range(size // len(piece)):
            yield piece
        yield END

    with served(service(holdings)) as node:
        send = partial(httpx.post, f"{node}{STUDIES}", headers={"Content-Type": PART_10}, timeout=60, trust_env=False)
        assert send(content=body([encode(a_slice("first"))])).status_code == 200
        before = reset_peak_memory()
        response = send(content=content())
        grown = peak_memory() - before
    assert response.status_code == 200
    assert [row.size > size for row in rows(holdings)] == [False, True]
    assert grown < 24 * 2**20


def reset_peak_memory() -> int:
    """Begin to watch the memory of this process anew, and tell how much it is, in bytes."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def peak_memory() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def test_of_a_connection_that_breaks_nothing_half_is_kept(holdings: Holdings) -> None:
    first, second = encode(a_slice("first")), FILE + bytes(2 * 2**20)
    sent = BEGIN + first + b"\r\n" + BEGIN + second
    head = f"POST {STUDIES} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {PART_10}\r\nContent-Length: 9999999\r\n\r\n"
    with served(service(holdings)) as node:
        port = httpx.URL(node).port
        assert port is not None
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + sent)
            wait_until(lambda: files(holdings, "incoming"), 20, "the second file")
        wait_until(lambda: not files(holdings, "incoming"), 20, "the second file to go")
    assert [row.study_instance_uid for row in rows(holdings)] == [uid("first")]
    assert len(files(holdings)) == 1
