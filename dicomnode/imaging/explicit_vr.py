"""Elements in Explicit VR Little Endian as they lie in a buffer (PS3.5 7.1), and the ends of sequences (7.5).

Whatever is not as the standard has it gives NOT_PLAIN: somebody else then has to judge it.
"""

import struct

LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
SHORT_VRS = frozenset(
    (
        *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FL", b"FD", b"IS", b"LO"),
        *(b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
    )
)
SHORT_HEADER, LONG_HEADER = 8, 12
UNDEFINED = 0xFFFF_FFFF
NOT_PLAIN = -1

_ELEMENT = struct.Struct("<HH2sH")
_ITEM = struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")
_DELIMITERS = 0xFFFE
_ITEM_BEGINS, _ITEM_ENDS, _SEQUENCE_ENDS = 0xE000, 0xE00D, 0xE0DD
_DEEPEST = 8
"""Real headers nest two or three deep."""


def element_at(data: memoryview, position: int) -> tuple[int, bytes, int, int]:
    """Read an element's tag, VR, the place of its value and its length; the place is NOT_PLAIN where it is no element.

    There have to be at least LONG_HEADER bytes from the position on.
    """
    group, number, vr, length = _ELEMENT.unpack_from(data, position)
    value = position + SHORT_HEADER
    if vr not in SHORT_VRS:
        if vr not in LONG_VRS:
            return 0, vr, NOT_PLAIN, 0
        (length,) = _LENGTH.unpack_from(data, value)
        value = position + LONG_HEADER
    return group << 16 | number, vr, value, length


def end_of_sequence(data: memoryview, position: int, depth: int = 0) -> int:
    """Find where a sequence of undefined length ends whose first item is at a position, or give NOT_PLAIN."""
    while depth < _DEEPEST and position <= len(data) - _ITEM.size:
        group, number, length = _ITEM.unpack_from(data, position)
        position += _ITEM.size
        if group != _DELIMITERS:
            return NOT_PLAIN
        if number == _SEQUENCE_ENDS:
            return position if length == 0 else NOT_PLAIN
        if number != _ITEM_BEGINS:
            return NOT_PLAIN
        position = _end_of_item(data, position, length, depth)
        if position < 0:
            return NOT_PLAIN
    return NOT_PLAIN


def _end_of_item(data: memoryview, position: int, length: int, depth: int) -> int:
    """Find where an item ends; one of a defined length has to be filled by its elements exactly."""
    end = len(data) + 1 if length == UNDEFINED else position + length
    while position != end:
        if position > min(end, len(data)) - SHORT_HEADER:
            return NOT_PLAIN
        if length == UNDEFINED and _ITEM.unpack_from(data, position) == (_DELIMITERS, _ITEM_ENDS, 0):
            return position + _ITEM.size
        position = _end_of_element(data, position, depth)
        if position < 0:
            return NOT_PLAIN
    return position


def _end_of_element(data: memoryview, position: int, depth: int) -> int:
    if position > len(data) - LONG_HEADER:
        return NOT_PLAIN
    _tag, vr, value, length = element_at(data, position)
    if value < 0:
        return NOT_PLAIN
    if length == UNDEFINED:
        return end_of_sequence(data, value, depth + 1) if vr == b"SQ" else NOT_PLAIN
    return value + length
