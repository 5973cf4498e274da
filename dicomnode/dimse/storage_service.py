"""C-STORE as SCP (PS3.4 Annex B, PS3.7 section 9.1.1): the data set goes to the reception piece by piece."""

import logging
from collections.abc import Mapping, Sequence
from typing import cast

from pynetdicom.association import Association as PynetdicomAssociation

from dicomnode.dimse import message_reader
from dicomnode.dimse.command_set import (
    AFFECTED_SOP_CLASS_UID,
    AFFECTED_SOP_INSTANCE_UID,
    C_STORE_RQ,
    COMMAND_DATA_SET_TYPE,
    COMMAND_FIELD,
    NO_DATA_SET,
    c_store_response,
    number,
    read_command_set,
    uid,
)
from dicomnode.dimse.message_reader import ProtocolError, as_response
from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.errors import DicomnodeError, InvalidValue
from dicomnode.domain.ports import InstanceSink, Reception
from dicomnode.domain.uids import SOPClassUID, SOPInstanceUID, TransferSyntaxUID

_logger = logging.getLogger(__name__)

_SUCCESS = 0x0000
_COMMENT_LENGTH = 64


class StorageService:
    """Serves the C-STORE requests of one association."""

    def __init__(self, accepted: PynetdicomAssociation, association: Association, reception: Reception) -> None:
        self._syntaxes = {context.context_id: str(context.transfer_syntax[0]) for context in accepted.accepted_contexts}
        self._association = association
        self._reception = reception
        self._ended: list[Storing] = []

    def begin(self, context_id: int, command: bytes) -> "Storing | None":
        """Begin to store; None when this is another request."""
        request = read_command_set(command)
        if number(request, COMMAND_FIELD) != C_STORE_RQ:
            return None
        if context_id not in self._syntaxes or number(request, COMMAND_DATA_SET_TYPE) == NO_DATA_SET:
            raise ProtocolError("a C-STORE request without an accepted context or without a data set")
        return Storing(request, context_id, self._offer(request, self._syntaxes[context_id]), self._reception)

    def finish(self, storing: message_reader.Storing) -> None:
        """Take note that a data set has ended."""
        self._ended.append(cast(Storing, storing))  # `begin` makes no others

    def take_ended(self) -> Sequence["Storing"]:
        """Give what has ended since the last call, and has to be concluded."""
        ended, self._ended = self._ended, []
        return ended

    def expects_data_set(self, command: bytes) -> bool:
        """Say whether a data set follows (PS3.7 section 9.3, Command Data Set Type)."""
        return number(read_command_set(command), COMMAND_DATA_SET_TYPE) != NO_DATA_SET

    def _offer(self, request: Mapping[int, bytes], transfer_syntax: str) -> OfferedInstance | InvalidValue:
        try:
            return OfferedInstance(
                sop_class_uid=SOPClassUID(uid(request, AFFECTED_SOP_CLASS_UID)),
                sop_instance_uid=SOPInstanceUID(uid(request, AFFECTED_SOP_INSTANCE_UID)),
                transfer_syntax_uid=TransferSyntaxUID(transfer_syntax),
                association=self._association,
            )
        except InvalidValue as error:
            return error


class Storing:
    """One C-STORE under way; whatever goes wrong, the whole data set is taken and one response is given."""

    def __init__(
        self,
        request: Mapping[int, bytes],
        context_id: int,
        offered: OfferedInstance | InvalidValue,
        reception: Reception,
    ) -> None:
        self._request = request
        self._context_id = context_id
        self._refusal: DicomnodeError | None = None
        self.sink: InstanceSink | None = None
        """Where the data set goes; None as soon as it is refused."""
        if isinstance(offered, InvalidValue):
            self._refusal = offered
            return
        try:
            self.sink = reception.open(offered)
        except DicomnodeError as error:
            self._refusal = error

    def write(self, *pieces: memoryview) -> None:
        """Hand pieces of the data set on, unless the instance is refused already."""
        if self.sink is None:
            return
        try:
            self.sink.write(*pieces)
        except DicomnodeError as error:
            self.refuse(error)

    def refuse(self, error: DicomnodeError) -> None:
        """Note why the instance is not taken."""
        self._refusal = error
        self.abandon()

    def response(self) -> bytes:
        """Write the PDU that answers: success unless the instance was refused."""
        if self._refusal is None:
            return as_response(self._context_id, c_store_response(self._request, _SUCCESS))
        _logger.warning("instance refused: %s", self._refusal.reason)
        status, comment = self._refusal.dimse_status, as_comment(self._refusal.reason)
        return as_response(self._context_id, c_store_response(self._request, status, comment))

    def abandon(self) -> None:
        """Forget what came."""
        if self.sink is not None:
            self.sink.discard()
            self.sink = None


def conclude(reception: Reception, ended: Sequence[Storing]) -> Sequence[bytes]:
    """Let the reception make durable what ended, all together, and give the response to each."""
    open_ones = [(storing, storing.sink) for storing in ended if storing.sink is not None]
    outcomes = reception.accept([sink for _storing, sink in open_ones]) if open_ones else ()
    for (storing, _sink), error in zip(open_ones, outcomes, strict=True):
        if error is not None:
            storing.refuse(error)
    return [storing.response() for storing in ended]


def as_comment(text: str) -> str:
    """Make of a text what an Error Comment may hold: one LO value of the default repertoire (PS3.5 section 6.2)."""
    return text.encode("ascii", "replace").decode().replace("\\", "/")[:_COMMENT_LENGTH]
