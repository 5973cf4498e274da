"""The front of a Part 10 file as it arrives: its file meta information, and where its data set begins (PS3.10)."""

import struct
from dataclasses import dataclass

from dicomnode.domain.errors import InvalidValue, MalformedInstance
from dicomnode.domain.uids import SOPClassUID, SOPInstanceUID, TransferSyntaxUID

_PREAMBLE = 128
_PREFIX = b"DICM"
_GROUP = 0x0002
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010
_LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_SHORT_HEADER, _LONG_HEADER = struct.Struct("<HH2sH"), struct.Struct("<HH2s2xL")
_LONGEST = 256 * 1024
"""Private information (0002,0102) may be long, but not without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """What a file says of its instance in front of the data set (PS3.10 Table 7.1-1)."""

    sop_class_uid: SOPClassUID
    sop_instance_uid: SOPInstanceUID
    transfer_syntax_uid: TransferSyntaxUID


def read_file_meta(front: bytes | bytearray) -> tuple[FileMeta, int] | None:
    """Read the file meta information, and where the data set begins; None when more bytes are needed.

    Raises MalformedInstance for what is no Part 10 file. The group length is not relied on: some writers get it wrong.
    """
    at = _PREAMBLE + len(_PREFIX)
    if not _PREFIX.startswith(front[_PREAMBLE:at]):
        raise MalformedInstance("the part is no Part 10 file: it has no preamble with DICM behind (PS3.10 section 7.1)")
    values: dict[int, bytes] = {}
    while (element := _element(front, at)) is not None:
        group, number, start, end = element
        if group != _GROUP:
            return _file_meta(values), at
        if end > _LONGEST:
            break
        if end > len(front):
            return None
        values[number] = bytes(front[start:end])
        at = end
    if len(front) > _LONGEST or element is not None:
        raise MalformedInstance("the part has no end of its file meta information")
    return None


def _element(front: bytes | bytearray, at: int) -> tuple[int, int, int, int] | None:
    """Read group, element, and start and end of the value of one element of group 0002; None when it is not all here.

    Of another group only the group is said, because its encoding is not known yet.
    """
    if len(front) < at + 2:
        return None
    group = int.from_bytes(front[at : at + 2], "little")
    if group != _GROUP:
        return group, 0, at, at
    if len(front) < at + _SHORT_HEADER.size:
        return None
    _group, number, vr, length = _SHORT_HEADER.unpack_from(front, at)
    start = at + _SHORT_HEADER.size
    if vr in _LONG_VRS:
        if len(front) < at + _LONG_HEADER.size:
            return None
        length, start = _LONG_HEADER.unpack_from(front, at)[3], at + _LONG_HEADER.size
    return group, number, start, start + length


def _file_meta(values: dict[int, bytes]) -> FileMeta:
    try:
        return FileMeta(
            sop_class_uid=SOPClassUID(_text(values, _SOP_CLASS)),
            sop_instance_uid=SOPInstanceUID(_text(values, _SOP_INSTANCE)),
            transfer_syntax_uid=TransferSyntaxUID(_text(values, _TRANSFER_SYNTAX)),
        )
    except InvalidValue as error:
        raise MalformedInstance(f"file meta information: {error.reason}") from None


def _text(values: dict[int, bytes], element: int) -> str:
    return values.get(element, b"").decode("ascii", "replace")
