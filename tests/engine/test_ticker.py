"""A ticker goes on through failures of the node's own kind, and stops when asked."""

import logging
import threading

import pytest

from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.engine.ticker import Ticker
from tests.waiting import wait_for


def test_it_calls_at_once_and_again_until_it_is_stopped() -> None:
    calls: list[int] = []
    ticker = Ticker("sweep", 0.01, lambda: calls.append(1))
    ticker.start()
    wait_for(lambda: len(calls) > 2)
    before = ticker.is_alive
    ticker.stop()

    assert (before, ticker.is_alive) == (True, False)


def test_the_first_call_does_not_wait() -> None:
    called = threading.Event()
    ticker = Ticker("retention", 3600, called.set)
    ticker.start()
    assert called.wait(5)
    ticker.stop()
    assert not ticker.is_alive


def test_a_failure_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def fail_first() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise LedgerUnavailable("the database did not take the change (OperationalError)")

    with caplog.at_level(logging.WARNING):
        ticker = Ticker("sweep", 0.01, fail_first)
        ticker.start()
        wait_for(lambda: len(calls) > 1)
        ticker.stop()
    assert caplog.messages == [
        "sweep failed and will be tried again: the database did not take the change (OperationalError)"
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_ends_it_and_can_be_seen() -> None:
    def break_down() -> None:
        raise ZeroDivisionError

    ticker = Ticker("broken", 0.01, break_down)
    ticker.start()
    wait_for(lambda: not ticker.is_alive)
    ticker.stop()
