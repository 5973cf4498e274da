"""The listener: C-STORE and C-ECHO as SCP (PS3.4 Annex A and B, PS3.7 section 9.1), on pynetdicom.

The encoded data set goes to the reception as bytes; nothing is decoded here, and success is answered only after the
reception has accepted, that is, after the instance is durable.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association as PynetdicomAssociation
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import ThreadedAssociationServer

from dicomnode.dimse.fast_receive import request_handler
from dicomnode.dimse.presentation import accepted_contexts
from dicomnode.dimse.services import Service
from dicomnode.dimse.sockets import SOCKET_HANDLERS
from dicomnode.dimse.storage_service import StorageService
from dicomnode.domain.association import Association, Door
from dicomnode.domain.capacity import Capacity
from dicomnode.domain.errors import InvalidSettings, InvalidValue
from dicomnode.domain.ports import Reception
from dicomnode.domain.uids import AETitle

_logger = logging.getLogger(__name__)

_SUCCESS = 0x0000
_REJECTED_PERMANENT, _BY_SERVICE_USER = 0x01, 0x01
_CALLING_NOT_RECOGNIZED, _CALLED_NOT_RECOGNIZED = 0x03, 0x07
_REJECTED_TRANSIENT, _BY_PRESENTATION_LAYER, _TEMPORARY_CONGESTION = 0x02, 0x03, 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where and how the listener waits for associations."""

    host: str
    port: int
    door: Door
    maximum_associations: int = 64
    idle_seconds: float = 60
    """How long a peer may say nothing, before its request, within a message or between two."""
    capacity: Capacity | None = None
    """Tells when no association is let in for want of room; left out: there is always room."""


class StorageSCP:
    """A running listener on one address."""

    def __init__(self, listening: Listening, reception: Reception, services: Sequence[Service] = ()) -> None:
        self._listening = listening
        self._reception = reception
        self._services = tuple(services)
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
            (evt.EVT_C_ECHO, _echo),
            *(handler for service in self._services for handler in service.handlers),
        ]
        further = [context for service in self._services for context in service.contexts]
        try:
            server = entity.make_server(
                (listening.host, listening.port),
                evt_handlers=handlers,
                contexts=[*accepted_contexts(), *further],
                server_class=ThreadedAssociationServer,
                request_handler=request_handler(self._service),
            )
        except OSError as error:
            raise InvalidSettings(
                f"cannot listen on {listening.host} port {listening.port} ({error.strerror})"
            ) from error
        entity._servers.append(server)
        self._entity, self._server = entity, server
        threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()

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
            association = _association_of(event.assoc)
        except InvalidValue as error:
            event.assoc.acse.send_reject(_REJECTED_PERMANENT, _BY_SERVICE_USER, _CALLING_NOT_RECOGNIZED)
            event.assoc.kill()
            _logger.warning("association refused: %s", error.reason)
            return
        reason = self._listening.door.refusal(association)
        if reason is None:
            self._hold_back(event)
            return
        is_called = association.called_ae not in self._listening.door.called_ae
        diagnostic = _CALLED_NOT_RECOGNIZED if is_called else _CALLING_NOT_RECOGNIZED
        event.assoc.acse.send_reject(_REJECTED_PERMANENT, _BY_SERVICE_USER, diagnostic)
        event.assoc.kill()
        _logger.warning("association refused: %s", reason)
        self._reception.refused(association, reason)

    def _hold_back(self, event: evt.Event) -> None:
        """Ask whoever comes while there is no room to come again later (PS3.8 Table 9-21)."""
        congestion = self._listening.capacity.congestion() if self._listening.capacity else None
        if congestion is not None:
            event.assoc.acse.send_reject(_REJECTED_TRANSIENT, _BY_PRESENTATION_LAYER, _TEMPORARY_CONGESTION)
            event.assoc.kill()
            _logger.warning("association asked to come again later: %s", congestion)

    def _service(self, accepted: PynetdicomAssociation) -> StorageService:
        """Build what serves the C-STORE requests of an association."""
        return StorageService(accepted, _association_of(accepted), self._reception)


def _association_of(asked: PynetdicomAssociation) -> Association:
    """Read who is at the other end; raises InvalidValue for titles the standard does not allow."""
    requestor = asked.requestor
    request = cast(A_ASSOCIATE, requestor.primitive)
    return Association(
        calling_ae=AETitle(request.calling_ae_title or ""),
        called_ae=AETitle(request.called_ae_title or ""),
        peer_address=str(requestor.address),
    )


def _echo(_event: evt.Event) -> int:
    """Answer C-ECHO (PS3.7 section 9.1.5)."""
    return _SUCCESS
