"""Keeping an association's reactor still while this side waits for an answer."""

import threading

from pynetdicom.association import Association

_LONGEST_PASS_SECONDS = 1.0


class Checkpoint(threading.Event):
    """The event that pynetdicom's reactor waits for in each of its passes; `clear` returns when it does stand still.

    pynetdicom 3.0.4 (Association.send_c_store and _run_reactor) lets the reactor, between its look at the event and
    its look at the queue, take the answer that the sender waits for; the sender then waits out its whole timeout.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stopped = threading.Event()
        super().set()

    def wait(self, timeout: float | None = None) -> bool:
        """Stand still while the event is not set (called by the reactor)."""
        if not self.is_set():
            self._stopped.set()
        return super().wait(timeout)

    def set(self) -> None:
        """Let the reactor go on."""
        self._stopped.clear()
        super().set()

    def clear(self) -> None:
        """Stop the reactor, and wait until it stands."""
        super().clear()
        self._stopped.wait(_LONGEST_PASS_SECONDS)


def steady(association: Association) -> Association:
    """Give an association that was just opened a checkpoint that holds."""
    association._reactor_checkpoint = Checkpoint()
    return association
