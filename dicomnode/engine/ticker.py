"""Doing something again and again: sweeps, leases, the reaper and retention."""

import logging
import threading
from collections.abc import Callable

from dicomnode.domain.errors import DicomnodeError

_logger = logging.getLogger(__name__)


class Ticker:
    """A thread that calls a verb every so often; a failure of the node's own kind is logged and tried again."""

    def __init__(self, name: str, seconds: float, verb: Callable[[], object]) -> None:
        self.name = name
        self._seconds = seconds
        self._verb = verb
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ticker-{name}", daemon=True)

    def start(self) -> None:
        """Begin; the first call comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end and wait for it."""
        self._stopping.set()
        self._thread.join(timeout=self._seconds + 10)

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs; it ends early only by a defect, which the health page must show."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._verb()
            except DicomnodeError as error:
                _logger.warning("%s failed and will be tried again: %s", self.name, error.reason)
            self._stopping.wait(self._seconds)
