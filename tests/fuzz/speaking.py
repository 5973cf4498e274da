"""A sender that says anything, and hears what it is answered."""

import contextlib
import socket
import struct
from dataclasses import dataclass, field

from tests.dimse.wire import ACCEPTED, DATA, association_request, connect, data_pdu, pdu, read_pdu, store_command
from tests.fuzz.data_sets import Offer

RELEASE_REQUEST = pdu(0x05, bytes(4))
_PIECE = 16_000
_FIRST_ITEM, _CONTEXT_RESULT = 68, 0x21
_STATUS, _AFFECTED_INSTANCE = 0x0900, 0x1000


def store_message(offer: Offer, piece: int = _PIECE) -> list[bytes]:
    """Write a C-STORE request as PDUs: command first, then the data set in pieces."""
    data = offer.data_set
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)] or [b""]
    last = len(pieces) - 1
    command = store_command(offer.sop_instance, offer.sop_class)
    return [command, *(data_pdu(one, control=2 if at == last else 0) for at, one in enumerate(pieces))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One C-STORE response."""

    status: int
    sop_instance: bytes


@dataclass
class Associations:
    """Open associations of one sender, one for each pair of SOP class and transfer syntax; ended ones are replaced."""

    port: int
    title: bytes
    open: dict[tuple[str, str], socket.socket] = field(default_factory=dict)

    def store(self, offer: Offer, sop_class: str) -> Answer | None:
        """Offer an instance on the context of a class; None when the association ended instead of an answer."""
        key = (sop_class, offer.transfer_syntax)
        if key not in self.open:
            self.open[key] = associate(self.port, self.title, *key)
        connection = self.open[key]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b"".join(store_message(offer)))
        answers = hear(connection, 1)
        if not answers:
            self.open.pop(key).close()
            return None
        return answers[0]

    def close(self) -> None:
        """Release all of them."""
        for connection in self.open.values():
            release(connection)
        self.open.clear()


def associate(port: int, title: bytes, sop_class: str, transfer_syntax: str) -> socket.socket:
    """Open an association that the node must accept."""
    connection = connect(port)
    connection.sendall(association_request(called=title, sop_class=sop_class, transfer_syntax=transfer_syntax))
    kind, _body = read_pdu(connection)
    assert kind == ACCEPTED, f"the association was answered by PDU {kind}"
    return connection


def is_context_accepted(port: int, title: bytes, sop_class: str, transfer_syntax: str) -> bool:
    """Ask for an association with one context, and read whether the node takes it (PS3.8 Table 9-18)."""
    with connect(port) as connection:
        connection.sendall(association_request(called=title, sop_class=sop_class, transfer_syntax=transfer_syntax))
        kind, body = read_pdu(connection)
    at = _FIRST_ITEM
    while kind == ACCEPTED and at < len(body):
        item, length = struct.unpack_from(">BxH", body, at)
        if item == _CONTEXT_RESULT:
            return body[at + 6] == 0
        at += 4 + length
    return False


def release(connection: socket.socket) -> None:
    """End an association in good order."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(RELEASE_REQUEST)
        while read_pdu(connection)[0]:
            pass
    connection.close()


def hear(connection: socket.socket, most: int | None = None) -> list[Answer]:
    """Read C-STORE responses until there are so many or the association ends; other messages are passed over."""
    answers: list[Answer] = []
    while most is None or len(answers) < most:
        kind, body = read_pdu(connection)
        if kind == DATA:
            answers += _responses(body)
        elif kind != ACCEPTED:
            break
    return answers


def _responses(body: bytes) -> list[Answer]:
    """Read the responses in the PDVs of a P-DATA-TF."""
    found, at = [], 0
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        elements = _command(body[at + 6 : at + 4 + length])
        if elements.get(0x0100) == struct.pack("<H", 0x8001):
            (status,) = struct.unpack("<H", elements[_STATUS])
            found.append(Answer(status=status, sop_instance=elements[_AFFECTED_INSTANCE].rstrip(b"\0 ")))
        at += 4 + length
    return found


def _command(encoded: bytes) -> dict[int, bytes]:
    elements, at = {}, 0
    while at < len(encoded):
        _group, number, length = struct.unpack_from("<HHI", encoded, at)
        elements[number] = encoded[at + 8 : at + 8 + length]
        at += 8 + length
    return elements
