"""The listener: C-STORE and C-ECHO as SCP (PS3.4 Annex A and B, PS3.7 section 9.1), on pynetdicom.

The encoded data set goes to the reception as bytes; nothing is decoded here, and success is answered only after the
reception has accepted, that is, after the instance is durable.
"""

import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association as PynetdicomAssociation

from dicomnode.dimse.admission import Admission, association_of
from dicomnode.dimse.endings import Endings
from dicomnode.dimse.fast_receive import request_handler
from dicomnode.dimse.listener import Acceptance, ListeningServer
from dicomnode.dimse.presentation import accepted_contexts
from dicomnode.dimse.receive_loop import ReceiveLoop
from dicomnode.dimse.services import Service
from dicomnode.dimse.sockets import SOCKET_HANDLERS
from dicomnode.dimse.storage_service import StorageService, conclude
from dicomnode.dimse.tls import ListenerCredentials
from dicomnode.dimse.verification import VerificationSCP
from dicomnode.domain.association import numbered
from dicomnode.domain.door import Doorkeeper
from dicomnode.domain.errors import InvalidSettings
from dicomnode.domain.ports import AssociationEnds, Reception
from dicomnode.domain.uids import AETitle

_WITHOUT_ASSOCIATION = ("Sta1", "Sta2", "Sta13")
"""Idle, waiting for a request, and waiting for the connection to end (PS3.8 section 9.2.2)."""
_LONGEST_END_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where and how the listener waits for associations."""

    host: str
    port: int
    ae_title: AETitle
    """The title of this node that its own words name; the doorkeeper knows them all."""
    doorkeeper: Doorkeeper
    idle_seconds: float = 60
    """How long a peer may say nothing, before its request, within a message or between two."""
    reuse_port: bool = False
    """Whether other processes may listen on the same port, among which the kernel shares the connections out."""
    credentials: ListenerCredentials | None = None
    """What the listener shows and believes in TLS; left out: it takes plain connections."""


class StorageSCP:
    """A running listener on one address."""

    def __init__(
        self,
        listening: Listening,
        reception: Reception,
        services: Sequence[Service] = (),
        ends: AssociationEnds | None = None,
    ) -> None:
        self._listening = listening
        self._reception = reception
        self._services = tuple(services)
        self._endings = Endings(ends) if ends is not None else None
        self._loop: ReceiveLoop | None = None
        self._entity: AE | None = None
        self._server: ListeningServer | None = None

    def start(self) -> None:
        """Begin to listen; raises InvalidSettings when the address cannot be had."""
        _config.LOG_HANDLER_LEVEL = "none"
        _config.LOG_REQUEST_IDENTIFIERS = False
        listening = self._listening
        entity = AE(ae_title=listening.ae_title)
        entity.maximum_pdu_size = 0
        # The doorkeeper counts, over all receivers: pynetdicom must never be the one to answer.
        entity.maximum_associations = sys.maxsize
        entity.network_timeout = entity.acse_timeout = listening.idle_seconds
        admission = Admission(listening.doorkeeper)
        handlers: list[evt.EventHandlerType] = [
            *SOCKET_HANDLERS,
            *admission.handlers,
            *(self._endings.handlers if self._endings is not None else ()),
            *VerificationSCP(listening.doorkeeper).handlers,
            *(handler for service in self._services for handler in service.handlers),
        ]
        further = [context for service in self._services for context in service.contexts]
        loop = ReceiveLoop(partial(conclude, self._reception))
        try:
            server = ListeningServer(
                entity,
                [*accepted_contexts(), *further],
                handlers,
                request_handler(self._service, loop),
                _acceptance(listening, admission),
            )
        except OSError as error:
            raise InvalidSettings(
                f"cannot listen on {listening.host} port {listening.port} ({error.strerror})"
            ) from error
        entity._servers.append(server)
        self._entity, self._server, self._loop = entity, server, loop
        loop.start()
        threading.Thread(target=server.serve_forever, name="listener", daemon=True).start()

    @property
    def port(self) -> int:
        """The TCP port that is really listened on (useful when 0 was asked for)."""
        if self._server is None or self._server.socket is None:
            return self._listening.port
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Stop listening and abort open associations."""
        if self._entity is not None and self._server is not None:
            self._server.shutdown()
            for association in self._entity.active_associations:
                _end(association)
            self._entity = self._server = None
        if self._loop is not None:
            self._loop.stop()
            self._loop = None

    def _service(self, accepted: PynetdicomAssociation) -> StorageService:
        """Build what serves the C-STORE requests of an association."""
        association = numbered(association_of(accepted))
        if self._endings is not None:
            self._endings.begin(accepted, association)
        return StorageService(accepted, association, self._reception)


def _end(association: PynetdicomAssociation) -> None:
    """Abort an association; where none is open any more, or yet, the standard has no abort, and its connection ends."""
    if association.dul.state_machine.current_state not in _WITHOUT_ASSOCIATION:
        association.abort()
        return
    transport = association.dul.socket
    connection = transport.socket if transport is not None else None
    if connection is not None:
        with suppress(OSError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
    association.join(_LONGEST_END_SECONDS)


def _acceptance(listening: Listening, admission: Admission) -> Acceptance:
    return Acceptance(
        host=listening.host,
        port=listening.port,
        handshake_seconds=listening.idle_seconds,
        turn_away=admission.turn_away,
        reuse_port=listening.reuse_port,
        credentials=listening.credentials,
    )
