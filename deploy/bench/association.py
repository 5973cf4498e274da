"""The requestor's end of an association, reduced to what a load needs (PS3.8 section 9.3, PS3.7 section 9.3.1).

Written apart from the node's own sender, so that what is measured does not stand on what measures.
"""

import socket
import struct
from dataclasses import dataclass
from types import TracebackType

from deploy.bench.data_sets import FreshInstance

_ASSOCIATE_AC, _P_DATA, _RELEASE_RQ = 0x02, 0x04, 0x05
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_EXPLICIT_LITTLE_ENDIAN = b"1.2.840.10008.1.2.1"
_IMPLEMENTATION_CLASS_UID = b"2.25.212303070409939435644181987752608629992"
_CONTEXT_ID = 1
_LARGEST_SENT = 131_072
"""DCMTK sends no longer PDU either, whatever the peer would take."""
_LAST_DATA, _MORE_DATA, _COMMAND = 0x02, 0x00, 0x03
_STATUS = 0x0900
_ITEMS_START = 68
_MAXIMUM_LENGTH_ITEM, _USER_INFORMATION_ITEM, _CONTEXT_RESULT_ITEM = 0x51, 0x50, 0x21
_PDV_FRONT = 6
_ACCEPTANCE = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptor:
    """Who is called: host, port and AE title, and how many seconds it may be silent."""

    host: str
    port: int
    ae_title: str
    patience: float = 120.0


class AssociationRequestor:
    """One open association with one presentation context; raises ConnectionError when the peer does not play along."""

    def __init__(self, acceptor: Acceptor, sop_class_uid: str) -> None:
        self._socket = socket.create_connection((acceptor.host, acceptor.port), acceptor.patience)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            peer_takes = self._associate(acceptor.ae_title, sop_class_uid)
        except OSError:
            self._socket.close()
            raise
        self.pdu_length = min(peer_takes or _LARGEST_SENT, _LARGEST_SENT)
        """How long the variable field of a PDU may be, in bytes (PS3.8 Annex D.1)."""

    def __enter__(self) -> "AssociationRequestor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.release()
        self._socket.close()

    def store(self, request: bytes) -> int:
        """Send a C-STORE request made by `store_request` and give the status of the response."""
        self._socket.sendall(request)
        # Peers that write a response in two pieces would otherwise wait 40 ms for our delayed ACK of the first.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        kind, body = self._read_pdu()
        if kind != _P_DATA:
            raise ConnectionError(f"PDU type {kind} came instead of a response")
        return _status(body)

    def release(self) -> None:
        """End the association in good order."""
        self._socket.sendall(struct.pack(">BBII", _RELEASE_RQ, 0, 4, 0))
        self._read_pdu()

    def _associate(self, called_ae: str, sop_class_uid: str) -> int:
        """Ask for the association; gives the longest PDU that the peer takes, 0 for any."""
        self._socket.sendall(_associate_request(called_ae, sop_class_uid))
        kind, body = self._read_pdu()
        if kind != _ASSOCIATE_AC:
            raise ConnectionError(f"the association was not accepted (PDU type {kind})")
        return _negotiated_length(body)

    def _read_pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._read(6))
        return kind, self._read(length)

    def _read(self, length: int) -> bytes:
        received = bytearray()
        while len(received) < length:
            piece = self._socket.recv(length - len(received))
            if not piece:
                raise ConnectionError("the peer closed the connection")
            received += piece
        return bytes(received)


def store_request(instance: FreshInstance, message_id: int, pdu_length: int) -> bytes:
    """Encode a whole C-STORE request as it goes over the wire, command and data set, in PDUs of so many bytes."""
    pieces = _p_data(_COMMAND, _store_command(instance, message_id))
    data, step = memoryview(instance.data_set), pdu_length - _PDV_FRONT
    for start in range(0, len(data), step):
        is_last = start + step >= len(data)
        pieces += _p_data(_LAST_DATA if is_last else _MORE_DATA, data[start : start + step])
    return b"".join(pieces)


def _p_data(control: int, fragment: bytes | memoryview) -> list[bytes | memoryview]:
    """Put one fragment into a P-DATA-TF PDU (PS3.8 section 9.3.5)."""
    length = len(fragment)
    return [struct.pack(">BBIIBB", _P_DATA, 0, length + _PDV_FRONT, length + 2, _CONTEXT_ID, control), fragment]


def _store_command(instance: FreshInstance, message_id: int) -> bytes:
    """Encode the command set of a C-STORE request (PS3.7 Table 9.3-1)."""
    elements = b"".join(
        (
            _element(0x0002, _uid_value(instance.sop_class_uid)),
            _element(0x0100, struct.pack("<H", 0x0001)),
            _element(0x0110, struct.pack("<H", message_id)),
            _element(0x0700, struct.pack("<H", 0x0000)),
            _element(0x0800, struct.pack("<H", 0x0001)),
            _element(0x1000, _uid_value(instance.sop_instance_uid)),
        )
    )
    return _element(0x0000, struct.pack("<I", len(elements))) + elements


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0x0000, element, len(value)) + value


def _uid_value(uid: str) -> bytes:
    value = uid.encode("ascii")
    return value + b"\0" if len(value) % 2 else value


def _associate_request(called_ae: str, sop_class_uid: str) -> bytes:
    """Encode an A-ASSOCIATE-RQ with one presentation context (PS3.8 section 9.3.2)."""
    syntaxes = _item(0x30, sop_class_uid.encode("ascii")) + _item(0x40, _EXPLICIT_LITTLE_ENDIAN)
    user = _item(0x51, struct.pack(">I", 16_384)) + _item(0x52, _IMPLEMENTATION_CLASS_UID) + _item(0x55, b"BENCH")
    fields = b"".join(
        (
            struct.pack(">HH", 1, 0),
            called_ae.encode("ascii").ljust(16),
            b"BENCH".ljust(16),
            bytes(32),
            _item(0x10, _APPLICATION_CONTEXT),
            _item(0x20, bytes((_CONTEXT_ID, 0, 0, 0)) + syntaxes),
            _item(0x50, user),
        )
    )
    return struct.pack(">BBI", 0x01, 0, len(fields)) + fields


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _negotiated_length(accepted: bytes) -> int:
    """Read the largest PDU that the acceptor takes, 0 for any; raises ConnectionError without the context."""
    length = 0
    for kind, value in _items(accepted, _ITEMS_START):
        if kind == _CONTEXT_RESULT_ITEM and value[2] != _ACCEPTANCE:
            raise ConnectionError(f"the presentation context was not accepted (result {value[2]})")
        if kind == _USER_INFORMATION_ITEM:
            found = dict(_items(value, 0)).get(_MAXIMUM_LENGTH_ITEM, bytes(4))
            (length,) = struct.unpack(">I", found)
    return length


def _items(data: bytes, position: int) -> list[tuple[int, bytes]]:
    found = []
    while position + 4 <= len(data):
        kind, length = struct.unpack_from(">BxH", data, position)
        found.append((kind, data[position + 4 : position + 4 + length]))
        position += 4 + length
    return found


def _status(response: bytes) -> int:
    """Read the Status of a response that came in one fragment (PS3.7 section 9.3.1.2)."""
    if response[5] != _COMMAND:
        raise ConnectionError("a response that is no whole command set")
    position = _PDV_FRONT
    while position + 8 <= len(response):
        _group, element, length = struct.unpack_from("<HHI", response, position)
        if element == _STATUS:
            return int(struct.unpack_from("<H", response, position + 8)[0])
        position += 8 + length
    raise ConnectionError("a response without a status")
