"""What both ends of an association want of their socket."""

import socket
from contextlib import suppress
from ssl import SSLContext

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.transport import AddressInformation, AssociationSocket


def acknowledge_now(connection: socket.socket) -> None:
    """Keep the kernel from delaying its next ACK: peers that leave Nagle's algorithm on wait for it (40 ms)."""
    if hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


class SendingEntity(AE):
    """An application entity whose associations give their descriptors back, also when no connection came about."""

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[SSLContext, str] | None
    ) -> AssociationSocket:
        transport = super()._create_socket(assoc, address, tls_args)
        close_for_certain(transport)
        return transport


def close_for_certain(transport: AssociationSocket) -> None:
    """Make a connection's end give its descriptor back; pynetdicom's keeps it when the peer was the first to go."""

    def shut() -> None:
        # Only now: TLS puts another socket in the place of the first one.
        connection = transport.socket
        if connection is not None:
            with suppress(OSError):
                # An SSLSocket's own method would go on with what is encrypted as if it were plain.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            connection.close()

    transport._shutdown_socket = shut  # type: ignore[method-assign]


def prepare_socket(event: evt.Event) -> None:
    """Send small messages at once, and let no read or write wait for ever (handler of EVT_CONN_OPEN).

    A small message held back until the peer's delayed ACK arrives costs 40 ms per object, more than all other work.
    A peer that stops in the middle of a PDU would otherwise hold its thread, and its place, until the process ends.
    """
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        close_for_certain(transport)
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.socket.settimeout(event.assoc.network_timeout)


def acknowledge_at_once(event: evt.Event) -> None:
    """Ask the kernel not to delay its next ACK (handler of EVT_DATA_RECV and EVT_DATA_SENT, since Linux forgets it).

    DCMTK's programs leave Nagle's algorithm on and wait for that ACK, some 40 ms for each instance.
    """
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        acknowledge_now(transport.socket)


SOCKET_HANDLERS: tuple[evt.EventHandlerType, ...] = (
    (evt.EVT_CONN_OPEN, prepare_socket),
    (evt.EVT_DATA_RECV, acknowledge_at_once),
    (evt.EVT_DATA_SENT, acknowledge_at_once),
)
