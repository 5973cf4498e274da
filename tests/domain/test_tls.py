"""How a certificate stands depends on the days it has left, and on nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.tls import CertificateLevel, CertificateState

NOW = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)
DAY = timedelta(days=1)


@given(st.timedeltas(min_value=-1000 * DAY, max_value=1000 * DAY))
def test_the_level_follows_the_days_left(left: timedelta) -> None:
    level = CertificateState(used_by="listener", expires_at=NOW + left).level(NOW)
    assert (level is CertificateLevel.OK) == (left >= 30 * DAY)
    assert (level is CertificateLevel.ALARM) == (left < 7 * DAY)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (1.5 * DAY, "expires in 1 day, on 2026-03-02"),
        (0.5 * DAY, "expires in 0 days, on 2026-03-01"),
        (40 * DAY, "expires in 40 days, on 2026-04-10"),
    ],
)
def test_it_says_how_many_days_are_left(left: timedelta, words: str) -> None:
    assert CertificateState(used_by="listener", expires_at=NOW + left).in_words(NOW) == words


def test_what_cannot_be_used_says_why() -> None:
    state = CertificateState(used_by="listener", problem="it holds no certificate")
    assert (state.level(NOW), state.in_words(NOW)) == (CertificateLevel.ALARM, "it holds no certificate")
