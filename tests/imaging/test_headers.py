import struct
import tempfile
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.study import InstanceHeader
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, TransferSyntaxUID
from dicomnode.imaging.headers import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    encode_file_meta,
    read_data_set,
    read_header,
)
from tests.builders import PATIENT_NAME, a_series, uid, with_file_meta

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
GROUP_LENGTH_END = 128 + 4 + 12


def _encode(dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> bytes:
    """Write a data set as a Part 10 file in memory."""
    with_file_meta(dataset, syntax)
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _data_set_of(part10: bytes) -> bytes:
    """Take the file meta information off, as a data set travels in a C-STORE."""
    (group_length,) = struct.unpack_from("<L", part10, GROUP_LENGTH_END - 4)
    return part10[GROUP_LENGTH_END + group_length :]


def _replace(content: bytes, keyword: str, written: bytes) -> bytes:
    """Write another value into one element of an Explicit VR Little Endian file, allowed or not."""
    element: object = pydicom.dcmread(BytesIO(content)).get_item(keyword)
    assert isinstance(element, RawDataElement)
    front = struct.pack("<HH2s", element.tag.group, element.tag.element, str(element.VR).encode())
    start = content.index(front + struct.pack("<H", element.length))
    return content[:start] + front + struct.pack("<H", len(written)) + written + content[start + 8 + element.length :]


def _offered(dataset: Dataset, syntax: str, calling_ae: str = "SCANNER") -> OfferedInstance:
    return OfferedInstance(
        sop_class_uid=SOPClassUID(dataset.SOPClassUID),
        sop_instance_uid=SOPInstanceUID(dataset.SOPInstanceUID),
        transfer_syntax_uid=TransferSyntaxUID(syntax),
        association=Association(
            calling_ae=AETitle(calling_ae), called_ae=AETitle("DICOMNODE"), peer_address="192.0.2.1"
        ),
    )


def _header(tmp_path: Path, content: bytes) -> InstanceHeader:
    file = tmp_path / "instance"
    file.write_bytes(content)
    return read_header(file)


def _with(tmp_path: Path, **attributes: Any) -> InstanceHeader:
    (dataset,) = a_series(slices=1, **attributes)
    return _header(tmp_path, _encode(dataset))


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_what_is_announced_and_what_arrives_make_a_file(tmp_path: Path, syntax: UID) -> None:
    (dataset,) = a_series(slices=1)
    file = tmp_path / "received.dcm"
    file.write_bytes(encode_file_meta(_offered(dataset, syntax)) + _data_set_of(_encode(dataset, syntax)))
    read = pydicom.dcmread(file)
    assert read.preamble == b"\0" * 128
    assert {element.keyword: element.value for element in read.file_meta} == {
        "FileMetaInformationGroupLength": len(file.read_bytes())
        - GROUP_LENGTH_END
        - len(_data_set_of(file.read_bytes())),
        "FileMetaInformationVersion": b"\0\1",
        "MediaStorageSOPClassUID": dataset.SOPClassUID,
        "MediaStorageSOPInstanceUID": dataset.SOPInstanceUID,
        "TransferSyntaxUID": syntax,
        "ImplementationClassUID": IMPLEMENTATION_CLASS_UID,
        "ImplementationVersionName": IMPLEMENTATION_VERSION_NAME,
    }
    assert read.PixelData == dataset.PixelData
    assert read_header(file).sop_instance_uid == dataset.SOPInstanceUID


@settings(deadline=None)
@given(
    instance=st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,10}){0,3}", fullmatch=True),
    calling_ae=st.from_regex(r"[A-Z][A-Z0-9_ ]{0,14}[A-Z]", fullmatch=True),
)
def test_the_announced_identifiers_are_written_as_they_came(instance: str, calling_ae: str) -> None:
    (dataset,) = a_series(slices=1)
    offered = _offered(dataset, ExplicitVRLittleEndian, calling_ae)
    odd = OfferedInstance(
        sop_class_uid=offered.sop_class_uid,
        sop_instance_uid=SOPInstanceUID(instance),
        transfer_syntax_uid=offered.transfer_syntax_uid,
        association=offered.association,
    )
    encoded = encode_file_meta(odd)
    assert len(encoded) % 2 == 0
    assert struct.unpack_from("<L", encoded, GROUP_LENGTH_END - 4) == (len(encoded) - GROUP_LENGTH_END,)
    meta = pydicom.dcmread(BytesIO(encoded), force=False).file_meta
    raw = meta.get_item("MediaStorageSOPInstanceUID")
    assert raw.value.rstrip(b"\0") == instance.encode()
    assert "SourceApplicationEntityTitle" not in meta


def test_the_implementation_is_named_by_valid_values() -> None:
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid
    assert len(IMPLEMENTATION_VERSION_NAME) <= 16


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_a_header_says_where_an_instance_belongs(tmp_path: Path, syntax: UID) -> None:
    (dataset,) = a_series(slices=1, PatientName="Müller^Änne", SeriesNumber=7, InstanceNumber=3)
    header = _header(tmp_path, _encode(dataset, syntax))
    assert header == InstanceHeader(
        study_instance_uid=dataset.StudyInstanceUID,
        series_instance_uid=dataset.SeriesInstanceUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        sop_class_uid=dataset.SOPClassUID,
        modality="MR",
        patient_id="T-0001",
        patient_name="Müller^Änne",
        accession_number="ACC-1",
        study_date="20260301",
        study_description="MR head",
        series_description="series",
        series_number=7,
        instance_number=3,
    )


def test_the_pixels_are_not_needed(tmp_path: Path) -> None:
    (dataset,) = a_series(slices=1)
    content = _encode(dataset)
    cut = content[: content.index(dataset.PixelData[:64])]
    assert _header(tmp_path, cut).sop_instance_uid == dataset.SOPInstanceUID


def test_only_the_front_of_a_deflated_data_set_is_inflated(tmp_path: Path) -> None:
    (dataset,) = a_series(slices=1)
    content = _encode(dataset, DeflatedExplicitVRLittleEndian)
    deflated = _data_set_of(content)
    front = zlib.decompress(deflated, -zlib.MAX_WBITS)
    front = front[: front.index(dataset.PixelData[:64])]
    compressor = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    bomb = compressor.compress(front)
    bomb += b"".join(compressor.compress(bytes(2**24)) for _ in range(16)) + compressor.flush()
    file = tmp_path / "bomb"
    file.write_bytes(content[: -len(deflated)] + bomb)
    tracemalloc.start()
    try:
        assert read_header(file).sop_instance_uid == dataset.SOPInstanceUID
        assert tracemalloc.get_traced_memory()[1] < 150 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("written", [b"", b"1.2.three ", b"1..2", b"1.2\\1.3 ", b"-1.2"])
def test_an_instance_without_its_place_is_refused(tmp_path: Path, keyword: str, written: bytes) -> None:
    (dataset,) = a_series(slices=1)
    with pytest.raises(MalformedInstance, match=keyword) as refused:
        _header(tmp_path, _replace(_encode(dataset), keyword, written))
    assert "Testperson" not in refused.value.reason


def test_an_instance_that_ends_inside_an_identifier_is_refused(tmp_path: Path) -> None:
    (dataset,) = a_series(slices=1)
    content = _encode(dataset)
    end = content.index(dataset.SeriesInstanceUID.encode()) + len(dataset.SeriesInstanceUID) - 4
    with pytest.raises(MalformedInstance, match="SeriesInstanceUID is missing, empty or cut short"):
        _header(tmp_path, content[:end])


def test_what_is_no_dicom_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"GIF89a" + bytes(200), b"\0" * 128 + b"DICM"):
        with pytest.raises(MalformedInstance):
            _header(tmp_path, content)
    with pytest.raises(MalformedInstance):
        read_header(tmp_path / "nowhere")


@pytest.mark.parametrize("charset", ["NO SUCH CHARSET", "ISO_IR 999", "utf8", "ISO-2022-JP", "", "hex"])
def test_a_broken_character_set_refuses_nothing(tmp_path: Path, charset: str) -> None:
    (dataset,) = a_series(slices=1)
    content = _encode(dataset).replace(b"ISO_IR 192", charset.encode().ljust(10)[:10])
    header = _header(tmp_path, content)
    assert header.sop_instance_uid == dataset.SOPInstanceUID
    assert header.modality == "MR"


@pytest.mark.parametrize(
    ("keyword", "field", "written", "expected"),
    [
        ("SeriesNumber", "series_number", b"x ", None),
        ("InstanceNumber", "instance_number", b"1.5 ", None),
        ("InstanceNumber", "instance_number", b"99999999999 ", None),
        ("InstanceNumber", "instance_number", b"+7", 7),
        ("StudyDate", "study_date", b"2026.03.01", "20260301"),
        ("StudyDate", "study_date", b"yesterday ", ""),
        ("Modality", "modality", b"A MODALITY TOO LONG ", ""),
        ("PatientID", "patient_id", b"T\0\x01-2\x1b ", "T-2"),
        ("StudyDescription", "study_description", b"a\\b ", "a\\b"),
        ("StudyDescription", "study_description", b"M\xfcller", "M�ller"),
    ],
)
def test_a_broken_value_refuses_nothing(
    tmp_path: Path, keyword: str, field: str, written: bytes, expected: object
) -> None:
    (dataset,) = a_series(slices=1)
    header = _header(tmp_path, _replace(_encode(dataset), keyword, written))
    assert getattr(header, field) == expected
    assert header.study_instance_uid == uid("study")


def test_optional_attributes_may_be_absent(tmp_path: Path) -> None:
    header = _with(
        tmp_path, SpecificCharacterSet=None, SeriesNumber=None, InstanceNumber=None, Modality=None, StudyDate=None
    )
    assert (header.series_number, header.instance_number, header.modality, header.study_date) == (None, None, "", "")


def test_a_data_set_is_read_up_to_the_pixels(tmp_path: Path) -> None:
    (dataset,) = a_series(slices=1)
    file = tmp_path / "instance"
    file.write_bytes(_encode(dataset))
    read = read_data_set(file)
    assert read.PixelSpacing == dataset.PixelSpacing
    assert "PixelData" not in read


def test_what_cannot_be_parsed_behind_the_identifiers_is_left_out(tmp_path: Path) -> None:
    (dataset,) = a_series(slices=1)
    content = _encode(dataset)
    place = content.index(struct.pack("<HH2s", 0x0028, 0x0002, b"US"))
    broken = struct.pack("<HH2sHLHHL", 0x0027, 0x1000, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 400
    file = tmp_path / "instance"
    file.write_bytes(content[:place] + broken)
    read = read_data_set(file)
    assert read.SeriesInstanceUID == dataset.SeriesInstanceUID
    assert "Rows" not in read
    assert read_header(file).sop_instance_uid == dataset.SOPInstanceUID


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _read_or_refuse(folder: Path, content: bytes) -> None:
    """Read a header and all attributes; whatever the bytes, there is an answer without a word of the patient."""
    file = folder / "instance"
    file.write_bytes(content)
    for read in (read_header, read_data_set):
        reason = _refusal(read, file)
        assert not any(word in reason for word in PATIENT_NAME.split("^"))


def _refusal(read: Callable[[Path], object], file: Path) -> str:
    """Give the whole report of a refusal, as a log would have it; empty when there is none."""
    try:
        read(file)
    except MalformedInstance as refused:
        return "".join(traceback.format_exception(refused))
    return ""


SAMPLES = tuple(_encode(a_series(slices=1, shape=(2, 2))[0], syntax) for syntax in SYNTAXES)
FUZZED = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FUZZED
@given(st.binary(max_size=2000), st.booleans())
def test_random_bytes_are_refused(folder: Path, content: bytes, has_preamble: bool) -> None:
    _read_or_refuse(folder, b"\0" * 128 + b"DICM" + content if has_preamble else content)


@FUZZED
@given(st.sampled_from(SAMPLES), st.integers(0, 2000))
def test_a_truncated_file_is_read_or_refused(folder: Path, sample: bytes, length: int) -> None:
    _read_or_refuse(folder, sample[:length])


@FUZZED
@given(
    st.sampled_from(SAMPLES),
    st.lists(st.tuples(st.integers(128, 1100), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_a_damaged_file_is_read_or_refused(folder: Path, sample: bytes, damages: list[tuple[int, int]]) -> None:
    content = bytearray(sample)
    for place, value in damages:
        content[place % len(content)] = value
    _read_or_refuse(folder, bytes(content))


@FUZZED
@given(st.sampled_from(SAMPLES), st.integers(128, 1100), st.binary(min_size=1, max_size=24))
def test_a_file_with_bytes_too_many_is_read_or_refused(folder: Path, sample: bytes, place: int, extra: bytes) -> None:
    _read_or_refuse(folder, sample[:place] + extra + sample[place:])


@pytest.mark.parametrize(
    "element",
    [
        struct.pack("<HH2sHLHHL", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 3000,
        struct.pack("<HH2sHL", 0x0008, 0x0005, b"UT", 0, 0xFFFFFFFE) + b"ISO_IR 100",
        struct.pack("<HH2sHL", 0x0008, 0x0005, b"SQ", 0, 0xFFFFFFFF),
        struct.pack("<HH2sH", 0x0008, 0x0005, b"US", 2) + b"\1\2",
        struct.pack("<HH2sH", 0x0008, 0x0005, b"FD", 2) + b"\1\2",
        struct.pack("<HH2sH", 0x0008, 0x0005, b"CS", 6) + b"ISO\0_\0",
        struct.pack("<HH2sHL", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFE),
    ],
    ids=[
        "deep",
        "endless text",
        "charset as sequence",
        "charset as number",
        "charset as half a number",
        "charset with NUL",
        "endless sequence",
    ],
)
def test_elements_made_to_break_a_reader_are_refused(folder: Path, element: bytes) -> None:
    sample = SAMPLES[1]
    start = len(sample) - len(_data_set_of(sample))
    _read_or_refuse(folder, sample[:start] + element + sample[start:])
