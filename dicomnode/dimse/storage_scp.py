"""The listener: C-STORE and C-ECHO as SCP (PS3.4 Annex A and B, PS3.7 section 9.1), on pynetdicom.

The encoded data set goes to the reception as bytes; nothing is decoded here, and success is answered only after the
reception has accepted, that is, after the instance is durable.
"""

import logging
from dataclasses import dataclass
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import ThreadedAssociationServer

from dicomnode.dimse.presentation import accepted_contexts
from dicomnode.dimse.sockets import SOCKET_HANDLERS
from dicomnode.domain.association import Association, Door, OfferedInstance
from dicomnode.domain.errors import DicomnodeError, InvalidSettings, InvalidValue
from dicomnode.domain.ports import Reception
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, TransferSyntaxUID

_logger = logging.getLogger(__name__)

_SUCCESS = 0x0000
_REJECTED_PERMANENT, _BY_SERVICE_USER = 0x01, 0x01
_CALLING_NOT_RECOGNIZED, _CALLED_NOT_RECOGNIZED = 0x03, 0x07
_COMMENT_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where and how the listener waits for associations."""

    host: str
    port: int
    door: Door
    maximum_associations: int = 64
    idle_seconds: float = 60
    """How long a peer may say nothing, before its request, within a message or between two."""


class StorageSCP:
    """A running listener on one address."""

    def __init__(self, listening: Listening, reception: Reception) -> None:
        self._listening = listening
        self._reception = reception
        self._entity: AE | None = None
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> None:
        """Begin to listen; raises InvalidSettings when the address cannot be had."""
        _config.LOG_HANDLER_LEVEL = "none"
        _config.LOG_REQUEST_IDENTIFIERS = False
        listening = self._listening
        entity = AE(ae_title=listening.door.called_ae[0])
        entity.maximum_pdu_size = 0
        entity.maximum_associations = listening.maximum_associations
        entity.network_timeout = entity.acse_timeout = listening.idle_seconds
        handlers: list[evt.EventHandlerType] = [
            *SOCKET_HANDLERS,
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_ECHO, _echo),
        ]
        try:
            server = entity.start_server(
                (listening.host, listening.port),
                block=False,
                evt_handlers=handlers,
                contexts=list(accepted_contexts()),
            )
        except OSError as error:
            raise InvalidSettings(
                f"cannot listen on {listening.host} port {listening.port} ({error.strerror})"
            ) from error
        self._entity, self._server = entity, cast(ThreadedAssociationServer, server)

    @property
    def port(self) -> int:
        """The TCP port that is really listened on (useful when 0 was asked for)."""
        if self._server is None or self._server.socket is None:
            return self._listening.port
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Abort open associations and stop listening."""
        if self._entity is not None:
            self._entity.shutdown()
            self._entity = self._server = None

    def _admit(self, event: evt.Event) -> None:
        """Turn away who does not belong, with the standard's reason, and record it (PS3.8 section 9.3.4)."""
        try:
            association = _association_of(event)
        except InvalidValue as error:
            event.assoc.acse.send_reject(_REJECTED_PERMANENT, _BY_SERVICE_USER, _CALLING_NOT_RECOGNIZED)
            event.assoc.kill()
            _logger.warning("association refused: %s", error.reason)
            return
        reason = self._listening.door.refusal(association)
        if reason is None:
            return
        is_called = association.called_ae not in self._listening.door.called_ae
        diagnostic = _CALLED_NOT_RECOGNIZED if is_called else _CALLING_NOT_RECOGNIZED
        event.assoc.acse.send_reject(_REJECTED_PERMANENT, _BY_SERVICE_USER, diagnostic)
        event.assoc.kill()
        _logger.warning("association refused: %s", reason)
        self._reception.refused(association, reason)

    def _store(self, event: evt.Event) -> int | Dataset:
        """Take one instance and answer only when it is durable."""
        try:
            sink = self._reception.open(_offered(event))
            try:
                sink.write(_encoded_data_set(event))
                sink.accept()
            finally:
                sink.discard()
        except DicomnodeError as error:
            _logger.warning("instance refused: %s", error.reason)
            return _refusal(error)
        return _SUCCESS


def _association_of(event: evt.Event) -> Association:
    """Read who is at the other end; raises InvalidValue for titles the standard does not allow."""
    requestor = event.assoc.requestor
    request = cast(A_ASSOCIATE, requestor.primitive)
    return Association(
        calling_ae=AETitle(request.calling_ae_title or ""),
        called_ae=AETitle(request.called_ae_title or ""),
        peer_address=str(requestor.address),
    )


def _offered(event: evt.Event) -> OfferedInstance:
    """Read what the sender says of the instance; raises InvalidValue for malformed UIDs."""
    request = cast(C_STORE, event.request)
    return OfferedInstance(
        sop_class_uid=SOPClassUID(request.AffectedSOPClassUID or ""),
        sop_instance_uid=SOPInstanceUID(request.AffectedSOPInstanceUID or ""),
        transfer_syntax_uid=TransferSyntaxUID(event.context.transfer_syntax),
        association=_association_of(event),
    )


def _encoded_data_set(event: evt.Event) -> memoryview:
    """Give the bytes of the data set as they came."""
    data_set = cast(C_STORE, event.request).DataSet
    return data_set.getbuffer() if data_set is not None else memoryview(b"")


def _refusal(error: DicomnodeError) -> Dataset:
    """Answer a status with a comment that the sender's operator can read (PS3.7 Annex C)."""
    status = Dataset()
    status.Status = error.dimse_status
    status.ErrorComment = _comment(error.reason)
    return status


def _comment(text: str) -> str:
    """Make of a text what an Error Comment may hold: one LO value of the default repertoire (PS3.5 section 6.2)."""
    return text.encode("ascii", "replace").decode().replace("\\", "/")[:_COMMENT_LENGTH]


def _echo(_event: evt.Event) -> int:
    """Answer C-ECHO (PS3.7 section 9.1.5)."""
    return _SUCCESS
