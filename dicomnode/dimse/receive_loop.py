"""One thread that receives for all associations of a listener: what ends together is made durable together.

A thread for each association would hand the interpreter's lock over for every piece of data. Here the loop reads
whichever connection has bytes, and after each round concludes all C-STORE requests that ended in it with one call: the
more senders, the larger the group. Nobody is answered before that call returns, so nothing has to be queued: while it
runs, the senders wait in their sockets.
"""

import logging
import os
import select
import socket
import ssl
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from dicomnode.dimse.message_reader import P_DATA_TF, MessageReader, ProtocolError
from dicomnode.dimse.sockets import acknowledge_now
from dicomnode.dimse.storage_service import StorageService, Storing

_logger = logging.getLogger(__name__)

RECEIVE_LOOP = "receive-loop"
"""The name of the loop's thread."""
_BLOCK = 256 * 1024
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Conclude = Callable[[Sequence[Storing]], Sequence[bytes]]
"""Makes what ended durable and gives the response to each, in order."""


class Why(Enum):
    """Why the loop gave a connection back."""

    FOREIGN = "the next PDU is for somebody else"
    CLOSED = "the peer is gone"
    INVALID = "what the peer sent is no DIMSE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A connection that the loop gave back: why, and the bytes that belong to somebody else."""

    why: Why
    data: bytes = b""


class Channel:
    """The connection of an established association: it belongs to the loop or to its own thread, never to both."""

    def __init__(self, connection: socket.socket, service: StorageService, ring: Callable[[], None]) -> None:
        self.connection = connection
        self.service = service
        self.reader = MessageReader(service)
        self.backlog = b""
        """What came behind a message of another service."""
        self.outgoing = bytearray()
        self.is_with_loop = False
        self.is_congested = False
        self.descriptor = -1
        self._ring = ring
        self._seconds = connection.gettimeout()
        self._returned: Returned | None = None
        self._has_moved = False

    def move(self) -> None:
        """Note that the peer is alive (called by the loop)."""
        self._has_moved = True

    def has_moved(self) -> bool:
        """Say whether the peer did anything since the last question, or waits for an answer."""
        moved, self._has_moved = self._has_moved, False
        return moved

    def give_back(self, returned: Returned) -> None:
        """Leave the connection to its own thread (called by the loop)."""
        self._returned = returned
        self._ring()

    def lend(self) -> None:
        """Leave the connection to the loop (called by its own thread, as are all below)."""
        self.is_with_loop = True
        self.descriptor = self.connection.fileno()
        self.connection.settimeout(0)

    def take_returned(self) -> Returned | None:
        """Take the connection back if the loop has given it; None while the loop has it."""
        returned, self._returned = self._returned, None
        if returned is not None:
            self.take_back()
        return returned

    def take_back(self) -> None:
        """Own the connection again and send what is left of the loop's answers."""
        self.is_with_loop = False
        self.connection.settimeout(self._seconds)
        if self.outgoing:
            unsent, self.outgoing = bytes(self.outgoing), bytearray()
            self.connection.sendall(unsent)


class ReceiveLoop:
    """Receives for the channels that are lent to it, from `start` to `stop`."""

    def __init__(self, conclude: Conclude) -> None:
        self._conclude = conclude
        self._poll: select.epoll
        self._alarm: int
        self._orders: deque[tuple[Callable[[Channel], None], Channel, threading.Event | None]] = deque()
        self._lock = threading.Lock()
        self._is_running = True
        self._is_stopping = False
        self._buffer = memoryview(bytearray(_BLOCK))
        self._channels: dict[int, Channel] = {}
        self._again: set[Channel] = set()
        """Channels whose next bytes lie decrypted in this process, where no poll sees them."""
        self._ended: list[tuple[Channel, Storing]] = []
        self._leaving: dict[Channel, Returned] = {}
        self._thread = threading.Thread(target=self._run, name=RECEIVE_LOOP, daemon=True)

    def start(self) -> None:
        """Begin to receive."""
        self._poll = select.epoll()
        self._alarm = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._alarm, select.EPOLLIN)
        self._thread.start()

    def stop(self) -> None:
        """End; channels that are still lent are let go."""
        self._is_stopping = True
        os.eventfd_write(self._alarm, 1)
        self._thread.join()
        self._poll.close()
        os.close(self._alarm)

    def adopt(self, channel: Channel) -> None:
        """Receive for a channel from now on."""
        channel.lend()
        self._order(self._register, channel)

    def withdraw(self, channel: Channel) -> None:
        """Give a channel to the caller; waits for the end of the round under way. Raises OSError of its connection."""
        if not channel.is_with_loop:
            return
        done = threading.Event()
        if self._order(self._unregister, channel, done):
            done.wait()
        channel.take_back()

    def _order(self, verb: Callable[[Channel], None], channel: Channel, done: threading.Event | None = None) -> bool:
        """Ask the loop's thread for something; False when there is no loop any more."""
        with self._lock:
            if not self._is_running:
                return False
            self._orders.append((verb, channel, done))
            os.eventfd_write(self._alarm, 1)
        return True

    def _run(self) -> None:
        while not self._is_stopping:
            for descriptor, event in self._poll.poll(0 if self._again else None):
                if descriptor == self._alarm:
                    os.eventfd_read(self._alarm)
                elif event & select.EPOLLOUT:
                    self._send(self._channels[descriptor])
                else:
                    self._receive(self._channels[descriptor])
            for channel in tuple(self._again):
                self._receive(channel)
            self._answer()
            self._let_go()
            self._follow_orders()
        with self._lock:
            self._is_running = False
        self._follow_orders()
        self._leaving = {channel: Returned(why=Why.CLOSED) for channel in self._channels.values()}
        self._let_go()

    def _follow_orders(self) -> None:
        """Do what the associations' threads asked for."""
        while self._orders:
            verb, channel, done = self._orders.popleft()
            verb(channel)
            if done is not None:
                done.set()

    def _register(self, channel: Channel) -> None:
        try:
            self._poll.register(channel.descriptor, select.EPOLLIN)
        except OSError:
            # Its own thread closed the connection after it was lent.
            channel.give_back(Returned(why=Why.CLOSED))
            return
        self._channels[channel.descriptor] = channel
        if isinstance(channel.connection, ssl.SSLSocket):
            self._again.add(channel)
        if channel.backlog:
            backlog, channel.backlog = channel.backlog, b""
            self._feed(channel, memoryview(backlog))
            self._answer()
            self._let_go()

    def _unregister(self, channel: Channel) -> None:
        # The number may be another connection's by now: then the kernel has forgotten this one.
        if self._channels.get(channel.descriptor) is channel:
            del self._channels[channel.descriptor]
            with suppress(OSError):
                self._poll.unregister(channel.descriptor)
        channel.is_congested = False
        self._again.discard(channel)

    def _receive(self, channel: Channel) -> None:
        """Read once, and serve what came."""
        self._again.discard(channel)
        connection = channel.connection
        try:
            received = connection.recv_into(self._buffer)
        except _NOT_YET:
            return
        except (OSError, ValueError):
            # ValueError: the TLS layer of a connection that somebody closed.
            received = 0
        if not received:
            self._leaving.setdefault(channel, Returned(why=Why.CLOSED))
            return
        acknowledge_now(connection)
        channel.move()
        if isinstance(connection, ssl.SSLSocket) and connection.pending():
            self._again.add(channel)
        self._feed(channel, self._buffer[:received])

    def _feed(self, channel: Channel, data: memoryview) -> None:
        """Let the channel's reader have bytes; whatever one association causes must not end the others."""
        try:
            used = channel.reader.feed(data)
        except ProtocolError:
            self._leaving[channel] = Returned(why=Why.INVALID)
        except Exception as error:  # noqa: BLE001  told and answered by an abort, as pynetdicom's own reactor does
            _tell_defect(error)
            self._leaving[channel] = Returned(why=Why.INVALID)
        else:
            self._set_aside(channel, data, used)
        self._ended += [(channel, storing) for storing in channel.service.take_ended()]

    def _set_aside(self, channel: Channel, data: memoryview, used: int) -> None:
        """Give a channel back whose next PDU is for somebody else; what follows it is read later."""
        foreign = channel.reader.take_foreign()
        if not foreign:
            return
        rest = bytes(data[used:])
        if foreign[0] != P_DATA_TF:
            foreign, rest = foreign + rest, b""
        channel.backlog = rest
        self._leaving[channel] = Returned(why=Why.FOREIGN, data=foreign)

    def _answer(self) -> None:
        """Conclude all requests that ended in this round, and answer them."""
        if not self._ended:
            return
        ended, self._ended = self._ended, []
        try:
            responses = self._conclude([storing for _channel, storing in ended])
        except Exception as error:  # noqa: BLE001  nobody is told success, and the loop goes on for the others
            _tell_defect(error)
            for channel, storing in ended:
                storing.abandon()
                self._leaving[channel] = Returned(why=Why.INVALID)
            return
        for (channel, _storing), response in zip(ended, responses, strict=True):
            channel.outgoing += response
            channel.move()
            self._send(channel)

    def _send(self, channel: Channel) -> None:
        """Send what the connection takes; while it takes not all of it, nothing more is read from it."""
        outgoing = channel.outgoing
        try:
            del outgoing[: channel.connection.send(outgoing)]
        except _NOT_YET:
            pass
        except OSError:
            outgoing.clear()
            self._leaving.setdefault(channel, Returned(why=Why.CLOSED))
        if channel.is_congested is not bool(outgoing) and channel.descriptor in self._channels:
            channel.is_congested = bool(outgoing)
            self._poll.modify(channel.descriptor, select.EPOLLOUT if outgoing else select.EPOLLIN)

    def _let_go(self) -> None:
        """Give channels back, after all that they asked for was answered."""
        leaving, self._leaving = self._leaving, {}
        for channel, returned in leaving.items():
            self._unregister(channel)
            channel.give_back(returned)


def _tell_defect(error: Exception) -> None:
    """Log where it happened and what kind it is, without its message, which might quote a data set."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _logger.error("association aborted because of a defect of this node: %s\n%s", type(error).__name__, where)
