"""The receiver processes of a node: they share its addresses, and whichever dies is started again."""

import fcntl
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dicomnode.domain.errors import InvalidSettings
from dicomnode.node.receiver_process import LISTENING, lock_of_receivers, receive
from dicomnode.node.settings import ListenerSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_logger = logging.getLogger(__name__)

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_LAST_ONES_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
_PRELOADED = (receive.__module__, "dicomnode.node.peer_commands", "dicomnode.node.retention_commands")
"""What the command line imports too: each process that multiprocessing starts runs the program's main module again."""


def prepare_receivers() -> None:
    """Let the fork server load what receivers need, which takes a second, while the node does something else."""
    multiprocessing.set_forkserver_preload(list(_PRELOADED))
    ensure_running()


class Receivers:
    """So many processes that receive; `start` and `stop` are called once each."""

    def __init__(self, settings: Settings) -> None:
        self._settings = _portable(settings)
        self._reserved: list[socket.socket] = []
        self._receivers: list[_Receiver] = []
        self._supervisor = threading.Thread(target=self._supervise, name="receivers", daemon=True)
        self._stopped, self._stop = multiprocessing.Pipe(duplex=False)

    def start(self) -> None:
        """Listen at all addresses of the settings; raises InvalidSettings, and nothing is left running then."""
        try:
            addresses = self._reserve()
            prepare_receivers()
            self._receivers = [
                _Receiver(number, self._settings, addresses) for number in range(1, self._settings.receivers + 1)
            ]
            for receiver in self._receivers:
                receiver.start()
            for receiver in self._receivers:
                receiver.expect_listening()
        except InvalidSettings:
            self._end()
            raise
        self._supervisor.start()
        names = ", ".join(address.name for address in addresses)
        _logger.info("%d receivers listen at %s", len(self._receivers), names)

    def stop(self) -> None:
        """End all receivers in good order; those that take too long are killed."""
        self._stop.close()
        self._supervisor.join()
        self._end()

    def _reserve(self) -> Sequence[ListenerSettings]:
        """Take the addresses for this node, and give them with the ports they really have."""
        addresses = []
        for listener in self._settings.all_listeners:
            reserved = _reserve(listener)
            self._reserved.append(reserved)
            addresses.append(listener.model_copy(update={"port": int(reserved.getsockname()[1])}))
        return addresses

    def _supervise(self) -> None:
        """Start again whichever receiver ended, until the end."""
        while True:
            ends = [receiver.descriptor for receiver in self._receivers if receiver.descriptor is not None]
            pauses = [receiver.pause for receiver in self._receivers if receiver.descriptor is None]
            if self._stopped in wait([self._stopped, *ends], min(pauses, default=None)):
                return
            for receiver in self._receivers:
                receiver.look()

    def _end(self) -> None:
        for receiver in self._receivers:
            receiver.send(signal.SIGTERM)
        for receiver in self._receivers:
            receiver.end()
        for reserved in self._reserved:
            reserved.close()


class _Receiver:
    """One receiver as its parent sees it: a process that lives, or the pause until the next one.

    The process is watched through a descriptor of its own (Linux, pidfd_open), since what multiprocessing knows of it
    comes from the fork server: when that one dies, all would seem to be dead, and be left alone at the end.
    """

    def __init__(self, number: int, settings: Settings, addresses: Sequence[ListenerSettings]) -> None:
        self._number = number
        self._settings = settings
        self._addresses = addresses
        self._process: ForkServerProcess | None = None
        self._told: Connection | None = None
        self._said = ""
        self.descriptor: int | None = None
        """What becomes readable when the process ends; None while there is none."""
        self._due = 0.0
        self._next_pause = _FIRST_PAUSE_SECONDS

    @property
    def pause(self) -> float:
        """Seconds until the process is due to be started again."""
        return max(0.0, self._due - time.monotonic())

    def start(self) -> None:
        """Start the process; where that fails, the next one is due later."""
        self._told, tell = multiprocessing.Pipe(duplex=False)
        self._said = ""
        # A daemon: where nobody stops it, it ends with the parent.
        self._process = multiprocessing.get_context("forkserver").Process(
            target=receive,
            name=f"receiver {self._number}",
            args=(self._settings, self._addresses, tell),
            daemon=True,
        )
        try:
            self._process.start()
            self.descriptor = os.pidfd_open(cast(int, self._process.pid))
        except (OSError, EOFError):
            # The process or the fork server is gone already.
            self._note_end(self._process)
        else:
            _logger.info("receiver %d runs as process %d", self._number, self._process.pid)
        finally:
            tell.close()

    def expect_listening(self) -> None:
        """Wait until the process says that it listens; raises InvalidSettings with why it does not."""
        if self._words(_START_SECONDS) != LISTENING:
            raise InvalidSettings(self._said)

    def look(self) -> None:
        """Take note of a process that ended, or start one that is due."""
        if self._process is None:
            if self.pause <= 0:
                self.start()
        elif self._has_ended(within=0):
            self._note_end(self._process)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it lives."""
        if self.descriptor is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.descriptor, number)

    def end(self) -> None:
        """Wait until it ended, and kill it where that takes too long."""
        if self._process is None:
            return
        if not self._has_ended(within=_STOP_SECONDS):
            self.send(signal.SIGKILL)
            self._has_ended(within=None)
        self._forget(self._process)

    def _has_ended(self, within: float | None) -> bool:
        return self.descriptor is None or bool(wait([self.descriptor], within))

    def _words(self, within: float) -> str:
        """Give what the process said when it began, or that it said nothing."""
        if self._told is not None:
            self._said = _hear(self._told, within)
            self._told.close()
            self._told = None
        return self._said

    def _note_end(self, process: ForkServerProcess) -> None:
        """Say how it ended, and when the next one is due: more and more time while none gets as far as to listen."""
        pause = _FIRST_PAUSE_SECONDS if self._words(0) == LISTENING else self._next_pause
        self._next_pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        self._due = time.monotonic() + pause
        pid, exit_code = process.pid, _exit_code(process)
        _logger.warning(
            "receiver %d (process %s) ended with exit code %s; it is started again in %.1f s",
            self._number,
            pid,
            exit_code,
            pause,
        )
        self._forget(process)

    def _forget(self, process: ForkServerProcess) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
        if self._told is not None:
            self._told.close()
        _exit_code(process)
        process.close()
        self._process = self._told = self.descriptor = None


def _exit_code(process: ForkServerProcess) -> int | None:
    """Wait for what the fork server, which may be a moment late, says of a process that ended."""
    if process.pid is not None:
        process.join()
    return process.exitcode


@contextmanager
def no_receiver(data: Path) -> "Iterator[None]":
    """Keep receivers of a data folder from beginning; raises InvalidSettings when some of an earlier node live on."""
    give_up = time.monotonic() + _LAST_ONES_SECONDS
    with lock_of_receivers(data).open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > give_up:
                    raise InvalidSettings(f"receivers of an earlier node still run on {data}") from error
            time.sleep(0.02)
        yield


def _portable(settings: Settings) -> Settings:
    """Give the same settings without the class that read them from a file, which no other process knows."""
    return Settings.model_construct(**{name: getattr(settings, name) for name in Settings.model_fields})


def _reserve(listener: ListenerSettings) -> socket.socket:
    """Bind to an address without listening there: from now on only receivers of this node can; raises InvalidSettings.

    Where somebody else shares his own address out, the kernel would let us join: so first we ask for it alone.
    """
    try:
        if listener.port:
            _bind(listener, shared=False).close()
        return _bind(listener, shared=True)
    except OSError as error:
        raise InvalidSettings(f"cannot listen on {listener.host} port {listener.port} ({error.strerror})") from error


def _bind(listener: ListenerSettings, *, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _hear(told: Connection, within: float) -> str:
    """Read LISTENING, or why a receiver does not listen."""
    if not told.poll(within):
        return f"a receiver did not begin to listen within {within:.0f} s"
    try:
        return str(told.recv())
    except EOFError:
        return "a receiver ended before it listened; its error stands above"
