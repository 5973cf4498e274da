"""Data sets as lists of elements, encoded without regard to what PS3.5 allows."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
UNDEFINED = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One element; `length` is what its header says where that is a lie."""

    tag: int
    vr: bytes
    value: bytes
    length: int | None = None

    def encode(self, *, implicit: bool) -> bytes:
        """Write it in little endian."""
        length = len(self.value) if self.length is None else self.length
        group, number = self.tag >> 16, self.tag & 0xFFFF
        if implicit:
            return struct.pack("<HHI", group, number, length & 0xFFFF_FFFF) + self.value
        if self.vr in LONG_VRS:
            return struct.pack("<HH2s2xI", group, number, self.vr, length & 0xFFFF_FFFF) + self.value
        return struct.pack("<HH2sH", group, number, self.vr, length & 0xFFFF) + self.value


def encode(elements: Sequence[Element], *, implicit: bool) -> bytes:
    return b"".join(element.encode(implicit=implicit) for element in elements)


def elements_of(dataset: Dataset) -> list[Element]:
    """Take a data set without sequences apart."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    encoded, elements = BytesIO(buffer.getvalue()), []
    while head := encoded.read(8):
        group, number, vr, length = struct.unpack("<HH2sH", head)
        if vr in LONG_VRS:
            (length,) = struct.unpack("<I", encoded.read(4))
        elements.append(Element(tag=group << 16 | number, vr=vr, value=encoded.read(length)))
    return elements


def sequence(tag: int, depth: int, *, undefined: bool, closed: bool = True) -> Element:
    """Nest a sequence so deep in itself: with lengths, or with delimiters that may be left out."""
    number = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if undefined:
        opening = number + struct.pack("<2s2xI", b"SQ", UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
        closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        inside = opening * depth + (closing * depth if closed else b"")
        value = inside[12:] if depth else b""
        return Element(tag=tag, vr=b"SQ", value=value, length=UNDEFINED)
    value = b""
    for _level in range(depth):
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(value)) + value
        value = number + struct.pack("<2s2xI", b"SQ", len(item)) + item
    return Element(tag=tag, vr=b"SQ", value=value[12:])
