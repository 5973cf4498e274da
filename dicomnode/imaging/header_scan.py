"""The identifiers of an instance by a bounded walk over its first bytes: what nearly every instance allows.

Parsing a header with pydicom costs more than receiving the instance. The walk gives up (None) on anything that is not
plain, and pydicom then decides; it never reads a value differently (tests/imaging/test_header_scan.py).
"""

import struct
from collections.abc import Mapping, Sequence

from dicomnode.imaging.explicit_vr import LONG_HEADER, NOT_PLAIN, UNDEFINED, element_at, end_of_sequence
from dicomnode.imaging.header_layout import Element, HeaderLayouts

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
_COLLECTED = frozenset((*WANTED, _CHARACTER_SET))
_LAST_OF_GROUP = max(WANTED) | 0xFFFF
"""As far as pydicom is asked to read: behind it a damaged order could still hide an identifier."""
_DECODERS = {"": "ascii", "ISO_IR 6": "ascii", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
_IMPLICIT = struct.Struct("<HHI")
_KIND_SIZE = 6
"""Tag and VR."""


def scan_header(
    data_set: memoryview, transfer_syntax: str, layouts: HeaderLayouts | None = None
) -> Mapping[str, str] | None:
    """Read the identifiers by keyword from the front of an encoded data set; None when it is not plain enough.

    Plain is: little endian and not deflated, ascending tags, no undefined length in front of the identifiers but that
    of sequences in Explicit VR, a repertoire of one byte set or UTF-8, and values without backslashes and control
    characters.
    """
    if transfer_syntax == IMPLICIT_LITTLE_ENDIAN:
        values = _walk_implicit(data_set)
    elif transfer_syntax == EXPLICIT_LITTLE_ENDIAN or transfer_syntax.startswith("1.2.840.10008.1.2.4."):
        values = layouts.read(data_set) if layouts is not None else None
        if values is None:
            values = _walk_explicit(data_set, layouts)
    else:
        return None
    return None if values is None else _decode(values)


def _walk_explicit(data: memoryview, layouts: HeaderLayouts | None) -> dict[int, bytes] | None:
    """Collect the wanted values of the top level, up to the last of them, where each element names its VR."""
    elements: list[Element] = []
    position = previous = 0
    while position <= len(data) - LONG_HEADER:
        tag, vr, value, length = element_at(data, position)
        if value < 0:
            return None
        if tag > _LAST_OF_GROUP:
            if layouts is not None:
                layouts.learn(elements, bytes(data[position : position + _KIND_SIZE]))
            return _collected(data, elements)
        end = value + length if length != UNDEFINED else end_of_sequence(data, value) if vr == b"SQ" else NOT_PLAIN
        if tag <= previous or not value <= end <= len(data):
            return None
        header = bytes(data[position:value])
        elements.append(Element(header=header, tag=tag, length=end - value, is_wanted=tag in _COLLECTED))
        position, previous = end, tag
    return None


def _collected(data: memoryview, elements: Sequence[Element]) -> dict[int, bytes]:
    """Take the wanted values out of the elements that were walked."""
    values: dict[int, bytes] = {}
    position = 0
    for element in elements:
        value = position + len(element.header)
        position = value + element.length
        if element.is_wanted:
            values[element.tag] = bytes(data[value:position])
    return values


def _walk_implicit(data: memoryview) -> dict[int, bytes] | None:
    """Collect the wanted values of the top level, up to the last of them, where no element names its VR."""
    values: dict[int, bytes] = {}
    size = len(data) - _IMPLICIT.size
    position = previous = 0
    while position <= size:
        group, element, length = _IMPLICIT.unpack_from(data, position)
        position += 8
        tag = group << 16 | element
        if tag > _LAST_OF_GROUP:
            return values
        if tag <= previous or length == UNDEFINED:
            return None
        if tag in _COLLECTED:
            values[tag] = bytes(data[position : position + length])
        position += length
        previous = tag
    return None


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
