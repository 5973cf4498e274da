"""The quick walk over a header reads what pydicom reads, or leaves it to pydicom."""

import time
import zipfile
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.study import InstanceHeader
from dicomnode.imaging import headers
from dicomnode.imaging.header_scan import scan_header
from tests.builders import T2, a_series, with_file_meta
from tests.nodes import BRAIN


def _encoded(dataset: Dataset, syntax: pydicom.uid.UID = ExplicitVRLittleEndian) -> bytes:
    buffer = BytesIO()
    with_file_meta(dataset, syntax).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _by_pydicom(path: Path) -> InstanceHeader | None:
    try:
        return headers._parsed_header(path)
    except MalformedInstance:
        return None


def _read(path: Path) -> InstanceHeader | None:
    try:
        return headers.read_header(path)
    except MalformedInstance:
        return None


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_plain_header_is_read_without_pydicom(
    tmp_path: Path, syntax: pydicom.uid.UID, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = a_series(slices=2, SeriesNumber=7, **T2)[1]
    (tmp_path / "one.dcm").write_bytes(_encoded(dataset, syntax))
    expected = headers._parsed_header(tmp_path / "one.dcm")
    monkeypatch.delattr(headers, "_parsed_header")
    assert headers.read_header(tmp_path / "one.dcm") == expected
    assert expected.series_number == 7
    assert expected.instance_number == 2
    assert expected.patient_name == "Testperson^Tilda"


TEXT = st.text(st.characters(codec="utf-8"), max_size=24)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.fixed_dictionaries(
        {},
        optional={
            "PatientName": TEXT,
            "PatientID": TEXT,
            "AccessionNumber": TEXT.map(lambda text: text[:8]),
            "StudyDescription": TEXT,
            "SeriesDescription": TEXT,
            "Modality": st.sampled_from(["MR", "CT", "", "A TITLE THAT IS TOO LONG"]),
        },
    ),
    numbers=st.tuples(st.sampled_from([b"1 ", b"", b"-3", b"2.5 ", b"x", b"1\\2", b"99999999999"]), st.booleans()),
    charset=st.sampled_from(["", "ISO_IR 100", "ISO_IR 192", "ISO_IR 144", "ISO 2022 IR 87"]),
    explicit=st.booleans(),
)
@pytest.mark.filterwarnings("ignore")
def test_it_never_reads_otherwise_than_pydicom(
    tmp_path: Path, values: dict[str, str], numbers: tuple[bytes, bool], charset: str, explicit: bool
) -> None:
    dataset = a_series(slices=1)[0]
    for keyword, value in values.items():
        dataset.add(pydicom.DataElement(keyword, dataset[keyword].VR, value, validation_mode=0))
    dataset.SpecificCharacterSet = charset
    try:
        data = _encoded(dataset, ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian)
    except (UnicodeError, ValueError, LookupError):
        return
    placed = b"\x20\x00\x11\x00IS\x02\x001 " if explicit else b"\x20\x00\x11\x00\x02\x00\x00\x001 "
    number, replaced = numbers
    if replaced and placed in data:
        padded = number + b" " * (len(number) % 2)
        length = len(padded).to_bytes(2 if explicit else 4, "little")
        data = data.replace(placed, placed[: 6 if explicit else 4] + length + padded)
    path = tmp_path / "any.dcm"
    path.write_bytes(data)
    assert _read(path) == _by_pydicom(path)


def _with_sequences() -> Dataset:
    """Sequences in front of the identifiers, of both kinds of length, in items of both kinds, one in another."""
    (dataset,) = a_series(slices=1, **T2)
    for keyword, is_delimited in (("ReferencedStudySequence", True), ("ReferencedImageSequence", False)):
        items = []
        for number in range(3):
            code = Dataset()
            code.CodeValue = "1" * number
            item = Dataset()
            item.ReferencedSOPInstanceUID = f"1.2.{number}"
            item.PurposeOfReferenceCodeSequence = [code]
            item["PurposeOfReferenceCodeSequence"].is_undefined_length = number == 1
            item.is_undefined_length_sequence_item = number != 2
            items.append(item)
        setattr(dataset, keyword, items)
        dataset[keyword].is_undefined_length = is_delimited
    return dataset


DAMAGED = [_encoded(a_series(slices=1, **T2)[0]), _encoded(_with_sequences())]


def test_sequences_without_a_length_are_passed_over_without_pydicom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.dcm").write_bytes(DAMAGED[1])
    expected = headers._parsed_header(tmp_path / "one.dcm")
    monkeypatch.delattr(headers, "_parsed_header")
    assert headers.read_header(tmp_path / "one.dcm") == expected
    assert b"\x08\x00\x10\x11SQ\0\0\xff\xff\xff\xff" in DAMAGED[1]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.sampled_from(DAMAGED),
    flips=st.lists(st.tuples(st.integers(0, 900), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 2000),
)
def test_damage_is_judged_by_pydicom(tmp_path: Path, whole: bytes, flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(whole)
    for place, value in flips:
        data[132 + place] = value
    path = tmp_path / "damaged.dcm"
    path.write_bytes(data[: len(data) - cut])
    scanned, parsed = _read(path), _by_pydicom(path)
    assert scanned == parsed or parsed is None


@given(
    st.binary(max_size=300), st.sampled_from([ExplicitVRLittleEndian, ImplicitVRLittleEndian, "1.2.840.10008.1.2.2"])
)
def test_any_bytes_are_survived(data: bytes, syntax: str) -> None:
    found = scan_header(memoryview(data), syntax)
    assert found is None or isinstance(found, dict)


def test_it_is_quick(tmp_path: Path) -> None:
    with zipfile.ZipFile(BRAIN / "t2_fse_ax.zip") as archive:
        path = Path(archive.extract(archive.namelist()[0], tmp_path))
    begun = time.perf_counter()
    for _ in range(200):
        headers.read_header(path)
    scanned = time.perf_counter() - begun
    begun = time.perf_counter()
    for _ in range(200):
        headers._parsed_header(path)
    assert scanned < 0.6 * (time.perf_counter() - begun)


@pytest.mark.shared_data
def test_every_real_instance_reads_as_pydicom_reads_it(shared_data: Path, tmp_path: Path) -> None:
    compared = 0
    for path in sorted((shared_data / "dicom").rglob("*")):
        files = [path] if path.is_file() else []
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                files = [Path(archive.extract(name, tmp_path / path.stem)) for name in archive.namelist()[:2]]
        for file in files:
            if file.stat().st_size > 200:
                assert _read(file) == _by_pydicom(file), file.name
                compared += 1
    assert compared > 300
