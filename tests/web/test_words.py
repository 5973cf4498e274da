"""Times, ages and states in words."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.derivation import DerivationState
from dicomnode.web.words import Tone, age, local_time, measured, person, plural, sentence, study_date, tone_of

NOW = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("seconds", "written"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_an_age_is_written_in_its_largest_unit(seconds: int, written: str) -> None:
    assert age(NOW - timedelta(seconds=seconds), NOW) == written


def test_a_clock_that_goes_ahead_gives_no_negative_age() -> None:
    assert age(NOW + timedelta(seconds=5), NOW) == "0 s"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.01, "under 0.1 s"), (2.44, "2.4 s"), (18.6, "19 s"), (59.7, "1 min 00 s"), (95, "1 min 35 s")],
)
def test_a_duration_is_written_as_exactly_as_it_matters(seconds: float, written: str) -> None:
    assert measured(seconds) == written


@pytest.mark.parametrize(
    ("at", "written"),
    [
        (NOW, "11:15:00"),
        (datetime(2026, 2, 28, 23, 30, tzinfo=UTC), "00:30:00"),
        (datetime(2026, 2, 28, 9, 0, tzinfo=UTC), "28 Feb 10:00"),
        (datetime(2025, 12, 1, 9, 0, tzinfo=UTC), "01 Dec 2025 10:00"),
    ],
)
@pytest.mark.usefixtures("in_berlin")
def test_a_time_is_the_sites_own_with_utc_on_hover(at: datetime, written: str) -> None:
    html = str(local_time(at, NOW))
    assert f">{written}</time>" in html
    assert f'title="{at:%Y-%m-%d %H:%M:%S} UTC"' in html


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Testperson^Tilda", "Testperson, Tilda"),
        ("Yamada^Tarou=山田^太郎", "Yamada, Tarou"),
        ("Abel^Bruno^Maria^Dr", "Abel, Bruno Maria"),
        ("ONLY", "ONLY"),
        ("^Tilda", "Tilda"),
        ("", ""),
    ],
)
def test_a_name_is_written_as_people_write_it(name: str, written: str) -> None:
    assert person(name) == written


def test_a_date_is_written_with_hyphens_and_what_is_none_stays() -> None:
    assert [study_date(text) for text in ("20260301", "2026", "")] == ["2026-03-01", "2026", ""]


def test_a_sentence_begins_large_ends_with_a_stop_and_sets_commands_apart() -> None:
    assert sentence("run `dicomnode doctor` & look") == "Run <code>dicomnode doctor</code> &amp; look."
    assert sentence("Is it <there>?") == "Is it &lt;there&gt;?"


def test_nouns_follow_their_number() -> None:
    assert [plural(count, "study", "studies") for count in (1, 2)] == ["1 study", "2 studies"]


def test_every_state_that_is_stored_has_a_colour_that_was_chosen() -> None:
    quiet = {state for state in (*DerivationState, *DeliveryState) if tone_of(state) is Tone.QUIET}
    assert quiet == {DerivationState.SUPERSEDED, DerivationState.REMOVED}
    assert tone_of("anything else") is Tone.QUIET
