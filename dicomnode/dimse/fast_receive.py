"""The seam between pynetdicom and our own reading of P-DATA.

Negotiation, timers, C-ECHO, all other services, release, abort and errors stay pynetdicom's. Only while an association
is established is its connection lent to a `ReceiveLoop`, which gives back whatever is not a C-STORE request. The
names with an underscore are pynetdicom 3.0's own; `tests/dimse/test_fast_receive.py` fails when they change.
"""

import os
import queue
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.fsm import InvalidEventError
from pynetdicom.transport import AssociationSocket, RequestHandler

from dicomnode.dimse.receive_loop import Channel, ReceiveLoop, Why
from dicomnode.dimse.storage_service import StorageService

_IDLE, _ESTABLISHED, _CLOSING = "Sta1", "Sta6", "Sta13"
_LONGEST_END_SECONDS = 5.0
_PEER_CLOSED, _INVALID_PDU = "Evt17", "Evt19"
_HEARTBEAT_MS = 1000
"""How often an idle association looks at its timers; everything else wakes it."""

ServiceFactory = Callable[[Association], StorageService]


class Bell:
    """Wakes a thread that waits for a socket: something else has to be done."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def ring(self) -> None:
        """Wake the waiting thread, or the next one that waits; may be called after `close`."""
        with self._lock:
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)

    def wait(self, connection: socket.socket | None, milliseconds: int) -> bool:
        """Wait for the bell or for bytes; says whether the connection can be read (also when it has ended)."""
        poller = select.poll()  # unlike select(), it takes descriptors above 1023
        poller.register(self._descriptor, select.POLLIN)
        if connection is not None and connection.fileno() >= 0:
            poller.register(connection, select.POLLIN)
        ready = {descriptor for descriptor, _event in poller.poll(milliseconds)}
        if self._descriptor in ready:
            os.eventfd_read(self._descriptor)
        return bool(ready - {self._descriptor})

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1


class _RingingQueue(queue.Queue[Any]):
    """A queue that rings when something is put into it."""

    def __init__(self, bell: Bell) -> None:
        super().__init__()
        self._bell = bell

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ANN401  Queue's own
        """Add an item and wake who waits for the socket."""
        super().put(item, block, timeout)
        self._bell.ring()


class _Gate(threading.Event):
    """What pynetdicom's association thread waits for in each pass: besides being open, there must be work."""

    def __init__(self) -> None:
        super().__init__()
        self.work = threading.Event()
        super().set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for work, or for the heartbeat, and then for the gate."""
        self.work.wait(_HEARTBEAT_MS / 1000)
        self.work.clear()
        return super().wait(timeout)


class FastSocket(AssociationSocket):
    """A socket that first gives what was already read from it, and reads as much as it is asked for at once."""

    def __init__(self, assoc: Association, client_socket: socket.socket) -> None:
        super().__init__(assoc, client_socket=client_socket)
        self._held = bytearray()

    def give_back(self, data: bytes) -> None:
        """Put bytes in front of what the peer sends next."""
        self._held[:0] = data

    def close(self) -> None:
        """Close the connection, after the loop has let it go: its number may be given to the next one at once."""
        cast(FastDUL, self.assoc.dul)._withdraw()
        super().close()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer when the peer has closed."""
        received = self._held[:nr_bytes]
        del self._held[:nr_bytes]
        connection = cast(socket.socket, self.socket)
        while len(received) < nr_bytes:
            some = connection.recv(nr_bytes - len(received))
            if not some:
                break
            received += some
        return received

    @property
    def ready(self) -> bool:
        """Whether there is something to read, of what was given back or from the peer."""
        if self._held:
            return True
        if self.socket is None or not self._is_connected:
            return False
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        return bool(poller.poll(0)) or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending() > 0)


class FastDUL(DULServiceProvider):
    """The upper layer of one association: waits instead of polling, and lends the connection to the receive loop."""

    def __init__(self, assoc: Association, service: ServiceFactory, loop: ReceiveLoop) -> None:
        super().__init__(assoc)
        self.bell = Bell()
        self.to_provider_queue = _RingingQueue(self.bell)
        self._run_loop_delay = 0
        self._service = service
        self._loop = loop
        self._channel: Channel | None = None

    def run_reactor(self) -> None:
        """Run the upper layer until the association is over, and leave nothing of it behind."""
        try:
            super().run_reactor()
        except (InvalidEventError, ValueError, AttributeError, LookupError):
            # Both ends spoke at the same moment, or a PDU holds a value that the standard does not know: pynetdicom
            # has no answer to that, and its thread would end without closing the connection.
            self._break_off()
        finally:
            self._withdraw()
            if self._channel is not None:
                self._channel.reader.abandon()
            self._wake_association()
            self.bell.close()

    def _break_off(self) -> None:
        """End an association by closing its connection."""
        self.assoc.is_aborted, self.assoc.is_established = True, False
        self.assoc._kill = self._kill_thread = True
        if self.socket is not None:
            self._withdraw()
            self.socket.close()

    def kill_dul(self) -> None:
        """End the thread; it may be waiting."""
        super().kill_dul()
        self.bell.ring()

    def stop_dul(self) -> bool:
        """End the thread if the association is over (called by the association's thread until it is)."""
        if self.state_machine.current_state != _IDLE:
            return False
        self.kill_dul()
        self.join(_LONGEST_END_SECONDS)
        return not self.is_alive()

    def _process_recv_primitive(self) -> bool:
        """Deal with what this side wants to send; the connection has to be its own for that."""
        if self.to_provider_queue.empty():
            return False
        self._withdraw()
        return bool(super()._process_recv_primitive())

    def _is_transport_event(self) -> bool:
        """Wait for the loop, for bytes or for the bell, and deal with the bytes."""
        self._wake_association()
        if not self.event_queue.empty():
            return False
        transport = cast(FastSocket, self.socket)
        if self.state_machine.current_state != _ESTABLISHED:
            return self._wait_outside(transport)
        if transport._held or transport.socket is None:
            self._read_pdu_data()
            return True
        return self._leave_to_loop(transport, transport.socket)

    def _wait_outside(self, transport: FastSocket) -> bool:
        """Wait as long as the association is not established, and let pynetdicom read."""
        if self.state_machine.current_state != _CLOSING and not transport.ready:
            self.bell.wait(transport.socket, _HEARTBEAT_MS)
        return bool(super()._is_transport_event())

    def _leave_to_loop(self, transport: FastSocket, connection: socket.socket) -> bool:
        """Let the loop receive, and deal with what is not for it; says whether the peer did anything."""
        if self._channel is None:
            self._channel = Channel(connection, self._service(self.assoc), self.bell.ring)
        channel = self._channel
        try:
            if not channel.is_with_loop:
                self._loop.adopt(channel)
            self.bell.wait(None, _HEARTBEAT_MS)
            returned = channel.take_returned()
        except OSError:
            self.event_queue.put(_PEER_CLOSED)
            return True
        if returned is None:
            return channel.has_moved()
        if returned.why is Why.FOREIGN:
            transport.give_back(returned.data)
            self._read_pdu_data()
        else:
            self.event_queue.put(_PEER_CLOSED if returned.why is Why.CLOSED else _INVALID_PDU)
        return True

    def _withdraw(self) -> None:
        """Own the connection again, wherever the loop is; a broken one shows itself at its next use."""
        if self._channel is not None:
            with suppress(OSError):
                self._loop.withdraw(self._channel)

    def _wake_association(self) -> None:
        """Let the association's thread look at its queues: an event of the upper layer may have filled them."""
        self.assoc._reactor_checkpoint.work.set()  # type: ignore[attr-defined]


class FastAssociation(Association):
    """An accepted association whose P-DATA we read ourselves."""

    def __init__(self, ae: Any, mode: str, service: ServiceFactory, loop: ReceiveLoop) -> None:  # noqa: ANN401  pynetdicom's own
        super().__init__(ae, mode)
        self._reactor_checkpoint = _Gate()
        self.dul = FastDUL(self, service, loop)
        self.acse_timeout = ae.acse_timeout
        self.network_timeout = ae.network_timeout

    def kill(self) -> None:
        """End both threads, which may be waiting."""
        super().kill()
        cast(_Gate, self._reactor_checkpoint).work.set()


def _bind(association: Association, bound: Mapping[Any, Any]) -> None:
    """Give an association the server's handlers: one for an intervention event, any number for a notification."""
    for event, handlers in bound.items():
        if event.is_intervention and handlers:
            association.bind(event, *handlers)
        elif isinstance(event, evt.NotificationEvent):
            for handler, arguments in handlers:
                association.bind(event, handler, arguments)


def request_handler(service: ServiceFactory, loop: ReceiveLoop) -> type[RequestHandler]:
    """Make the class that pynetdicom's server builds for each connection."""

    class Handler(RequestHandler):
        def _create_association(self) -> Association:
            """Set up an association as pynetdicom does, without copying the contexts, which nobody changes."""
            association = FastAssociation(self.ae, "acceptor", service, loop)
            association._server = self.server
            association.name = f"AcceptorThread@{datetime.now(UTC):%Y%m%d%H%M%S}"  # noqa: TID251  a thread's name
            association.set_socket(FastSocket(association, cast(socket.socket, self.request)))
            acceptor = association.acceptor
            acceptor.maximum_length = self.ae.maximum_pdu_size
            acceptor.ae_title = self.server.ae_title
            acceptor.address_info = self.local
            acceptor.implementation_class_uid = self.ae.implementation_class_uid
            acceptor.implementation_version_name = self.ae.implementation_version_name
            acceptor.supported_contexts = self.server.contexts
            association.requestor.address_info = self.remote
            _bind(association, self.server._handlers)
            return association

    return Handler
