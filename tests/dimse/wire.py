"""Upper layer PDUs written by hand, to say what no library would (PS3.8 section 9.3)."""

import socket
import struct

from dicomnode.dimse.presentation import EXPLICIT_LITTLE_ENDIAN
from tests.dimse.instances import MR_IMAGE_STORAGE

ACCEPTED, REJECTED, DATA, ABORTED = 0x02, 0x03, 0x04, 0x07
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"


def pdu(kind: int, body: bytes) -> bytes:
    """Frame a PDU."""
    return struct.pack(">BxI", kind, len(body)) + body


def association_request(
    calling: bytes = b"RAW",
    called: bytes = b"NODE",
    *,
    sop_class: str = MR_IMAGE_STORAGE,
    transfer_syntax: str = EXPLICIT_LITTLE_ENDIAN,
) -> bytes:
    """Build an A-ASSOCIATE-RQ for one context, with titles of any bytes."""
    context = b"\x01\0\0\0" + _item(0x30, sop_class) + _item(0x40, transfer_syntax)
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, "1.2.3.4")
    fixed = struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    return pdu(0x01, fixed + _item(0x10, _APPLICATION_CONTEXT) + _item(0x20, context) + _item(0x50, user))


def store_command(instance: str | bytes = "1.2.3", sop_class: str | bytes = MR_IMAGE_STORAGE) -> bytes:
    """Build the P-DATA-TF with the command of a C-STORE request whose data set is to follow."""
    elements = (
        (0x0002, _text(sop_class)),
        (0x0100, struct.pack("<H", 0x0001)),
        (0x0110, struct.pack("<H", 1)),
        (0x0700, struct.pack("<H", 0)),
        (0x0800, struct.pack("<H", 0x0001)),
        (0x1000, _text(instance)),
    )
    encoded = b"".join(struct.pack("<HHI", 0, element, len(value)) + value for element, value in elements)
    group_length = struct.pack("<HHII", 0, 0, 4, len(encoded))
    return data_pdu(group_length + encoded, control=0x03)


def data_pdu(fragment: bytes, control: int) -> bytes:
    """Build a P-DATA-TF with one fragment on the first context; control 3: whole command, 0: more data, 2: last."""
    value = bytes((1, control)) + fragment
    return pdu(DATA, struct.pack(">I", len(value)) + value)


def read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    """Read one PDU; kind 0 when the peer closed the connection."""
    head = _read(connection, 6)
    if len(head) < 6:
        return 0, b""
    kind, length = struct.unpack(">BxI", head)
    return kind, _read(connection, length)


def connect(port: int, seconds: float = 20) -> socket.socket:
    """Open a connection whose reads wait no longer than this."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.settimeout(seconds)
    return connection


def _item(kind: int, value: str | bytes) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return struct.pack(">BxH", kind, len(encoded)) + encoded


def _text(value: str | bytes) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return encoded + b"\0" * (len(encoded) % 2)


def _read(connection: socket.socket, size: int) -> bytes:
    """Read so many bytes, or what came before the end."""
    data = b""
    while len(data) < size:
        try:
            more = connection.recv(size - len(data))
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more
    return data
