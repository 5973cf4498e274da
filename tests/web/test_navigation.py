"""The bar leads to the pages that a visitor may open, and each of them opens."""

import pytest

from dicomnode.domain.account import LOCAL_VISITOR, NOBODY, AccountRole
from dicomnode.web.navigation import navigation
from tests.conftest import FakeClock
from tests.web.full_house import rules_of
from tests.web.holdings import Browser, Holdings, visited_by
from tests.web.test_pages import Text

OF_OTHERS = {"/audit"}
"""Pages that a node has only with an audit trail."""


def test_nobody_is_led_nowhere_and_everybody_here_everywhere() -> None:
    assert navigation(NOBODY) == []
    assert [entry.title for entry in navigation(LOCAL_VISITOR)] == [
        "Now",
        "Studies",
        "Rules",
        "Models",
        "Peers",
        "Audit",
        "Settings",
    ]


@pytest.mark.parametrize("role", list(AccountRole))
def test_what_the_bar_leads_to_opens(holdings: Holdings, clock: FakeClock, role: AccountRole) -> None:
    visitor = Browser(visited_by(holdings.app(rules=rules_of(holdings)), role))
    page = Text(visitor.get("/").text)
    paths = {
        href
        for href in page.attributes("a", "href")
        if href and href in {"/", "/studies", "/rules", "/models", "/peers", "/audit", "/settings"}
    }
    assert {"/", "/studies", "/models", "/peers"} <= paths
    assert ("/settings" in paths) == (role is AccountRole.ADMINISTRATOR)
    for path in paths - OF_OTHERS:
        assert visitor.get(path).status_code == 200, path
