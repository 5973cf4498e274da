"""A page that is only left open does not keep its visitor logged in; one that is used does."""

from datetime import timedelta

import pytest

from dicomnode.domain.account import AccountRole
from dicomnode.journey.logins import LoginPolicy
from tests.conftest import FakeClock
from tests.web.holdings import Browser, Holdings
from tests.web.people import people

IDLE = timedelta(minutes=30)
BY_ITSELF = {"Dicomnode-By-Itself": "1", "Sec-Fetch-Mode": "cors"}


@pytest.fixture
def browser(holdings: Holdings, clock: FakeClock) -> Browser:
    """Somebody who is logged in."""
    staff = people(holdings.ledger, clock, LoginPolicy(session=timedelta(hours=8), idle=IDLE))
    return staff.browser(holdings.app(accounts=staff.accounts), AccountRole.VIEWER)


def test_a_page_that_refreshes_itself_is_no_use(browser: Browser, clock: FakeClock) -> None:
    for _minute in range(29):
        clock.advance(60)
        assert browser.get("/", headers=BY_ITSELF).status_code == 200
    clock.advance(120)
    assert browser.get("/", headers=BY_ITSELF).status_code == 401
    assert browser.get("/").headers["location"] == "/login"


def test_somebody_who_works_stays_logged_in(browser: Browser, clock: FakeClock) -> None:
    for _quarter in range(8):
        clock.advance(15 * 60)
        assert browser.get("/").status_code == 200
