"""The page of the destinations: how each stands, and its buttons."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from dicomnode.domain.account import AccountRole
from dicomnode.domain.delivery import Endpoint, OutgoingInstance, StoreOutcome
from dicomnode.domain.uids import AETitle
from dicomnode.engine.queues import Queues
from dicomnode.imaging.trial_instance import write_trial_instance
from dicomnode.journey.destinations import DestinationBook, Trial
from dicomnode.ledger.destinations import list_pauses
from tests.conftest import FakeClock
from tests.web.full_house import fill, site_of
from tests.web.holdings import HOST, Browser, Holdings, visited_by
from tests.web.test_pages import words

SAME_ORIGIN = {"Origin": HOST}
PATH = "/destinations"


@pytest.fixture
def app(holdings: Holdings, clock: FakeClock) -> Iterator[FastAPI]:
    queues = Queues(holdings.ledger)
    yield holdings.app(**site_of(holdings, clock, queues))
    queues.close()


@pytest.fixture
def browser(app: FastAPI) -> Browser:
    return Browser(app)


def test_each_destination_says_what_waits_and_what_was_refused(
    browser: Browser, holdings: Holdings, clock: FakeClock
) -> None:
    fill(holdings, clock)
    told = words(browser.get(PATH))
    assert "10 instances, the oldest for 1 min" in told
    assert "1 instance refused" in told
    assert "0xA900: the data set does not match the SOP class (“no such class here”)" in told
    assert "archive.example:104" in told
    assert "nowhere: what is sent is never verified" in told


def test_pause_and_resume_say_who_and_why(browser: Browser, holdings: Holdings) -> None:
    paused = browser.post(f"{PATH}/archive/pause", data={"reason": "it is moved"}, headers=SAME_ORIGIN)
    assert (paused.status_code, paused.headers["location"]) == (303, PATH)
    shown = words(browser.get(PATH))
    assert "archive is paused; what goes there waits." in shown
    assert "Paused by local" in shown
    assert "It is moved." in shown
    browser.post(f"{PATH}/archive/resume", headers=SAME_ORIGIN)
    with holdings.ledger.transaction() as tx:
        assert list_pauses(tx) == {}
    assert "archive is resumed" in words(browser.get(PATH))


def test_an_echo_that_fails_is_an_answer(browser: Browser) -> None:
    browser.post(f"{PATH}/pacs/echo", headers=SAME_ORIGIN)
    told = words(browser.get(PATH))
    assert "C-ECHO failed:" in told
    assert told.count("failed") >= 2, "it stays with the destination"


def test_what_is_not_configured_is_refused(browser: Browser) -> None:
    for verb in ("echo", "pause", "resume", "try"):
        assert (
            "no destination other is configured"
            in words(browser.post(f"{PATH}/other/{verb}", headers=SAME_ORIGIN), 404).lower()
        )


def test_who_may_not_operate_has_no_buttons(app: FastAPI) -> None:
    viewer = Browser(visited_by(app, AccountRole.VIEWER))
    assert "Pause" not in words(viewer.get(PATH))
    for verb in ("echo", "pause", "resume", "try"):
        assert viewer.post(f"{PATH}/pacs/{verb}", headers=SAME_ORIGIN).status_code == 403


class Refusing:
    """A PACS that takes nothing."""

    endpoint = Endpoint(name="pacs", ae_title=AETitle("PACS"), host="pacs.example", port=104)

    def store(self, instances: tuple[OutgoingInstance, ...]) -> tuple[StoreOutcome, ...]:
        (item,) = instances
        return (StoreOutcome(sop_instance_uid=item.sop_instance_uid, status=0x0124, stored=False, retryable=False),)


def test_a_test_store_says_what_it_does_first_and_how_it_went(holdings: Holdings, clock: FakeClock) -> None:
    queues = Queues(holdings.ledger)
    pacs = Refusing()
    site = site_of(holdings, clock, queues)
    trial = Trial(make=write_trial_instance, destinations=[pacs])
    site["destinations"] = DestinationBook(holdings.ledger, queues, clock, None, [pacs.endpoint], trial)  # type: ignore[arg-type]
    browser = Browser(holdings.app(**site))
    assert "It stays there until somebody deletes it." in words(browser.get(PATH))
    browser.post(f"{PATH}/pacs/try", headers=SAME_ORIGIN)
    told = words(browser.get(PATH))
    assert "The test instance was not stored: pacs refused the test instance with status 0x0124" in told
    queues.close()


def test_a_node_without_destinations_says_how_to_name_one(holdings: Holdings) -> None:
    assert "No destination is configured" in words(Browser(holdings.app()).get(PATH))
