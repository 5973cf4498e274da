"""Failures on the first page: each with cause, side and one button that does it."""

import re
from collections.abc import Iterator

import pytest

from dicomnode.domain.account import AccountRole
from dicomnode.domain.capacity import DiskLevel, DiskState
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.door import Cause
from dicomnode.domain.errors import ModelFailed
from dicomnode.engine.queues import Queues
from dicomnode.ledger.timeline import write_event
from dicomnode.web.failures import ADVICE
from tests.builders import a_series, uid
from tests.conftest import FakeClock
from tests.web.full_house import fill, site_of
from tests.web.holdings import HOST, Browser, Holdings, visited_by
from tests.web.test_pages import Text, line, words

SAME_ORIGIN = {"Origin": HOST}


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(holdings.app())


@pytest.fixture
def queues(holdings: Holdings) -> Iterator[Queues]:
    queues = Queues(holdings.ledger)
    yield queues
    queues.close()


def failures(page: str) -> dict[str, str]:
    """The rows of the failures by their cause."""
    table = page.split('id="failures"')[1].split("</table>")[0]
    found = re.findall(r'<tr data-key="([^"]*)">(.*?)</tr>', table, re.DOTALL)
    return {cause: Text(row).text.strip() for cause, row in found}


def test_each_failure_has_its_side_and_what_to_do(browser: Browser, holdings: Holdings, clock: FakeClock) -> None:
    fill(holdings, clock)
    found = failures(browser.get("/").text)
    assert {cause: ("ours" in row, "theirs" in row) for cause, row in found.items()} == {
        "Model failed": (True, False),
        "Input outside a model&#39;s contract": (False, True),
        "CT7 was turned away: calling AE title": (True, False),
        "In quarantine from OLDMR": (False, True),
    }
    assert found["Model failed"].endswith("Retry")
    assert found["CT7 was turned away: calling AE title"].endswith("Add as peer")
    assert "/new-peer?ae_title=CT7&amp;networks=10.1.2.9" in browser.get("/").text


def test_a_day_later_they_are_forgotten(browser: Browser, holdings: Holdings, clock: FakeClock) -> None:
    fill(holdings, clock)
    clock.advance(86_400 + 100)
    assert "Nothing failed, and nobody was turned away." in words(browser.get("/"))


def _fail(holdings: Holdings, *studies: str) -> list[str]:
    keys = []
    for study in studies:
        derivation = holdings.ask(holdings.receive(a_series(study=study, series=study, slices=2)))
        holdings.end(derivation, DerivationState.FAILED, ModelFailed("the model ran out of memory"))
        keys.append(derivation.key)
    return keys


def test_one_button_retries_all_that_failed_for_one_cause(browser: Browser, holdings: Holdings) -> None:
    _fail(holdings, "a", "b")
    assert failures(browser.get("/").text)["Model failed"].endswith("Retry all 2")
    pressed = browser.post("/failures/derivations/ModelFailed/retry", headers=SAME_ORIGIN)
    assert (pressed.status_code, pressed.headers["location"]) == (303, "/")
    shown = words(browser.get("/"))
    assert "2 derivations will be tried again." in shown
    assert "Nothing failed" in shown
    assert "will be tried again" not in words(browser.get("/")), "it is said once"
    assert "What to do:" in words(browser.post("/failures/derivations/ModelFailed/retry", headers=SAME_ORIGIN), 404)


def test_one_button_sends_all_again_that_a_destination_did_not_take(
    browser: Browser, holdings: Holdings, clock: FakeClock
) -> None:
    (key,) = _fail(holdings, "a")
    with holdings.ledger.transaction() as tx:
        detail = {"derivation": key, "destination": "pacs"}
        said = "Not delivered to pacs: it refused"
        write_event(tx, uid("a"), at=clock.now(), step="deliver", state="needs operator", text=said, detail=detail)
    assert failures(browser.get("/").text)["Not delivered to pacs"].endswith("Send again")
    browser.post("/failures/deliveries/pacs/resend", headers=SAME_ORIGIN)
    assert holdings.buttons.resent == [(key, "pacs")]


def test_who_may_not_operate_gets_no_such_buttons(holdings: Holdings) -> None:
    _fail(holdings, "a")
    viewer = Browser(visited_by(holdings.app(), AccountRole.VIEWER))
    assert "Retry" not in failures(viewer.get("/").text)["Model failed"].split("derivation id.")[1]
    assert viewer.post("/failures/derivations/ModelFailed/retry", headers=SAME_ORIGIN).status_code == 403


def test_a_paused_destination_says_so_with_who_and_why(holdings: Holdings, clock: FakeClock, queues: Queues) -> None:
    site = site_of(holdings, clock, queues)
    site["destinations"].pause("archive", "olga", "it is moved")
    told = line(Browser(holdings.app(**site)).get("/").text, "Deliver to archive")
    assert "paused" in told
    assert "paused by olga: it is moved" in told


class TwoGibibytesFree:
    """A disk with room for so long."""

    def state(self) -> DiskState:
        return DiskState(level=DiskLevel.OK, free=2 * 2**30, total=8 * 2**30)

    def congestion(self) -> str | None:
        return None


def test_the_disk_says_for_how_many_days_it_lasts(holdings: Holdings, clock: FakeClock) -> None:
    browser = Browser(holdings.app(capacity=TwoGibibytesFree()))
    holdings.receive(a_series(slices=8, shape=(128, 128)))
    assert "enough for" not in line(browser.get("/").text, "Disk"), "nothing is said of the first hour"
    clock.advance(2 * 86_400)
    received = sum(file.stat().st_size for file in (holdings.spool.root / "instances").rglob("*.dcm"))
    days = 2 * 2**30 / (received / 2)
    told = line(browser.get("/").text, "Disk")
    assert (f"enough for {days:.0f} days" if days < 1000 else "enough for years") in told


def test_every_cause_of_being_turned_away_has_advice() -> None:
    assert set(ADVICE) == set(Cause)
