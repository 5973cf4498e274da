"""Reading P-DATA straight from a socket: large reads, no PDU objects; C-STORE data sets go on as they come.

P-DATA-TF PDUs hold PDVs: length (4), presentation context ID (1), message control header (1), fragment (PS3.8 section
9.3.5, Annex E.2). A message is a command set, in one or more PDVs, and its data set, if it has one, in those after it.
"""

import socket
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

P_DATA_TF = 0x04
PDU_HEADER = struct.Struct(">BBI")
PDV_HEADER = struct.Struct(">IBB")
_IS_COMMAND, _IS_LAST = 0x01, 0x02
_BLOCK = 256 * 1024
_LONGEST_COMMAND = 64 * 1024
"""No command set is longer; a peer that sends more is not speaking DIMSE."""


class ProtocolError(Exception):
    """The peer sent P-DATA that is none."""


class ConnectionClosed(Exception):
    """The peer is gone in the middle of a PDU."""


class Storing(Protocol):
    """One C-STORE under way: takes its data set in pieces and gives the response to send."""

    def write(self, data: memoryview) -> None:
        """Take the next piece; it is only valid during the call."""
        ...

    def finish(self) -> bytes:
        """End the data set and give the encoded command set of the response."""
        ...

    def abandon(self) -> None:
        """Forget what came; the peer is gone."""
        ...


class Service(Protocol):
    """Decides what becomes of a message by its command set."""

    def begin(self, context_id: int, command: bytes) -> Storing | None:
        """Begin to store; None when the message is not a C-STORE request and somebody else has to answer it."""
        ...

    def expects_data_set(self, command: bytes) -> bool:
        """Say whether a data set follows the command set."""
        ...


class Next(Enum):
    """What the association has to do after a call of `MessageReader.read`."""

    WAIT = "everything that came was dealt with"
    FOREIGN = "the next PDU is for somebody else; its bytes are given back by `take_foreign`"


@dataclass(slots=True)
class _Fragment:
    """Where the reader stands inside the fragment of a PDV."""

    context_id: int = 0
    is_command: bool = False
    is_last: bool = False
    left: int = 0


class MessageReader:
    """Reads the messages of one association; C-STORE requests are served, anything else is handed over as PDUs."""

    def __init__(self, connection: socket.socket, service: Service) -> None:
        self._socket = connection
        self._service = service
        self._buffer = bytearray(_BLOCK)
        self._view = memoryview(self._buffer)
        self._low = self._high = 0
        self._pdu_left = 0
        self._command = bytearray()
        self._storing: Storing | None = None
        self._foreign_message = False
        self._foreign = bytearray()

    def read(self) -> Next:
        """Serve what the peer has sent until nothing is left of it or a PDU is for somebody else.

        Blocks only in the middle of a message. Raises ProtocolError or ConnectionClosed; also what the socket raises.
        """
        if self._low == self._high and not self._receive():
            raise ConnectionClosed
        while self._storing is not None or self._command or self._pdu_left or self._low < self._high:
            if self._pdu_left:
                self._read_pdv()
            else:
                self._need(PDU_HEADER.size)
                kind, _reserved, length = PDU_HEADER.unpack_from(self._buffer, self._low)
                if kind != P_DATA_TF:
                    return Next.FOREIGN
                self._low += PDU_HEADER.size
                self._pdu_left = length
            if self._foreign:
                return Next.FOREIGN
        return Next.WAIT

    def take_foreign(self) -> bytes:
        """Give the bytes that belong to somebody else: one PDU that was put together again, or all that is unread."""
        if self._foreign:
            given, self._foreign = bytes(self._foreign), bytearray()
            return given
        given = bytes(self._view[self._low : self._high])
        self._low = self._high = 0
        return given

    def abandon(self) -> None:
        """Forget the message under way: the association has ended."""
        if self._storing is not None:
            self._storing.abandon()
            self._storing = None

    @property
    def has_unread(self) -> bool:
        """Whether bytes of the peer lie here already."""
        return self._low < self._high

    def _read_pdv(self) -> None:
        """Read one PDV of the PDU under way."""
        self._need(PDV_HEADER.size)
        length, context_id, control = PDV_HEADER.unpack_from(self._buffer, self._low)
        self._low += PDV_HEADER.size
        self._pdu_left -= 4 + length
        if length < 2 or self._pdu_left < 0:
            raise ProtocolError("a PDV does not fit into its PDU")
        fragment = _Fragment(context_id, bool(control & _IS_COMMAND), bool(control & _IS_LAST), length - 2)
        if self._foreign_message:
            self._pass_on(fragment, control)
        elif fragment.is_command:
            self._read_command(fragment)
        elif self._storing is not None:
            self._read_data(fragment, self._storing)
        else:
            raise ProtocolError("a data set without its command set")

    def _read_command(self, fragment: _Fragment) -> None:
        """Collect a command set and, when it is whole, begin to serve it or hand it over."""
        if self._storing is not None or len(self._command) + fragment.left > _LONGEST_COMMAND:
            raise ProtocolError("a command set where none belongs")
        self._command += self._collect(fragment.left)
        if not fragment.is_last:
            return
        command, self._command = bytes(self._command), bytearray()
        try:
            self._storing = self._service.begin(fragment.context_id, command)
            if self._storing is None:
                self._foreign += _as_pdu(fragment.context_id, _IS_COMMAND | _IS_LAST, command)
                self._foreign_message = self._service.expects_data_set(command)
        except ValueError as error:
            raise ProtocolError("not a command set") from error

    def _read_data(self, fragment: _Fragment, storing: Storing) -> None:
        """Hand a fragment on piece by piece, as it lies in the buffer, and answer after the last one."""
        while fragment.left:
            if self._low == self._high and not self._receive():
                raise ConnectionClosed
            end = min(self._low + fragment.left, self._high)
            storing.write(self._view[self._low : end])
            fragment.left -= end - self._low
            self._low = end
        if fragment.is_last:
            self._storing = None
            response = storing.finish()
            self._socket.sendall(_as_pdu(fragment.context_id, _IS_COMMAND | _IS_LAST, response))

    def _pass_on(self, fragment: _Fragment, control: int) -> None:
        """Put a PDV of a message that somebody else serves into a PDU of its own."""
        self._foreign += _as_pdu(fragment.context_id, control, self._collect(fragment.left))
        if fragment.is_last and not fragment.is_command:
            self._foreign_message = False

    def _collect(self, size: int) -> bytes:
        """Take bytes that may be more than the buffer holds."""
        collected = bytearray()
        while len(collected) < size:
            if self._low == self._high and not self._receive():
                raise ConnectionClosed
            end = min(self._low + size - len(collected), self._high)
            collected += self._view[self._low : end]
            self._low = end
        return bytes(collected)

    def _need(self, size: int) -> None:
        """Have at least so many bytes in one piece (a header)."""
        while self._high - self._low < size:
            if not self._receive():
                raise ConnectionClosed

    def _receive(self) -> bool:
        """Read as much as fits behind what is unread; False when the peer has closed."""
        if self._low == self._high:
            self._low = self._high = 0
        elif self._high == len(self._buffer):
            unread = self._high - self._low
            self._view[:unread] = self._view[self._low : self._high]
            self._low, self._high = 0, unread
        received = self._socket.recv_into(self._view[self._high :])
        self._high += received
        if received:
            acknowledge_now(self._socket)
        return received > 0


def acknowledge_now(connection: socket.socket) -> None:
    """Keep the kernel from delaying its next ACK: peers that leave Nagle's algorithm on wait for it (40 ms)."""
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _as_pdu(context_id: int, control: int, fragment: bytes) -> bytes:
    """Write one P-DATA-TF PDU with one PDV (PS3.8 section 9.3.5)."""
    length = len(fragment) + 2
    return b"".join((PDU_HEADER.pack(P_DATA_TF, 0, length + 4), PDV_HEADER.pack(length, context_id, control), fragment))
