"""Command sets as bytes: what C-STORE needs of them, in Implicit VR Little Endian (PS3.7 section 6.3, Annex E)."""

import struct
from collections.abc import Mapping

AFFECTED_SOP_CLASS_UID, COMMAND_FIELD = 0x0002, 0x0100
MESSAGE_ID, MESSAGE_ID_RESPONDED_TO = 0x0110, 0x0120
COMMAND_DATA_SET_TYPE, STATUS, ERROR_COMMENT, AFFECTED_SOP_INSTANCE_UID = 0x0800, 0x0900, 0x0902, 0x1000
C_STORE_RQ, C_STORE_RSP = 0x0001, 0x8001
NO_DATA_SET = 0x0101

_ELEMENT = struct.Struct("<HHI")
_SHORT = struct.Struct("<H")


def read_command_set(command: bytes) -> Mapping[int, bytes]:
    """Read the elements of group 0000 by element number; raises ValueError when the bytes are none."""
    elements: dict[int, bytes] = {}
    position = 0
    while position < len(command):
        try:
            group, element, length = _ELEMENT.unpack_from(command, position)
        except struct.error as error:
            raise ValueError("a command set ends in the middle of an element") from error
        position += _ELEMENT.size
        if group != 0 or position + length > len(command):
            raise ValueError("not a command set")
        elements[element] = command[position : position + length]
        position += length
    return elements


def number(elements: Mapping[int, bytes], element: int) -> int | None:
    """Read a US element; None when it is absent or has another length."""
    value = elements.get(element, b"")
    return int(_SHORT.unpack(value)[0]) if len(value) == _SHORT.size else None


def uid(elements: Mapping[int, bytes], element: int) -> str:
    """Read a UI element without its padding; empty when it is absent."""
    return elements.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")


def c_store_response(request: Mapping[int, bytes], status: int, comment: str = "") -> bytes:
    """Answer a C-STORE request (PS3.7 section 9.3.1.2); the comment has to be ASCII of at most 64 characters."""
    body = b"".join(
        (
            _element(AFFECTED_SOP_CLASS_UID, request.get(AFFECTED_SOP_CLASS_UID, b"")),
            _element(COMMAND_FIELD, _SHORT.pack(C_STORE_RSP)),
            _element(MESSAGE_ID_RESPONDED_TO, request.get(MESSAGE_ID, _SHORT.pack(0))),
            _element(COMMAND_DATA_SET_TYPE, _SHORT.pack(NO_DATA_SET)),
            _element(STATUS, _SHORT.pack(status)),
            _element(ERROR_COMMENT, comment.encode("ascii")) if comment else b"",
            _element(AFFECTED_SOP_INSTANCE_UID, request.get(AFFECTED_SOP_INSTANCE_UID, b"")),
        )
    )
    return _element(0x0000, struct.pack("<I", len(body))) + body


def _element(element: int, value: bytes) -> bytes:
    padded = value + b" " if len(value) % 2 else value
    return _ELEMENT.pack(0, element, len(padded)) + padded
