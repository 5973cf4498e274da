"""What both ends of an association want of their socket."""

import socket

from pynetdicom import evt


def prepare_socket(event: evt.Event) -> None:
    """Send small messages at once, and let no read or write wait for ever (handler of EVT_CONN_OPEN).

    A small message held back until the peer's delayed ACK arrives costs 40 ms per object, more than all other work.
    A peer that stops in the middle of a PDU would otherwise hold its thread, and its place, until the process ends.
    """
    connection = _connection(event)
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(event.assoc.network_timeout)


def acknowledge_at_once(event: evt.Event) -> None:
    """Ask the kernel not to delay its next ACK (handler of EVT_DATA_RECV and EVT_DATA_SENT, since Linux forgets it).

    DCMTK's programs leave Nagle's algorithm on and wait for that ACK: 44 ms for each instance.
    """
    connection = _connection(event)
    if connection is not None and hasattr(socket, "TCP_QUICKACK"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


SOCKET_HANDLERS: tuple[evt.EventHandlerType, ...] = (
    (evt.EVT_CONN_OPEN, prepare_socket),
    (evt.EVT_DATA_RECV, acknowledge_at_once),
    (evt.EVT_DATA_SENT, acknowledge_at_once),
)


def _connection(event: evt.Event) -> socket.socket | None:
    """Give the TCP socket of the event's association, while it has one."""
    transport = event.assoc.dul.socket
    return None if transport is None else transport.socket
