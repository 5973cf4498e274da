"""Every state on every page is one of a fixed set of words, and every form of a time has its UTC."""

import re
from collections.abc import Iterator

import pytest

from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.derivation import DerivationState
from dicomnode.engine.queues import Queues
from dicomnode.ledger.study_list import StudyState
from dicomnode.web.words import Tone, size, tone_of, word_for
from tests.conftest import FakeClock
from tests.web.full_house import fill, site_of
from tests.web.holdings import Browser, Holdings

WORK = {"waiting", "held", "running", "derived", "refused", "failed", "needs operator", "superseded", "removed", "done"}
WAY = {"receiving", "sent", "verified", "committed", "paused", "conflict", "nothing"}
LINK = {"ok", "idle", "listening", "down", "low", "full", "expires soon", "alarm", "missing"}
VOCABULARY = WORK | WAY | LINK


@pytest.fixture
def pages(holdings: Holdings, clock: FakeClock) -> Iterator[dict[str, str]]:
    """The text of every page of a node with something of everything."""
    paths = fill(holdings, clock)
    queues = Queues(holdings.ledger)
    browser = Browser(holdings.app(**site_of(holdings, clock, queues)))
    yield {name: browser.get(path).text for name, path in paths.items()}
    queues.close()


def test_every_state_is_one_of_the_words(pages: dict[str, str]) -> None:
    found = {word for page in pages.values() for word in re.findall(r'class="state"[^>]*>([^<]*)<', page)}
    assert found <= VOCABULARY
    assert found >= {"waiting", "refused", "failed", "derived", "receiving", "ok", "idle", "missing"}


def test_every_stored_state_is_shown_as_one_of_the_words() -> None:
    stored = {word_for(state) for state in (*DerivationState, *DeliveryState, *StudyState)}
    assert stored <= VOCABULARY
    assert (word_for("queued"), word_for("stored")) == ("waiting", "sent")
    assert tone_of("stored") is Tone.GOOD


def test_every_time_says_its_utc(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        times = re.findall(r"<time [^>]*>", page)
        assert all(re.search(r'title="[0-9-]+ [0-9:]+ UTC"', time) for time in times), name
    assert "<time" in pages["now"]


def test_no_page_says_committed_without_a_report_of_commitment(pages: dict[str, str]) -> None:
    assert not any(">committed<" in page for page in pages.values())


@pytest.mark.parametrize(
    ("count", "written"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 2**20, "5.0 MiB"),
        (3 * 2**30, "3.0 GiB"),
        (2**41, "2.0 TiB"),
    ],
)
def test_a_size_is_written_in_its_largest_unit(count: int, written: str) -> None:
    assert size(count) == written
