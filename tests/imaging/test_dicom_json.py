"""Headers in the DICOM JSON Model, held against pydicom."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicomnode.domain.errors import InvalidValue, MalformedInstance, NotInLedger
from dicomnode.imaging.dicom_json import in_utf_8, read_json, read_value, tag_of
from tests.builders import a_series, write_series


def a_file(folder: Path, **attributes: Any) -> Path:
    return write_series(folder, a_series(slices=1, **attributes))[0]


def test_a_header_says_what_pydicom_reads(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    truth = dcmread(file)
    header = read_json(file)
    again = Dataset.from_json({tag: value for tag, value in header.items() if "BulkDataURI" not in value})
    del truth.PixelData
    assert again == truth


def test_pixel_data_is_an_address_relative_to_the_series(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    uid = dcmread(file).SOPInstanceUID
    assert read_json(file)["7FE00010"] == {"vr": "OW", "BulkDataURI": f"instances/{uid}/bulkdata/7FE00010"}


def test_a_long_binary_value_is_an_address_and_a_short_one_stands_inline(tmp_path: Path) -> None:
    dataset = a_series(slices=1)[0]
    block = dataset.private_block(0x0029, "MAKER", create=True)
    block.add_new(0x10, "OB", b"\x01\x02" * 4000)
    block.add_new(0x11, "OB", b"\x01\x02")
    file = write_series(tmp_path, [dataset])[0]
    header = read_json(file)
    assert header["00291010"]["BulkDataURI"].endswith("/bulkdata/00291010")
    assert base64.b64decode(header["00291011"]["InlineBinary"]) == b"\x01\x02"
    assert read_value(file, "00291010") == b"\x01\x02" * 4000


def test_the_texts_are_utf_8_whatever_the_file_was(tmp_path: Path) -> None:
    header = read_json(a_file(tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Ödegård^Åsa"))
    assert header["00100010"]["Value"] == [{"Alphabetic": "Ödegård^Åsa"}]
    assert header["00080005"]["Value"] == ["ISO_IR 100"]
    assert in_utf_8(header) == {**header, "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}
    assert in_utf_8({"00100020": {"vr": "LO"}}) == {"00100020": {"vr": "LO"}}


def test_an_item_in_another_character_set_is_read_in_its_own(tmp_path: Path) -> None:
    item, plain = Dataset(), Dataset()
    item.SpecificCharacterSet, item.PatientName = ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"
    item.PatientComments, plain.PatientComments = "やまだ", "plain"
    (dataset,) = a_series(slices=1, SpecificCharacterSet="ISO_IR 100", ReferencedPatientPhotoSequence=[item, plain])
    first, second = read_json(write_series(tmp_path, [dataset])[0])["00101100"]["Value"]
    assert first["00100010"]["Value"] == [{"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}]
    assert (first["00104000"]["Value"], second["00104000"]["Value"]) == (["やまだ"], ["plain"])


def test_a_broken_value_does_not_hide_the_others(tmp_path: Path) -> None:
    dataset = a_series(slices=1)[0]
    file = write_series(tmp_path, [dataset])[0]
    # Two bytes as an invalid decimal string, in the place of SliceThickness (0018,0050).
    data = file.read_bytes().replace(b"\x18\x00\x50\x00DS\x04\x003.0 ", b"\x18\x00\x50\x00DS\x04\x00a.b ")
    file.write_bytes(data)
    header = read_json(file)
    assert header["00180050"] == {"vr": "UN", "InlineBinary": base64.b64encode(b"a.b ").decode()}
    assert header["00200013"]["Value"] == [1]


def test_what_is_no_number_is_spelled_so_that_the_json_is_valid(tmp_path: Path) -> None:
    header = read_json(a_file(tmp_path, RealWorldValueSlope=float("nan")))
    assert header["00409225"]["Value"] == ["nan"]
    json.dumps(header, allow_nan=False)


def test_what_cannot_be_parsed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.dcm").write_bytes(b"\0" * 200)
    with pytest.raises(MalformedInstance):
        read_json(tmp_path / "no.dcm")


def test_only_binary_values_can_be_had_as_bulk_data(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    with pytest.raises(NotInLedger):
        read_value(file, "00291010")


@pytest.mark.parametrize(
    ("name", "tag"), [("PatientID", "00100020"), ("00100020", "00100020"), ("7fe00010", "7FE00010")]
)
def test_an_attribute_is_named_by_keyword_or_tag(name: str, tag: str) -> None:
    assert tag_of(name) == tag


@pytest.mark.parametrize("name", ["PatientNam", "0010002", "0010,0020", "", "0010002G"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidValue):
        tag_of(name)


@pytest.mark.shared_data
def test_real_headers_of_many_scanners_are_valid_json(shared_data: Path) -> None:
    files = [path for path in sorted((shared_data / "dicom").rglob("*.dcm")) if "odd" not in path.parts]
    assert len(files) > 50
    for file in files:
        header = read_json(file)
        json.dumps(header, allow_nan=False)
        assert header["00080018"]["Value"] == [dcmread(file, stop_before_pixels=True).SOPInstanceUID], file


def test_an_empty_element_with_an_unknown_vr_does_not_hide_the_others(tmp_path: Path) -> None:
    (file,) = write_series(tmp_path, a_series(slices=1))
    written, named = b"\x08\x00\x90\x00PN\x00\x00", b"\x08\x00\x90\x00PJ\x00\x00"
    assert written in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(written, named))
    header = read_json(file)
    assert header["00080090"] == {"vr": "UN", "InlineBinary": ""}
    assert header["00100020"] == {"vr": "LO", "Value": ["T-0001"]}
