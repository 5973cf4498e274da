"""Foreign listeners for the node's sender: a real one of pynetdicom's, and one that follows a script by hand."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import ThreadedAssociationServer

from dicomnode.dimse.presentation import EXPLICIT_LITTLE_ENDIAN
from dicomnode.dimse.sockets import SOCKET_HANDLERS
from tests.dimse.instances import MR_IMAGE_STORAGE
from tests.dimse.wire import pdu, read_pdu

VERIFICATION, CT_IMAGE_STORAGE = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2"
Script = Callable[[socket.socket], None]


class ForeignPacs:
    """Takes MR in Explicit Little Endian and echoes; answers with the statuses a test lays out, then with success."""

    def __init__(self) -> None:
        self._entity = AE(ae_title="PACS")
        self._entity.require_called_aet = True
        self._entity.add_supported_context(VERIFICATION)
        self._entity.add_supported_context(MR_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN)
        handlers: list[evt.EventHandlerType] = [
            *SOCKET_HANDLERS,
            (evt.EVT_ACCEPTED, self._count),
            (evt.EVT_C_STORE, self._take),
        ]
        server = self._entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(cast(ThreadedAssociationServer, server).server_address[1])
        self.clear()

    def clear(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.statuses: list[tuple[int, str]] = []
        self.associations = 0

    def stop(self) -> None:
        self._entity.shutdown()

    def _count(self, _event: evt.Event) -> None:
        self.associations += 1

    def _take(self, event: evt.Event) -> int | Dataset:
        request = cast(C_STORE, event.request)
        status, comment = self.statuses.pop(0) if self.statuses else (0, "")
        if status in (0, 0xB000, 0xB006, 0xB007) and request.DataSet is not None:
            self.received.append((str(request.AffectedSOPInstanceUID), request.DataSet.getvalue()))
        answer = Dataset()
        answer.Status = status
        if comment:
            answer.ErrorComment = comment
        return answer


@contextmanager
def scripted_peer(script: Script) -> Iterator[int]:
    """Listen on a port and let a script talk to one connection; the script's errors fail the test."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        server.settimeout(20)

        def serve() -> None:
            connection, _address = server.accept()
            with connection:
                connection.settimeout(20)
                script(connection)

        served = thread.submit(serve)
        yield int(server.getsockname()[1])
        served.result()


def let_in(connection: socket.socket, taken: int = 0) -> None:
    """Answer an association request by hand: 0 takes every context offered, 3 none (PS3.8 Table 9-18)."""
    _kind, request = read_pdu(connection)
    contexts = b"".join(
        b"\x21\0" + len(body).to_bytes(2, "big") + body
        for body in (_answer(number, taken) for number in _offered(request))
    )
    application, user = b"\x10\0\0\x151.2.840.10008.3.1.1.1", b"\x50\0\0\x08\x51\0\0\x04\0\0\0\0"
    connection.sendall(pdu(0x02, request[:68] + application + contexts + user))


def reject(connection: socket.socket, result: int, source: int, reason: int) -> None:
    """Answer an association request with a rejection."""
    read_pdu(connection)
    connection.sendall(pdu(0x03, bytes((0, result, source, reason))))
    read_pdu(connection)


def take_instance(connection: socket.socket) -> bytes:
    """Read one C-STORE request to its last fragment and give its command."""
    command = b""
    while True:
        kind, body = read_pdu(connection)
        assert kind == 0x04
        while body:
            size, control = int.from_bytes(body[:4], "big"), body[5]
            fragment, body = body[6 : 4 + size], body[4 + size :]
            if control & 1:
                command += fragment
            elif control == 2:
                return command


def answer_success(connection: socket.socket, command: bytes) -> None:
    """Answer C-STORE with success, by the request's own identifiers."""
    elements = _elements(command)
    answer = {
        0x0002: elements[0x0002],
        0x0100: b"\x01\x80",
        0x0120: elements[0x0110],
        0x0800: b"\x01\x01",
        0x0900: b"\0\0",
        0x1000: elements[0x1000],
    }
    encoded = b"".join(b"\0\0" + key.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
                       for key, value in answer.items())  # fmt: skip
    group_length = b"\0\0\0\0\x04\0\0\0" + len(encoded).to_bytes(4, "little")
    value = b"\x01\x03" + group_length + encoded
    connection.sendall(pdu(0x04, len(value).to_bytes(4, "big") + value))


def _elements(command: bytes) -> dict[int, bytes]:
    """Read the elements of a command set (Implicit Little Endian, group 0000)."""
    found = {}
    while command:
        element, size = int.from_bytes(command[2:4], "little"), int.from_bytes(command[4:8], "little")
        found[element], command = command[8 : 8 + size], command[8 + size :]
    return found


def _offered(request: bytes) -> list[int]:
    """List the context numbers of an association request."""
    numbers, items = [], request[68:]
    while items:
        kind, size = items[0], int.from_bytes(items[2:4], "big")
        if kind == 0x20:
            numbers.append(items[4])
        items = items[4 + size :]
    return numbers


def _answer(number: int, taken: int) -> bytes:
    syntax = EXPLICIT_LITTLE_ENDIAN.encode()
    return bytes((number, 0, taken, 0)) + b"\x40\0" + len(syntax).to_bytes(2, "big") + syntax
