"""Values that are read straight from their bytes are those that pydicom reads, or none at all."""

import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import Tag

from dicomnode.imaging.attributes import UNREADABLE, quiet_pydicom
from dicomnode.imaging.plain_values import PLAIN_CHARACTER_SETS, plain_values, plain_vr

TEXTS = ("AS", "CS", "DA", "DT", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UT")
NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
TAG = Tag(0x0009, 0x1001)


def raw(vr: str | None, value: bytes, *, is_little: bool = True, tag: int = TAG) -> RawDataElement:
    return RawDataElement(Tag(tag), vr, len(value), value, 0, vr is None, is_little)


def by_pydicom(element: RawDataElement, character_set: str = "") -> list[Any] | None:
    with quiet_pydicom():
        try:
            converted = convert_raw_data_element(element, encoding=convert_encodings(character_set))
            return list(converted.to_json_dict(None, 1024).get("Value", []))
        except UNREADABLE:
            return None


@given(
    vr=st.sampled_from(TEXTS),
    value=st.text(st.sampled_from("aZ09.^=~@\\ \0\x1b\n"), max_size=12).map(str.encode) | st.binary(max_size=12),
    character_set=st.sampled_from(sorted(PLAIN_CHARACTER_SETS)),
)
@example(vr="LO", value=b"a \\ b ", character_set="")
@example(vr="CS", value=b"A\\", character_set="ISO_IR 192")
def test_texts_are_pydicoms(vr: str, value: bytes, character_set: str) -> None:
    element = raw(vr, value)
    found = plain_values(vr, element)
    assert found is None or found == by_pydicom(element, character_set)


@given(vr=st.sampled_from(["DS", "IS"]), value=st.text("0123456789.eE+-\\ \0naif", max_size=12).map(str.encode))
@example(vr="DS", value=b"1\\\\2")
@example(vr="IS", value=b"1.0 ")
def test_written_numbers_are_pydicoms(vr: str, value: bytes) -> None:
    element = raw(vr, value)
    found = plain_values(vr, element)
    assert found is None or (found == by_pydicom(element) and all(type(one) in (int, float) for one in found))


@given(vr=st.sampled_from(sorted(NUMBERS)), value=st.binary(max_size=24), is_little=st.booleans())
def test_binary_numbers_are_pydicoms(vr: str, value: bytes, is_little: bool) -> None:
    element = raw(vr, value, is_little=is_little)
    found = plain_values(vr, element)
    assert found is None or found == by_pydicom(element)


@pytest.mark.parametrize(
    ("vr", "value", "found"),
    [
        ("CS", b"ORIGINAL\\PRIMARY ", ["ORIGINAL", "PRIMARY"]),
        ("UI", b"1.2.3\0", ["1.2.3"]),
        ("DS", b"1.50\\-2e1 ", [1.5, -20.0]),
        ("IS", b"+7", [7]),
        ("US", struct.pack("<2H", 1, 65535), [1, 65535]),
        ("LT", b"a\\b ", ["a\\b"]),
        ("LO", b"", []),
        ("LO", b"  ", []),
    ],
)
def test_everyday_values_are_read(vr: str, value: bytes, found: list[Any]) -> None:
    assert plain_values(vr, raw(vr, value)) == found


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("LO", "Å".encode()),
        ("LO", b"\x1b$B;3ED"),
        ("FD", struct.pack("<d", float("nan"))),
        ("US", b"123"),
        ("DS", b"1\\\\2"),
        ("IS", b"1.0"),
        ("PN", b"A^B"),
        ("SQ", b""),
        ("UN", b"1"),
    ],
)
def test_what_needs_judgement_is_left_to_pydicom(vr: str, value: bytes) -> None:
    assert plain_values(vr, raw(vr, value)) is None


def test_an_implicit_vr_is_the_dictionarys() -> None:
    assert plain_vr(raw(None, b"1", tag=0x00180050)) == "DS"
    assert plain_vr(raw("LO", b"1", tag=0x00180050)) == "LO"
    assert plain_vr(raw(None, b"1", tag=0x00090010)) is None
    assert plain_vr(raw(None, b"1", tag=0x00180001)) is None
