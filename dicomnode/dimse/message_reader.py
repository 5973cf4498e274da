"""Reading P-DATA as it lies in a read buffer: no PDU objects; C-STORE data sets go on as they come.

P-DATA-TF PDUs hold PDVs: length (4), presentation context ID (1), message control header (1), fragment (PS3.8 section
9.3.5, Annex E.2). A message is a command set, in one or more PDVs, and its data set, if it has one, in those after it.
"""

import struct
from typing import Protocol

P_DATA_TF = 0x04
PDU_HEADER = struct.Struct(">BBI")
PDV_HEADER = struct.Struct(">IBB")
_HEADER_SIZE = PDU_HEADER.size
_IS_COMMAND, _IS_LAST = 0x01, 0x02
_LONGEST_COMMAND = 64 * 1024
"""No command set is longer; a peer that sends more is not speaking DIMSE."""
_LONGEST_FOREIGN = 16 * 1024 * 1024
"""No data set of another service is longer: it is held in memory, which C-STORE's is not."""


class ProtocolError(Exception):
    """The peer sent P-DATA that is none."""


class Storing(Protocol):
    """One C-STORE under way: takes its data set in pieces."""

    def write(self, *pieces: memoryview) -> None:
        """Take the next pieces; they are only valid during the call."""
        ...

    def abandon(self) -> None:
        """Forget what came; the peer is gone."""
        ...


class Service(Protocol):
    """Decides what becomes of a message by its command set."""

    def begin(self, context_id: int, command: bytes) -> Storing | None:
        """Begin to store; None when the message is not a C-STORE request and somebody else has to answer it."""
        ...

    def finish(self, storing: Storing) -> None:
        """Take note that a data set has ended; the answer is given later."""
        ...

    def expects_data_set(self, command: bytes) -> bool:
        """Say whether a data set follows the command set."""
        ...


class MessageReader:
    """Reads the messages of one association; C-STORE requests are served, anything else is set aside as PDUs."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._partial = b""
        """The first bytes of a header whose others have not come."""
        self._pdu_left = 0
        self._fragment_left = 0
        self._context_id = self._control = 0
        self._command = bytearray()
        self._storing: Storing | None = None
        self._pieces: list[memoryview] = []
        self._is_foreign = False
        self._foreign_size = 0
        self._foreign = bytearray()

    def feed(self, data: memoryview) -> int:
        """Read what came; gives how many bytes were used.

        All are, unless `take_foreign` has something: then the rest has to be fed again after that was dealt with.
        Raises ProtocolError.
        """
        position, end = 0, len(data)
        while position < end and not self._foreign:
            if self._fragment_left:
                position += self._read_fragment(data[position : position + self._fragment_left])
            else:
                position += self._read_header(data, position)
        self._hand_on()
        return position

    def take_foreign(self) -> bytes:
        """Give what belongs to somebody else: one whole P-DATA-TF PDU, or the beginning of a PDU of another type."""
        given, self._foreign = bytes(self._foreign), bytearray()
        return given

    def abandon(self) -> None:
        """Forget the message under way: the association has ended."""
        self._pieces = []
        if self._storing is not None:
            self._storing.abandon()
            self._storing = None

    def _read_header(self, data: memoryview, position: int) -> int:
        """Read the header of a PDU or PDV; gives how many bytes were used of it."""
        missing = _HEADER_SIZE - len(self._partial)
        header = self._partial + bytes(data[position : position + missing])
        if len(header) < _HEADER_SIZE:
            self._partial = header
            return len(header) - (_HEADER_SIZE - missing)
        self._partial = b""
        if self._pdu_left:
            self._begin_fragment(header)
        elif header[0] == P_DATA_TF:
            (self._pdu_left,) = struct.unpack_from(">I", header, 2)
        else:
            self._foreign += header
        return missing

    def _begin_fragment(self, header: bytes) -> None:
        length, self._context_id, self._control = PDV_HEADER.unpack(header)
        self._pdu_left -= 4 + length
        if length < 2 or self._pdu_left < 0:
            raise ProtocolError("a PDV does not fit into its PDU")
        self._fragment_left = length - 2
        self._check_fragment()
        if not self._fragment_left:
            self._end_fragment()

    def _check_fragment(self) -> None:
        """Raise ProtocolError for a fragment that may not come now, or is too long to be held."""
        if self._is_foreign:
            self._foreign_size += self._fragment_left
            if self._foreign_size > _LONGEST_FOREIGN:
                raise ProtocolError("a data set that is too long for its service")
        elif self._control & _IS_COMMAND:
            if self._storing is not None or len(self._command) + self._fragment_left > _LONGEST_COMMAND:
                raise ProtocolError("a command set where none belongs")
        elif self._storing is None:
            raise ProtocolError("a data set without its command set")

    def _read_fragment(self, piece: memoryview) -> int:
        """Take the next bytes of the fragment under way, as many as there are of it."""
        if self._storing is not None:
            self._pieces.append(piece)
        else:
            self._command += piece
        self._fragment_left -= len(piece)
        if not self._fragment_left:
            self._end_fragment()
        return len(piece)

    def _end_fragment(self) -> None:
        is_last = bool(self._control & _IS_LAST)
        if self._storing is not None:
            if is_last:
                self._hand_on()
                ended, self._storing = self._storing, None
                self._service.finish(ended)
        elif self._is_foreign:
            self._pass_on(is_last)
        elif is_last:
            self._begin_message()

    def _hand_on(self) -> None:
        """Hand the pieces of a data set on, all at once."""
        if self._storing is not None and self._pieces:
            pieces, self._pieces = self._pieces, []
            self._storing.write(*pieces)

    def _begin_message(self) -> None:
        """Begin to serve a message whose command set is whole, or set it aside."""
        command, self._command = bytes(self._command), bytearray()
        try:
            self._storing = self._service.begin(self._context_id, command)
            if self._storing is None:
                self._foreign += as_pdu(self._context_id, _IS_COMMAND | _IS_LAST, command)
                self._is_foreign = self._service.expects_data_set(command)
                self._foreign_size = 0
        except ValueError as error:
            raise ProtocolError("not a command set") from error

    def _pass_on(self, is_last: bool) -> None:
        """Put a fragment of a message that somebody else serves into a PDU of its own."""
        self._foreign += as_pdu(self._context_id, self._control, bytes(self._command))
        self._command = bytearray()
        if is_last and not self._control & _IS_COMMAND:
            self._is_foreign = False


def as_pdu(context_id: int, control: int, fragment: bytes) -> bytes:
    """Write one P-DATA-TF PDU with one PDV (PS3.8 section 9.3.5)."""
    length = len(fragment) + 2
    return b"".join((PDU_HEADER.pack(P_DATA_TF, 0, length + 4), PDV_HEADER.pack(length, context_id, control), fragment))


def as_response(context_id: int, command: bytes) -> bytes:
    """Write a message that is a command set alone."""
    return as_pdu(context_id, _IS_COMMAND | _IS_LAST, command)
