import logging
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from dicomnode.imaging.attributes import items, number, numbers, quiet_pydicom, read_element, text, texts


def _read(*elements: tuple[int, str, bytes], cut: int = 0) -> Dataset:
    """Parse elements (tag, VR, value) of a data set in Explicit VR Little Endian, its last `cut` bytes missing."""
    encoded = b"".join(_encode(*element) for element in elements)
    with quiet_pydicom():
        return read_dataset(BytesIO(encoded[: len(encoded) - cut]), is_implicit_VR=False, is_little_endian=True)


def _encode(tag: int, vr: str, value: bytes) -> bytes:
    layout, lengths = ("<HH2sHL", (0, len(value))) if vr in EXPLICIT_VR_LENGTH_32 else ("<HH2sH", (len(value),))
    return struct.pack(layout, tag >> 16, tag & 0xFFFF, vr.encode(), *lengths) + value


DESCRIPTION, CHARSET, ECHO, SERIES = 0x0008103E, 0x00080005, 0x00180081, 0x00200011


def test_values_come_as_plain_python() -> None:
    dataset = Dataset()
    dataset.ImageType, dataset.PatientName = ["ORIGINAL", "PRIMARY"], "Testperson^Tilda"
    dataset.PixelSpacing, dataset.EchoTime = [0.5, 0.25], "12.5"
    assert texts(dataset, "ImageType") == ("ORIGINAL", "PRIMARY")
    assert text(dataset, "ImageType") == "ORIGINAL\\PRIMARY"
    assert text(dataset, "PatientName") == "Testperson^Tilda"
    assert numbers(dataset, "PixelSpacing") == (0.5, 0.25)
    assert number(dataset, "EchoTime") == 12.5


def test_what_is_absent_or_empty_is_nothing() -> None:
    dataset = Dataset()
    dataset.SeriesDescription, dataset.EchoTime, dataset.ContributingEquipmentSequence = "", None, []
    for keyword in ("SeriesDescription", "EchoTime", "ImageType"):
        assert (texts(dataset, keyword), text(dataset, keyword)) == ((), "")
        assert (numbers(dataset, keyword), number(dataset, keyword)) == ((), None)
    assert items(dataset, "ContributingEquipmentSequence") == ()


def test_the_items_of_a_sequence_are_data_sets() -> None:
    dataset, item = Dataset(), Dataset()
    item.CodeValue = "109100"
    dataset.PurposeOfReferenceCodeSequence = [item]
    assert [text(one, "CodeValue") for one in items(dataset, "PurposeOfReferenceCodeSequence")] == ["109100"]
    assert texts(dataset, "PurposeOfReferenceCodeSequence") == ()
    assert items(item, "CodeValue") == ()


def test_an_unknown_keyword_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="EchoTimee"):
        number(Dataset(), "EchoTimee")


@pytest.mark.parametrize("written", [b"abc ", b"nan ", b"1e999 ", b"1,5 ", b"\xff\xfe"])
def test_a_number_that_is_none_reads_as_nothing(written: bytes) -> None:
    assert number(_read((ECHO, "DS", written)), "EchoTime") is None
    assert number(_read((SERIES, "IS", written)), "SeriesNumber") is None


@pytest.mark.parametrize("charset", [b"NO SUCH CHARSET ", b"hex ", b"ISO 2022 IR 87\\\\", b"\xff\xfe\xfd\xfc"])
def test_a_broken_character_set_breaks_no_more_than_text(charset: bytes) -> None:
    dataset = _read((CHARSET, "CS", charset), (DESCRIPTION, "LO", b"M\xfcller\x1b$B\x80"), (ECHO, "DS", b"12"))
    assert text(dataset, "SeriesDescription").isprintable()
    assert number(dataset, "EchoTime") == 12


def test_text_that_no_database_takes_is_cleaned() -> None:
    assert text(_read((DESCRIPTION, "LO", b" t2\0tse\ttra\x07 \0")), "SeriesDescription") == "t2tse tra"


def test_a_value_that_is_cut_short_is_not_taken_for_a_whole_one() -> None:
    whole = (SERIES, "IS", b"1234")
    assert number(_read(whole), "SeriesNumber") == 1234
    assert number(_read(whole, cut=2), "SeriesNumber") is None


def test_an_element_of_an_unknown_vr_reads_as_nothing() -> None:
    dataset = _read((DESCRIPTION, "QQ", b"abcd"))
    assert text(dataset, "SeriesDescription") == ""
    assert read_element(dataset, Tag(DESCRIPTION)) is None


@settings(deadline=None)
@given(st.binary(max_size=40), st.sampled_from(["CS", "DS", "IS", "LO", "PN", "US", "FD", "SQ", "UI", "UN", "AT"]))
def test_no_value_whatever_raises_or_warns(value: bytes, vr: str) -> None:
    dataset = _read((CHARSET, "CS", b"ISO 2022 IR 13\\ISO 2022 IR 87 "), (DESCRIPTION, vr, value))
    assert isinstance(text(dataset, "SeriesDescription"), str)
    assert isinstance(numbers(dataset, "SeriesDescription"), tuple)
    assert isinstance(items(dataset, "SeriesDescription"), tuple)


def test_pydicom_says_nothing_while_it_is_quiet_and_speaks_again_after(caplog: pytest.LogCaptureFixture) -> None:
    with quiet_pydicom():
        warnings.warn("value of a patient", UserWarning, stacklevel=1)
        logging.getLogger("pydicom").error("value of a patient")
    assert not caplog.records
    logging.getLogger("pydicom").error("spoken")
    assert [record.message for record in caplog.records] == ["spoken"]
    with pytest.warns(UserWarning, match="spoken"):
        warnings.warn("spoken", UserWarning, stacklevel=1)


def test_threads_that_read_together_do_not_undo_each_others_quiet() -> None:
    def read_often(_thread: int) -> set[str]:
        broken = [(CHARSET, "CS", b"NO SUCH CHARSET "), (DESCRIPTION, "LO", b"M\xfcller\x1b$B")]
        return {text(_read(*broken), "SeriesDescription") for _ in range(100)}

    with ThreadPoolExecutor(max_workers=6) as threads:
        # A warning that escapes is an error in the tests, and would be raised here.
        assert len(set().union(*threads.map(read_often, range(6)))) == 1
