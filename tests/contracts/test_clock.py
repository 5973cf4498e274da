"""Every Clock tells aware instants in UTC that never go back."""

from datetime import timedelta

import pytest

from dicomnode.domain.ports import Clock
from dicomnode.node.clock import SystemClock
from tests.conftest import FakeClock


@pytest.fixture(params=["machine", "told"])
def any_clock(request: pytest.FixtureRequest, clock: FakeClock) -> Clock:
    return SystemClock() if request.param == "machine" else clock


def test_it_tells_aware_instants_in_utc(any_clock: Clock) -> None:
    assert any_clock.now().utcoffset() == timedelta(0)


def test_it_does_not_go_back(any_clock: Clock) -> None:
    told = [any_clock.now() for _ in range(3)]
    assert told == sorted(told)


def test_a_clock_that_is_told_the_time_goes_on_by_what_it_is_told(clock: FakeClock) -> None:
    before = clock.now()
    clock.advance(1.5)
    assert clock.now() - before == timedelta(seconds=1.5)
