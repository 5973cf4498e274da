"""A header that was kept as JSON tells a rule exactly what its file would tell."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from dicomnode.domain.derivation import NODE_MANUFACTURER
from dicomnode.domain.errors import InvalidValue, MalformedInstance
from dicomnode.domain.study import StudyFacts
from dicomnode.imaging.attributes import items, number, numbers, read_element, text, texts
from dicomnode.imaging.dicom_json import read_json
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.imaging.headers import read_data_set
from dicomnode.imaging.json_data_set import data_set_of
from dicomnode.imaging.series_facts import is_own_output, study_facts
from tests.builders import a_series, with_file_meta, write_series
from tests.imaging.enhanced import an_enhanced_mr
from tests.web.holdings import a_synthetic_series

TEXT_VRS = ("CS", "LO", "SH", "ST", "LT", "UT", "UC", "PN", "DA", "TM", "AS", "AE")
FACTS = sorted(fact_catalogue().series.keys() - {"SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"})
TEXT_FACTS = [name for name in FACTS if tag_for_keyword(name) and dictionary_VR(name) in TEXT_VRS]
NUMBER_FACTS = [name for name in FACTS if tag_for_keyword(name) and dictionary_VR(name) in ("DS", "IS")]


def kept(file: Path) -> Dataset:
    """The data set that comes back from the ledger."""
    return data_set_of(json.loads(json.dumps(read_json(file))))


def facts_of(datasets: Sequence[Dataset]) -> StudyFacts | str:
    try:
        return study_facts(datasets)
    except (InvalidValue, MalformedInstance) as error:
        return error.reason


def assert_same(files: Sequence[Path]) -> None:
    from_files, from_json = [read_data_set(file) for file in files], [kept(file) for file in files]
    assert facts_of(from_json) == facts_of(from_files)
    assert list(map(is_own_output, from_json)) == list(map(is_own_output, from_files))


def one_file(folder: Path, dataset: Dataset) -> Path:
    return write_series(folder, [dataset])[0]


def test_a_series_has_the_same_facts(tmp_path: Path) -> None:
    assert_same(write_series(tmp_path, a_series(slices=3)))


def test_the_functional_groups_of_an_enhanced_image_are_there(tmp_path: Path) -> None:
    file = one_file(tmp_path, an_enhanced_mr())
    assert_same([file])
    assert study_facts([kept(file)]).series[0].values["NumberOfInstances"] == 3


def test_own_outputs_are_known(tmp_path: Path) -> None:
    files = write_series(tmp_path, a_synthetic_series("study", "own", slices=2, Manufacturer=NODE_MANUFACTURER))
    assert_same(files)
    assert all(is_own_output(kept(file)) for file in files)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_every_encoding_gives_the_same_facts(tmp_path: Path, syntax: Any) -> None:
    (dataset,) = a_series(slices=1)
    dataset.PixelData = None
    file = tmp_path / "instance.dcm"
    with_file_meta(dataset, syntax).save_as(file, enforce_file_format=True)
    assert_same([file])
    assert number(kept(file), "EchoTime") == 12


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Ödegård^Åsa"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_and_the_character_set_are_those_of_the_file(tmp_path: Path, character_set: Any, name: str) -> None:
    (dataset,) = a_series(slices=1, SpecificCharacterSet=character_set, PatientName=name)
    file = one_file(tmp_path, dataset)
    assert_same([file])
    assert text(kept(file), "PatientName") == name
    assert texts(kept(file), "SpecificCharacterSet") == texts(read_data_set(file), "SpecificCharacterSet")


def test_private_elements_and_sequences_come_back(tmp_path: Path) -> None:
    (dataset,) = a_series(slices=1)
    block = dataset.private_block(0x0029, "MAKER", create=True)
    block.add_new(0x10, "OB", b"\x01\x02")
    block.add_new(0x11, "LO", "a\\b")
    inner = Dataset()
    inner.add_new(0x00291011, "DS", "1.5")
    block.add_new(0x12, "SQ", [inner])
    block.add_new(0x13, "OB", bytes(5000))
    file = one_file(tmp_path, dataset)
    back, truth = kept(file), dcmread(file, stop_before_pixels=True)
    for element in (0x00290010, 0x00291010, 0x00291011, 0x00291012):
        assert back[element] == truth[element]
    assert back[0x00291013].is_empty


@pytest.mark.parametrize("vr", [b"FD", b"ZZ"], ids=["too short for its VR", "of a VR that there is not"])
def test_what_the_file_cannot_tell_the_json_cannot_tell_either(tmp_path: Path, vr: bytes) -> None:
    file = one_file(tmp_path, a_series(slices=1, SliceThickness="3.0")[0])
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"\x18\x00\x50\x00DS\x04\x003.0 ", b"\x18\x00\x50\x00" + vr + b"\x04\x0012  "))
    assert file.read_bytes() != whole
    assert numbers(read_data_set(file), "SliceThickness") == numbers(kept(file), "SliceThickness") == ()
    assert_same([file])


def test_a_value_that_ends_before_it_should_is_none(tmp_path: Path) -> None:
    (dataset,) = a_series(slices=1)
    del dataset.PixelData, dataset.HighBit, dataset.PixelRepresentation, dataset.BitsStored, dataset.BitsAllocated
    dataset.ImageComments, dataset[0x00204000].VR = "a comment that is cut", "LT"
    del dataset[0x00280002:0x00290000]
    file = one_file(tmp_path, dataset)
    file.write_bytes(file.read_bytes()[:-8])
    assert text(read_data_set(file), "ImageComments") == text(kept(file), "ImageComments") == ""
    assert read_json(file)["00204000"]["vr"] == "UN"


def test_elements_can_be_set_and_removed() -> None:
    dataset = data_set_of({"00100020": {"vr": "LO", "Value": ["A"]}, "00080060": {"vr": "CS", "Value": ["MR"]}})
    dataset.PatientID = "B"
    dataset.StudyID = "1"
    del dataset.Modality
    assert [element.value for element in dataset] == ["B", "1"]
    assert (len(dataset), "Modality" in dataset) == (2, False)


def test_an_element_without_a_value_is_empty() -> None:
    dataset = data_set_of(
        {
            "00100020": {"vr": "LO"},
            "00081140": {"vr": "SQ", "Value": []},
            "00209165": {"vr": "AT", "Value": ["00180050"]},
            "7FE00010": {"vr": "OW", "BulkDataURI": "somewhere"},
        }
    )
    assert (text(dataset, "PatientID"), items(dataset, "ReferencedImageSequence")) == ("", ())
    assert dataset.DimensionIndexPointer == 0x00180050
    assert read_element(dataset, next(iter(dataset.keys()))) is None


WORDS = st.text(st.sampled_from("aB0 .^=\\\n\0ÄÖ"), max_size=10) | st.sampled_from(["20260301", "036Y", "nan", "inf"])
DECIMALS = st.lists(st.sampled_from(["", "1", "-2.50", "1e3", "x", "nan", "inf", " 7 "]), max_size=3).map("\\".join)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(TEXT_FACTS), WORDS, max_size=20),
    st.dictionaries(st.sampled_from(NUMBER_FACTS), DECIMALS, max_size=20),
    st.sampled_from(["ISO_IR 100", "ISO_IR 192", "nonsense", ""]),
)
def test_any_values_give_the_same_facts(words: dict[str, str], decimals: dict[str, str], character_set: str) -> None:
    """Values are written as they are, whatever their VR allows."""
    (dataset,) = a_series(slices=1, shape=(2, 2), SpecificCharacterSet=None)
    with tempfile.TemporaryDirectory() as folder:
        file = one_file(Path(folder), dataset)
        front = file.read_bytes().split(b"\x08\x00\x08\x00CS")[0]
        written = {"SpecificCharacterSet": character_set, **words, **decimals}
        identified = {name: text(dataset, name) for name in ("SOPClassUID", "SOPInstanceUID")}
        placed = {name: text(dataset, name) for name in ("StudyInstanceUID", "SeriesInstanceUID")}
        file.write_bytes(
            front + b"".join(map(_element, sorted(({**written, **identified, **placed}).items(), key=_tag)))
        )
        assert_same([file])


def _tag(attribute: tuple[str, str]) -> int:
    return int(tag_for_keyword(attribute[0]) or 0)


def _element(attribute: tuple[str, str]) -> bytes:
    tag, vr = _tag(attribute), dictionary_VR(attribute[0])
    value = attribute[1].encode("latin-1", "replace")
    value += b" " * (len(value) % 2)
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + vr.encode()
    if vr in ("UT", "UC"):
        return head + b"\0\0" + len(value).to_bytes(4, "little") + value
    return head + len(value).to_bytes(2, "little") + value


@pytest.mark.shared_data
@pytest.mark.slow
def test_every_series_of_the_shared_data_has_the_same_facts(shared_data: Path, tmp_path: Path) -> None:
    dicom = shared_data / "dicom"
    for archive in dicom.rglob("*.zip"):
        with ZipFile(archive) as members:
            members.extractall(tmp_path / archive.parent.name / archive.stem)
    series: dict[tuple[Path, str], list[tuple[Dataset, Dataset]]] = defaultdict(list)
    for folder in (dicom, tmp_path):
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".zip"):
            try:
                dataset = read_data_set(file)
            except MalformedInstance:
                continue
            series[file.parent, text(dataset, "SeriesInstanceUID")].append((dataset, kept(file)))
    assert len(series) > 100
    for both in series.values():
        from_files, from_json = zip(*both, strict=True)
        assert facts_of(from_json) == facts_of(from_files)
        assert list(map(is_own_output, from_json)) == list(map(is_own_output, from_files))
