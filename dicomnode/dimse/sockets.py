"""What both ends of an association want of their socket."""

import socket

from pynetdicom import evt


def prepare_socket(event: evt.Event) -> None:
    """Send small messages at once, and let no read or write wait for ever (handler of EVT_CONN_OPEN).

    A small message held back until the peer's delayed ACK arrives costs 40 ms per object, more than all other work.
    A peer that stops in the middle of a PDU would otherwise hold its thread, and its place, until the process ends.
    """
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.socket.settimeout(event.assoc.network_timeout)
