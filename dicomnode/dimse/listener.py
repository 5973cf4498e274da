"""The socket that waits for connections, and what happens to one before an association can be asked for over it."""

import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from dicomnode.dimse.tls import ListenerCredentials, in_words
from dicomnode.domain.door import Cause, Refusal, Visitor

_MOST_SHAKING = 256
"""So many TLS handshakes of a listener may be under way at a time: each costs a thread."""
_LAST_WORDS_SECONDS = 1.0
_LAST_WORDS = 16
_BLOCK = 4096

TurnAway = Callable[[Visitor, Refusal], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """How connections are accepted at an address: shared with other processes or not, and under TLS or not."""

    host: str
    port: int
    handshake_seconds: float
    turn_away: TurnAway
    """Takes note of a connection that never became one."""
    reuse_port: bool = False
    credentials: ListenerCredentials | None = None


class ListeningServer(ThreadedAssociationServer):
    """Accepts connections; a TLS handshake happens in the connection's own thread, where it delays nobody else.

    pynetdicom 3.0.4 shakes hands in the accepting loop and without a limit of time (AssociationServer.get_request):
    one peer that connects and says nothing would keep everybody out.
    """

    request_queue_size = 128
    daemon_threads = True

    def __init__(
        self,
        entity: AE,
        contexts: Sequence[PresentationContext],
        handlers: Sequence[evt.EventHandlerType],
        handler_class: type[RequestHandler],
        acceptance: Acceptance,
    ) -> None:
        self._acceptance = acceptance
        self._shaking: set[ssl.SSLSocket] = set()
        self._lock = threading.Lock()
        super().__init__(
            entity,
            (acceptance.host, acceptance.port),
            entity.ae_title,
            list(contexts),
            evt_handlers=list(handlers),
            request_handler=handler_class,
        )

    def server_bind(self) -> None:
        """Bind the socket, together with other processes where that is wanted."""
        if self._acceptance.reuse_port:
            cast(socket.socket, self.socket).setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

    def server_close(self) -> None:
        """Stop to listen, and end the handshakes under way."""
        super().server_close()
        with self._lock:
            for connection in self._shaking:
                with suppress(OSError):
                    # An SSLSocket's own method would take its state from under the handshake.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  socketserver's own
        """Begin an association over a connection, after its TLS handshake where there has to be one."""
        credentials = self._acceptance.credentials
        if credentials is None:
            super().finish_request(request, client_address)
            return
        try:
            connection = credentials.context().wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        except OSError:
            # The peer is gone again.
            request.close()
            return
        if self._shake_hands(connection, str(client_address[0])):
            super().finish_request(connection, client_address)
        else:
            connection.close()

    def _shake_hands(self, connection: ssl.SSLSocket, address: str) -> bool:
        """Let TLS begin; says whether it did."""
        with self._lock:
            is_one_too_many = len(self._shaking) >= _MOST_SHAKING
            if not is_one_too_many:
                self._shaking.add(connection)
        if is_one_too_many:
            said = f"{_MOST_SHAKING} connections are in the middle of their TLS handshake"
            self._acceptance.turn_away(Visitor(peer_address=address), Refusal(cause=Cause.LIMIT, said=said))
            return False
        try:
            connection.settimeout(self._acceptance.handshake_seconds)
            if not _has_spoken(connection):
                return False
            connection.do_handshake()
        except OSError as error:
            _hear_out(connection)
            self._acceptance.turn_away(Visitor(peer_address=address), self._refusal(error))
            return False
        else:
            return True
        finally:
            with self._lock:
                self._shaking.discard(connection)

    def _refusal(self, error: OSError) -> Refusal:
        if isinstance(error, TimeoutError):
            seconds = self._acceptance.handshake_seconds
            return Refusal(cause=Cause.SILENCE, said=f"it did not finish the TLS handshake within {seconds:g} s")
        return Refusal(cause=Cause.TLS, said=f"TLS: {in_words(error)}")


def _has_spoken(connection: ssl.SSLSocket) -> bool:
    """Wait for a first byte; whoever only looks whether the port is open, and goes again, is not turned away."""
    try:
        # An SSLSocket's own method allows no peeking.
        return bool(socket.socket.recv(connection, 1, socket.MSG_PEEK))
    except ConnectionError:
        return False


def _hear_out(connection: ssl.SSLSocket) -> None:
    """Read what the peer still sends: closed at once, TCP would reset, and take the alert from it that says why."""
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_WR)
        connection.settimeout(_LAST_WORDS_SECONDS)
        for _ in range(_LAST_WORDS):
            if not socket.socket.recv(connection, _BLOCK):
                return
