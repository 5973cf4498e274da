"""STOW-RS with headers in the DICOM JSON Model and bulk data beside them (PS3.18 section 10.5.1.4)."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomnode.dicomweb import instance_parts
from tests.builders import PATIENT_NAME, a_series, uid
from tests.dicomweb.sending import (
    BOUNDARY,
    END,
    OTHER_FAILURES,
    STORED,
    STUDIES,
    files,
    is_untouched,
    post,
    quarantined,
    reasons,
    references,
    rows,
    service,
)
from tests.web.holdings import Browser, Holdings, encode

METADATA = f'multipart/related; type="application/dicom+json"; boundary={BOUNDARY}'
OCTETS = "application/octet-stream"


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(service(holdings))


def header(dataset: Dataset, uri: str) -> dict[str, Any]:
    found: dict[str, Any] = dataset.to_json_dict(1024, lambda _element: uri)
    found["7FE00010"] = {"vr": "OW", "BulkDataURI": uri}
    return found


def part(content: bytes, **headers: str) -> bytes:
    lines = [f"--{BOUNDARY}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode() + content + b"\r\n"


def headers_part(headers: object) -> bytes:
    return part(json.dumps(headers).encode(), Content_Type="application/dicom+json")


def bulk_part(uri: str, content: bytes, kind: str = OCTETS) -> bytes:
    return part(content, Content_Type=kind, Content_Location=uri)


def whole(*parts: bytes) -> bytes:
    return b"".join(parts).removesuffix(b"\r\n") + END


def send(browser: Browser, content: bytes, path: str = STUDIES) -> Any:
    return post(browser, content, path, Content_Type=METADATA)


@pytest.mark.parametrize("bulk_first", [False, True])
def test_instances_are_put_together_of_headers_and_bulk_data(
    holdings: Holdings, browser: Browser, bulk_first: bool
) -> None:
    datasets = a_series(slices=2, PatientName="Äußerst^Öde")
    pixels = [bulk_part(f"pixels/{index}", one.PixelData) for index, one in enumerate(datasets)]
    headers = headers_part([header(one, f"pixels/{index}") for index, one in enumerate(datasets)])
    content = whole(*pixels, headers) if bulk_first else whole(headers, *pixels)
    response = send(browser, content, f"{STUDIES}/{uid('study')}")
    assert response.status_code == 200
    assert references(response, STORED) == [dataset.SOPInstanceUID for dataset in datasets]
    for row, dataset in zip(rows(holdings), datasets, strict=True):
        kept = dcmread(holdings.spool.locate(row.path))
        assert kept == dcmread(BytesIO(encode(dataset)))
        assert kept.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert np.array_equal(kept.pixel_array, dataset.pixel_array)


def test_what_the_node_tells_of_an_instance_can_be_stored_again(holdings: Holdings, browser: Browser) -> None:
    (dataset,) = holdings.receive(a_series(slices=1))
    place = f"{STUDIES}/{uid('study')}/series/{uid('study', 'series')}"
    headers = browser.get(f"{place}/metadata").json()
    (uri,) = (one["7FE00010"]["BulkDataURI"] for one in headers)
    response = send(browser, whole(headers_part(headers), bulk_part(uri, dataset.PixelData)))
    assert response.status_code == 200
    assert {dcmread(file) == dataset for file in files(holdings)} == {True}


@pytest.mark.parametrize("change", [{"00080018": None}, {"00280010": {"vr": "US", "Value": ["many"]}}, {"x": {}}])
def test_a_header_that_makes_no_instance_is_told(
    holdings: Holdings, browser: Browser, change: Mapping[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    first, second = a_series(slices=2)
    broken = {tag: element for tag, element in {**header(first, "a"), **change}.items() if element is not None}
    content = whole(
        headers_part([broken, header(second, "b")]), bulk_part("a", first.PixelData), bulk_part("b", second.PixelData)
    )
    response = send(browser, content)
    assert response.status_code == 202
    assert references(response, STORED) == [second.SOPInstanceUID]
    assert reasons(response, OTHER_FAILURES) == [0xC001]
    assert PATIENT_NAME not in caplog.text


def test_bulk_data_that_did_not_come_is_not_replaced_by_nothing(holdings: Holdings, browser: Browser) -> None:
    (dataset,) = a_series(slices=1)
    response = send(browser, whole(headers_part([header(dataset, "a")]), bulk_part("b", dataset.PixelData)))
    assert response.status_code == 409
    assert is_untouched(holdings)


def test_an_instance_that_cannot_be_placed_is_quarantined(holdings: Holdings, browser: Browser) -> None:
    (dataset,) = a_series(slices=1)
    del dataset.StudyInstanceUID
    response = send(browser, whole(headers_part(header(dataset, "a")), bulk_part("a", dataset.PixelData)))
    assert response.status_code == 409
    assert reasons(response) == [0xC001]
    assert len(quarantined(holdings)) == 1


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ((part(b"{", Content_Type="application/dicom+json"),), 400),
        ((headers_part([1]),), 400),
        ((headers_part([]),), 400),
        ((headers_part([]), part(b"pixels", Content_Type=OCTETS)), 400),
        ((headers_part([]), bulk_part("a", b"pixels", "image/jpeg")), 415),
        ((headers_part([]), bulk_part("a", b"pixels", f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.5")), 415),
    ],
)
def test_what_is_of_no_such_form_is_refused(
    holdings: Holdings, browser: Browser, parts: tuple[bytes, ...], status: int
) -> None:
    assert send(browser, whole(*parts)).status_code == status
    assert is_untouched(holdings)


def test_more_than_fits_into_memory_is_refused(
    holdings: Holdings, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_parts, "_MOST_HEADER_BYTES", 1000)
    (dataset,) = a_series(slices=1)
    content = whole(headers_part([header(dataset, "a")]), bulk_part("a", dataset.PixelData))
    assert send(browser, content).status_code == 413
    assert is_untouched(holdings)
