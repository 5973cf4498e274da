"""C-STORE as SCP (PS3.4 Annex B, PS3.7 section 9.1.1): the data set goes to the reception piece by piece."""

import logging
from collections.abc import Mapping

from pynetdicom.association import Association as PynetdicomAssociation

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
from dicomnode.dimse.message_reader import ProtocolError
from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.errors import DicomnodeError
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

    def begin(self, context_id: int, command: bytes) -> "Storing | None":
        """Begin to store; None when this is another request."""
        request = read_command_set(command)
        if number(request, COMMAND_FIELD) != C_STORE_RQ:
            return None
        if context_id not in self._syntaxes or not self.expects_data_set(command):
            raise ProtocolError("a C-STORE request without an accepted context or without a data set")
        return Storing(request, self._syntaxes[context_id], self._association, self._reception)

    def expects_data_set(self, command: bytes) -> bool:
        """Say whether a data set follows (PS3.7 section 9.3, Command Data Set Type)."""
        return number(read_command_set(command), COMMAND_DATA_SET_TYPE) != NO_DATA_SET


class Storing:
    """One C-STORE under way; whatever goes wrong, the whole data set is taken and one response is given."""

    def __init__(
        self, request: Mapping[int, bytes], transfer_syntax: str, association: Association, reception: Reception
    ) -> None:
        self._request = request
        self._refusal: DicomnodeError | None = None
        self._sink: InstanceSink | None = None
        try:
            offered = OfferedInstance(
                sop_class_uid=SOPClassUID(uid(request, AFFECTED_SOP_CLASS_UID)),
                sop_instance_uid=SOPInstanceUID(uid(request, AFFECTED_SOP_INSTANCE_UID)),
                transfer_syntax_uid=TransferSyntaxUID(transfer_syntax),
                association=association,
            )
            self._sink = reception.open(offered)
        except DicomnodeError as error:
            self._refusal = error

    def write(self, data: memoryview) -> None:
        """Hand a piece of the data set on, unless the instance is refused already."""
        if self._sink is None or self._refusal is not None:
            return
        try:
            self._sink.write(data)
        except DicomnodeError as error:
            self._refusal = error
            self._sink.discard()

    def finish(self) -> bytes:
        """Answer when the instance is durable, or say why it is not taken."""
        if self._sink is not None and self._refusal is None:
            try:
                self._sink.accept()
            except DicomnodeError as error:
                self._refusal = error
            finally:
                self._sink.discard()
        if self._refusal is None:
            return c_store_response(self._request, _SUCCESS)
        _logger.warning("instance refused: %s", self._refusal.reason)
        return c_store_response(self._request, self._refusal.dimse_status, as_comment(self._refusal.reason))

    def abandon(self) -> None:
        """Forget what came."""
        if self._sink is not None:
            self._sink.discard()


def as_comment(text: str) -> str:
    """Make of a text what an Error Comment may hold: one LO value of the default repertoire (PS3.5 section 6.2)."""
    return text.encode("ascii", "replace").decode().replace("\\", "/")[:_COMMENT_LENGTH]
