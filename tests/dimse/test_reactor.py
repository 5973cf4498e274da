"""The reactor stands still from `clear` to `set`, however slowly its thread runs."""

import threading
import time

from dicomnode.dimse.reactor import Checkpoint


class SlowReactor(threading.Thread):
    """Passes as pynetdicom's reactor does, with a long way from the checkpoint to the queue."""

    def __init__(self, checkpoint: threading.Event) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self.looks = 0
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            self._checkpoint.wait()
            time.sleep(0.005)
            self.looks += 1


def _looks_while_stopped(checkpoint: threading.Event) -> int:
    """Count how often the reactor looked at the queue while it was meant to stand."""
    reactor = SlowReactor(checkpoint)
    reactor.start()
    looks = 0
    for _ in range(10):
        checkpoint.clear()
        before = reactor.looks
        time.sleep(0.012)
        looks += reactor.looks - before
        checkpoint.set()
    reactor.is_over = True
    reactor.join()
    return looks


def test_a_plain_event_lets_the_reactor_look_once_more() -> None:
    """Why the checkpoint exists; when this fails, pynetdicom's own event would do."""
    assert _looks_while_stopped(threading.Event()) > 0


def test_the_checkpoint_does_not() -> None:
    assert _looks_while_stopped(Checkpoint()) == 0


def test_a_reactor_that_is_gone_holds_nobody_up() -> None:
    checkpoint = Checkpoint()
    begun = time.monotonic()
    checkpoint.clear()
    assert time.monotonic() - begun < 5
    assert not checkpoint.is_set()
