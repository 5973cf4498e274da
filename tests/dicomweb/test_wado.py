"""WADO-RS over a real ledger and spool, held against pydicom (PS3.18 section 10.4)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.message import Message
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import ImplicitVRLittleEndian, RLELossless
from starlette.applications import Starlette
from starlette.routing import Mount

from dicomnode.dicomweb.multipart import take_apart
from dicomnode.dicomweb.service import dicomweb_service
from tests.builders import a_series, uid
from tests.conftest import FakeClock
from tests.web.holdings import Browser, Holdings, empty_holdings, encode

OCTETS = 'multipart/related; type="application/octet-stream"'
DICOM = 'multipart/related; type="application/dicom"'
AS_STORED = "; transfer-syntax=*"
SERIES = f"/dicom-web/studies/{uid('study')}/series/{uid('study', 'series')}"


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(Starlette(routes=[Mount("/dicom-web", dicomweb_service(holdings.archive))]))


@pytest.fixture(scope="module")
def two_slices(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser before a series of two slices; the tests only read."""
    clock = FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    with empty_holdings(sqlite_template, tmp_path_factory.mktemp("wado"), clock) as holdings:
        holdings.receive(a_series(slices=2))
        yield Browser(Starlette(routes=[Mount("/dicom-web", dicomweb_service(holdings.archive))]))


def get(browser: Browser, path: str, accept: str = "*/*") -> httpx.Response:
    response = browser.get(path, headers={"Accept": accept})
    assert response.status_code == 200, response.text
    return response


def parts(response: httpx.Response) -> list[bytes]:
    return take_apart(response.headers["content-type"], response.content)


def part_types(response: httpx.Response) -> list[str]:
    lines = response.content.split(b"\r\n")
    return [line.decode() for line in lines if line.startswith(b"Content-Type: ")]


def two_frames() -> tuple[Dataset, np.ndarray]:
    voxels = np.arange(2 * 32 * 24, dtype=np.uint16).reshape(2, 32, 24)
    dataset = a_series(slices=1)[0]
    dataset.NumberOfFrames, dataset.PixelData = 2, voxels.tobytes()
    return dataset, voxels


def compressed(datasets: Sequence[Dataset]) -> Sequence[Dataset]:
    for dataset in datasets:
        dataset.compress(RLELossless, generate_instance_uid=False)
    return datasets


def test_the_metadata_of_a_series_is_every_header(holdings: Holdings, browser: Browser) -> None:
    datasets = holdings.receive(a_series())
    response = get(browser, f"{SERIES}/metadata", "application/dicom+json")
    assert response.headers["content-type"] == "application/dicom+json"
    assert "private" in response.headers["cache-control"]
    headers = response.json()
    assert len(headers) == len(datasets)
    for header, dataset in zip(headers, datasets, strict=True):
        address = header.pop("7FE00010")["BulkDataURI"]
        assert address == f"{SERIES}/instances/{dataset.SOPInstanceUID}/bulkdata/7FE00010"
        del dataset.PixelData
        assert Dataset.from_json(header) == dataset


def test_metadata_of_a_study_and_of_one_instance(holdings: Holdings, browser: Browser) -> None:
    holdings.receive([*a_series(slices=3), *a_series(series="second", slices=2)])
    assert len(get(browser, f"/dicom-web/studies/{uid('study')}/metadata").json()) == 5
    one = uid("study", "series", "1")
    (header,) = get(browser, f"{SERIES}/instances/{one}/metadata").json()
    assert header["00080018"]["Value"] == [one]


def test_an_instance_is_the_file_that_was_stored(holdings: Holdings, browser: Browser) -> None:
    dataset = holdings.receive(compressed(a_series(slices=1)))[0]
    response = get(browser, f"{SERIES}/instances/{dataset.SOPInstanceUID}", DICOM + AS_STORED)
    message = Message()
    message["Content-Type"] = response.headers["content-type"]
    assert message.get_param("type") == "application/dicom"
    assert "immutable" in response.headers["cache-control"]
    assert parts(response) == [encode(dataset)]


def test_an_instance_comes_uncompressed_unless_the_client_says_otherwise(holdings: Holdings, browser: Browser) -> None:
    dataset = holdings.receive(compressed(a_series(slices=1)))[0]
    (file,) = parts(get(browser, f"{SERIES}/instances/{dataset.SOPInstanceUID}", DICOM))
    again = dcmread(BytesIO(file))
    assert again.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert again.SOPInstanceUID == dataset.SOPInstanceUID
    assert np.array_equal(again.pixel_array, dataset.pixel_array)


def test_a_series_and_a_study_come_whole(holdings: Holdings, browser: Browser) -> None:
    first, second = holdings.receive(a_series(slices=3)), holdings.receive(a_series(series="second", slices=2))
    assert parts(get(browser, SERIES, DICOM)) == [encode(dataset) for dataset in first]
    whole = parts(get(browser, f"/dicom-web/studies/{uid('study')}", DICOM))
    assert sorted(whole) == sorted(encode(dataset) for dataset in (*first, *second))


@pytest.mark.parametrize("accept", ["*/*", OCTETS, "multipart/related; type=application/octet-stream"])
def test_frames_are_little_endian_unless_the_client_says_otherwise(
    holdings: Holdings, browser: Browser, accept: str
) -> None:
    dataset, voxels = two_frames()
    holdings.receive(compressed([dataset]))
    response = get(browser, f"{SERIES}/instances/{dataset.SOPInstanceUID}/frames/2,1", accept)
    assert part_types(response) == ["Content-Type: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"] * 2
    assert parts(response) == [voxels[1].tobytes(), voxels[0].tobytes()]


def test_frames_come_as_stored_for_who_asks_so(holdings: Holdings, browser: Browser) -> None:
    dataset, _voxels = two_frames()
    holdings.receive(compressed([dataset]))
    response = get(browser, f"{SERIES}/instances/{dataset.SOPInstanceUID}/frames/1", OCTETS + AS_STORED)
    assert part_types(response) == [f"Content-Type: application/octet-stream; transfer-syntax={RLELossless}"]
    assert parts(response) == [next(iter(generate_frames(dataset.PixelData, number_of_frames=2)))]


def test_frames_in_an_implicit_file_are_told_as_explicit_little_endian(holdings: Holdings, browser: Browser) -> None:
    dataset, voxels = two_frames()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    holdings.receive([dataset])
    response = get(browser, f"{SERIES}/instances/{dataset.SOPInstanceUID}/frames/2", OCTETS + AS_STORED)
    assert part_types(response)[0].endswith("transfer-syntax=1.2.840.10008.1.2.1")
    assert parts(response) == [voxels[1].tobytes()]


def test_the_address_in_the_metadata_leads_to_the_pixels(holdings: Holdings, browser: Browser) -> None:
    dataset, voxels = two_frames()
    holdings.receive([dataset])
    (header,) = get(browser, f"{SERIES}/metadata").json()
    assert parts(get(browser, header["7FE00010"]["BulkDataURI"])) == [voxels.tobytes()]


def test_compressed_bulk_pixels_come_frame_by_frame_as_stored_and_in_one_part_decoded(
    holdings: Holdings, browser: Browser
) -> None:
    dataset, voxels = two_frames()
    holdings.receive(compressed([dataset]))
    (header,) = get(browser, f"{SERIES}/metadata").json()
    stored = list(generate_frames(dataset.PixelData, number_of_frames=2))
    assert parts(get(browser, header["7FE00010"]["BulkDataURI"], OCTETS + AS_STORED)) == stored
    assert parts(get(browser, header["7FE00010"]["BulkDataURI"])) == [voxels.tobytes()]


def test_other_long_values_can_be_had_at_their_address(holdings: Holdings, browser: Browser) -> None:
    dataset = a_series(slices=1)[0]
    dataset.private_block(0x0029, "MAKER", create=True).add_new(0x10, "OB", bytes(range(256)) * 8)
    holdings.receive([dataset])
    (header,) = get(browser, f"{SERIES}/metadata").json()
    assert parts(get(browser, header["00291010"]["BulkDataURI"])) == [bytes(range(256)) * 8]


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        (f"{SERIES}/instances/1.2.3", "*/*", 404),
        (f"{SERIES}/instances/{uid('study', 'series', '0')}/frames/2", "*/*", 404),
        (f"{SERIES}/instances/{uid('study', 'series', '0')}/frames/1,2", "*/*", 404),
        (f"{SERIES}/instances/{uid('study', 'series', '0')}/frames/0", "*/*", 400),
        (f"{SERIES}/instances/{uid('study', 'series', '0')}/frames/x", "*/*", 400),
        (f"{SERIES}/instances/{uid('study', 'series', '0')}/frames/1", "image/jpeg", 406),
        (f"{SERIES}/instances/{uid('study', 'series', '0')}/frames/1", f"{OCTETS}; transfer-syntax=1.2.3", 406),
        (f"{SERIES}/instances/{uid('study', 'series', '0')}/bulkdata/00291010", "*/*", 404),
        (f"{SERIES}/instances/{uid('study', 'series', '0')}", "application/json", 406),
        (f"/dicom-web/studies/{uid('study')}/series/1.2.3", "*/*", 404),
        (f"/dicom-web/studies/1.2.3/series/{uid('study', 'series')}/metadata", "*/*", 404),
        (f"/dicom-web/studies/1.2.3/series/1.2/instances/{uid('study', 'series', '0')}/metadata", "*/*", 404),
        (f"{SERIES}/metadata", "text/html", 406),
        ("/dicom-web/studies/not-a-uid/metadata", "*/*", 400),
        ("/dicom-web/rendered", "*/*", 404),
    ],
)
def test_what_cannot_be_given_is_refused_with_reason_and_advice(
    two_slices: Browser, path: str, accept: str, status: int
) -> None:
    response = two_slices.get(path, headers={"Accept": accept})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert problem["help"]


def test_nothing_but_reading_is_offered(browser: Browser) -> None:
    assert browser.post("/dicom-web/studies").status_code == 405


def test_an_instance_whose_file_is_gone_is_not_there(holdings: Holdings, browser: Browser) -> None:
    dataset = holdings.receive(a_series(slices=1))[0]
    (stored,) = holdings.archive.instances(uid("study"))  # type: ignore[arg-type]
    holdings.spool.locate(stored.path).unlink()
    response = browser.get(f"{SERIES}/instances/{dataset.SOPInstanceUID}", headers={"Accept": DICOM})
    assert response.status_code == 404
    assert "gone" in response.json()["detail"]
