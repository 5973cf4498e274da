"""The identifiers of an instance by a bounded walk over its first bytes: what nearly every instance allows.

Parsing a header with pydicom costs more than receiving the instance. The walk gives up (None) on anything that is not
plain, and pydicom then decides; it never reads a value differently (tests/imaging/test_header_scan.py).
"""

import struct
from collections.abc import Callable, Mapping

EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
BOUND = 64 * 1024
"""How many bytes are looked at; real headers have the identifiers within the first few kilobytes."""

_CHARACTER_SET = 0x0008_0005
WANTED: Mapping[int, str] = {
    0x0008_0016: "SOPClassUID",
    0x0008_0018: "SOPInstanceUID",
    0x0008_0020: "StudyDate",
    0x0008_0050: "AccessionNumber",
    0x0008_0060: "Modality",
    0x0008_1030: "StudyDescription",
    0x0008_103E: "SeriesDescription",
    0x0010_0010: "PatientName",
    0x0010_0020: "PatientID",
    0x0020_000D: "StudyInstanceUID",
    0x0020_000E: "SeriesInstanceUID",
    0x0020_0011: "SeriesNumber",
    0x0020_0013: "InstanceNumber",
}
_LAST_OF_GROUP = max(WANTED) | 0xFFFF
"""As far as pydicom is asked to read: behind it a damaged order could still hide an identifier."""
_DECODERS = {"": "ascii", "ISO_IR 6": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT_VRS = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO"),
        *(b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    )
)
_EXPLICIT = struct.Struct("<HH2sH")
_IMPLICIT = struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")
_UNDEFINED = 0xFFFF_FFFF

_ElementReader = Callable[[memoryview, int], tuple[int, int, int] | None]
"""Reads the header of an element: its tag, where its value begins, and how long that is; None when it is no element."""


def scan_header(data_set: memoryview, transfer_syntax: str) -> Mapping[str, str] | None:
    """Read the identifiers by keyword from the front of an encoded data set; None when it is not plain enough.

    Plain is: little endian and not deflated, ascending tags, no undefined length in front of the identifiers, a
    repertoire of one byte set or UTF-8, and values without backslashes and control characters.
    """
    if transfer_syntax == IMPLICIT_LITTLE_ENDIAN:
        values = _walk(data_set, _implicit_element)
    elif transfer_syntax == EXPLICIT_LITTLE_ENDIAN or transfer_syntax.startswith("1.2.840.10008.1.2.4."):
        values = _walk(data_set, _explicit_element)
    else:
        return None
    return None if values is None else _decode(values)


def _walk(data: memoryview, element: _ElementReader) -> dict[int, bytes] | None:
    """Collect the wanted values of the top level, up to the last of them."""
    values: dict[int, bytes] = {}
    position = previous = 0
    while position + _EXPLICIT.size <= len(data):
        found = element(data, position)
        if found is None:
            return None
        tag, start, length = found
        if tag > _LAST_OF_GROUP:
            return values
        if tag <= previous or length == _UNDEFINED or start + length > len(data):
            return None
        if tag in WANTED or tag == _CHARACTER_SET:
            values[tag] = bytes(data[start : start + length])
        position, previous = start + length, tag
    return None


def _explicit_element(data: memoryview, position: int) -> tuple[int, int, int] | None:
    group, element, vr, length = _EXPLICIT.unpack_from(data, position)
    start = position + _EXPLICIT.size
    if vr in _LONG_VRS:
        if start + _LENGTH.size > len(data):
            return None
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
    elif vr not in _SHORT_VRS:
        return None
    return group << 16 | element, start, length


def _implicit_element(data: memoryview, position: int) -> tuple[int, int, int] | None:
    group, element, length = _IMPLICIT.unpack_from(data, position)
    return group << 16 | element, position + _IMPLICIT.size, length


def _decode(values: Mapping[int, bytes]) -> Mapping[str, str] | None:
    """Turn the values into text; None where one is not plain."""
    repertoire = _DECODERS.get(values.get(_CHARACTER_SET, b"").decode("ascii", "replace").strip(" \0"))
    if repertoire is None:
        return None
    decoded: dict[str, str] = {}
    for tag, keyword in WANTED.items():
        try:
            text = values.get(tag, b"").rstrip(b"\0").decode(repertoire).strip(" ")
        except UnicodeDecodeError:
            return None
        if "\\" in text or not text.isprintable():
            return None
        decoded[keyword] = text
    return decoded
