"""What a receiver process runs from its first line to its last.

The parent's fork server loads this module once, and every receiver begins as its copy: nothing heavy may be imported.
"""

import fcntl
import gc
import logging
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from dicomnode.dimse.receive_loop import RECEIVE_LOOP
from dicomnode.domain.errors import InvalidSettings
from dicomnode.node.clock import SystemClock
from dicomnode.node.logs import write_logs
from dicomnode.node.receiving import Receiver
from dicomnode.node.settings import ListenerSettings, Settings

_logger = logging.getLogger(__name__)

LISTENING = "listening"
_FAILED = 1


def lock_of_receivers(data: Path) -> Path:
    """Name the file that every receiver of a data folder keeps locked for as long as it lives."""
    return data / "receivers.lock"


def receive(settings: Settings, addresses: Sequence[ListenerSettings], tell: Connection) -> None:
    """Listen until the parent asks for the end or is gone; `tell` hears LISTENING, or why that cannot be."""
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.excepthook = _end_without_loop
    # Both reach a whole process group, and are meant for the parent.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    write_logs(logging.INFO)
    lock = lock_of_receivers(settings.data).open("w")
    fcntl.flock(lock, fcntl.LOCK_SH)
    receiver = Receiver(settings, SystemClock())
    try:
        receiver.start(addresses)
    except InvalidSettings as error:
        _logger.error("this receiver cannot listen: %s", error.reason)  # noqa: TRY400  the reason says all
        tell.send(error.reason)
        os._exit(_FAILED)
    # What was loaded so far stays: looking through it again and again for garbage would cost more than receiving.
    gc.freeze()
    tell.send(LISTENING)
    tell.close()
    stopping.wait()
    receiver.stop()
    # Threads that still work are abandoned, as at a crash.
    os._exit(0)


def _end_with_parent() -> None:
    """End at once when the parent is gone, however it went: nobody would start this receiver again, or stop it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(_FAILED)


def _end_without_loop(failed: threading.ExceptHookArgs) -> None:
    """Tell of a thread that failed; without its receive loop a receiver would be deaf, and the next one is not."""
    where = "".join(traceback.format_tb(failed.exc_traceback))
    name = failed.thread.name if failed.thread else "?"
    # Without the message, which might quote a data set.
    _logger.error("thread %s ended with %s\n%s", name, failed.exc_type.__name__, where)
    if name == RECEIVE_LOOP:
        os._exit(_FAILED)
