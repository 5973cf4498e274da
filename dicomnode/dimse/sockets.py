"""What both ends of an association want of their socket."""

import socket

from pynetdicom import evt


def send_without_delay(event: evt.Event) -> None:
    """Switch Nagle's algorithm off (handler of EVT_CONN_OPEN).

    A small message held back until the peer's delayed ACK arrives costs 40 ms per object, more than all other work.
    """
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
