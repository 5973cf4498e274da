"""Each route, asked by each role, by nobody and by a program with a token: exactly those may who should."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from dicomnode.domain.account import PERMISSIONS, AccountRole, Permission
from dicomnode.engine.queues import Queues
from dicomnode.journey.audit import AuditTrail
from tests.conftest import FakeClock
from tests.dicomweb.sending import intake, receiving
from tests.web.full_house import fill, site_of
from tests.web.holdings import Browser, Holdings, empty_holdings
from tests.web.people import FROM_HERE, TESTER, People, people
from tests.web.routes import Declared, routes_of

READ, SAFE = ("GET",), ("GET", "HEAD")


@dataclass
class House:
    """An application with something of everything, its people and all its routes."""

    holdings: Holdings
    app: FastAPI
    staff: People
    routes: tuple[Declared, ...]

    def browser(self, role: AccountRole | None) -> Browser:
        """A browser with a session of its own, so that logging out in one ends no other."""
        browser = Browser(self.app)
        if role is not None:
            with self.holdings.ledger.transaction() as tx:
                session = self.staff.accounts.logins.begin(tx, self.staff.named(role))
            browser.cookies.set("dicomnode", session)
        return browser


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    clock = FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    with empty_holdings(sqlite_template, tmp_path_factory.mktemp("matrix"), clock) as holdings:
        fill(holdings, clock)
        queues = Queues(holdings.ledger)
        # Without the stream of changes, which would never end.
        site = {**site_of(holdings, clock, queues), "changes": None}
        staff, taking = people(holdings.ledger, clock), intake(receiving(holdings))
        trail = AuditTrail(holdings.ledger, clock)
        app = holdings.app(accounts=staff.accounts, audit=trail, intake=taking, **site)
        for role in AccountRole:
            staff.named(role)
        yield House(holdings, app, staff, tuple(routes_of(app, holdings.archive, taking)))
        queues.close()


def _ask(browser: Browser, route: Declared, **headers: str) -> httpx.Response:
    """Ask as a page of the node does; nothing is sent along, so that what is allowed mostly finds nothing to do."""
    return browser.request(route.method, route.address, headers=headers or FROM_HERE)


def _is_for_programs(route: Declared) -> bool:
    return route.path.startswith(("/api/", "/dicom-web/"))


def _is_led_to_login(response: httpx.Response) -> bool:
    return response.status_code == 303 and response.headers["location"].partition("?")[0] == "/login"


def test_every_route_declares_what_it_asks_for(house: House) -> None:
    assert len(house.routes) > 80
    undeclared = [f"{route.method} {route.path}" for route in house.routes if route.requirement is None]
    assert undeclared == []


def test_only_the_ways_in_are_open(house: House) -> None:
    found = {route.path for route in house.routes if route.requirement and route.requirement.is_for_anybody}
    assert found == {"/login", "/setup"}


def test_what_changes_something_asks_for_more_than_a_look(house: House) -> None:
    """STOW, buttons and forms: none of them is for whoever may only look."""
    looks = {Permission.SEE_SYSTEM, Permission.SEE_STUDIES, Permission.SEE_NAMES}
    lax = [
        f"{route.method} {route.path}"
        for route in house.routes
        if route.method not in SAFE and route.requirement and route.requirement.permission in looks
    ]
    assert lax == []


def test_nobody_gets_anything(house: House) -> None:
    for route in house.routes:
        response = _ask(house.browser(None), route)
        where = f"{route.method} {route.address}"
        if route.requirement and route.requirement.is_for_anybody:
            assert response.status_code in (200, 400, 401), where
        elif _is_for_programs(route):
            assert response.status_code == 401, where
        else:
            assert _is_led_to_login(response), where


@pytest.mark.parametrize("role", list(AccountRole))
def test_each_role_gets_what_its_permissions_say(house: House, role: AccountRole) -> None:
    wrong = []
    for route in house.routes:
        response = _ask(house.browser(role), route)
        permission = route.requirement.permission if route.requirement else None
        allowed = permission is None or permission in PERMISSIONS[role]
        if route.requirement and route.requirement.is_for_anybody:
            continue
        if _was_refused(response) == allowed:
            wrong.append(f"{route.method} {route.address}: {response.status_code}")
        assert response.status_code < 500 or response.status_code == 502, f"{route.method} {route.address}"
    assert wrong == []


def _was_refused(response: httpx.Response) -> bool:
    """Whether the door was shut; a rule of the house behind it is another matter (a second person, say)."""
    if response.status_code == 403:
        return "it takes the permission" in response.text
    return response.status_code == 401


def test_a_token_may_what_it_was_made_for(house: House) -> None:
    name, given = house.staff.named(AccountRole.ADMINISTRATOR), {Permission.SEE_SYSTEM, Permission.STORE}
    token = house.staff.accounts.tokens.make(name, "a program", given, None, TESTER).secret
    asked = 0
    for route in house.routes:
        if not _is_for_programs(route) or route.requirement is None:
            continue
        response = _ask(Browser(house.app), route, Authorization=f"Bearer {token}")
        assert _was_refused(response) == (route.requirement.permission not in given), route
        asked += 1
    assert asked > 30


LOOK = {"viewer", "operator", "administrator", "ml-engineer"}
WHO_MAY = {
    ("GET", "/"): LOOK,
    ("GET", "/studies/{study}"): LOOK,
    ("GET", "/studies/{study}/compare"): LOOK,
    ("GET", "/dicom-web/studies/{study}/metadata"): LOOK,
    ("POST", "/dicom-web/studies"): {"operator", "administrator"},
    ("POST", "/studies/{study}/derivations/{key}/retry"): {"operator", "administrator"},
    ("POST", "/quarantine/{entry}/discard"): {"operator", "administrator"},
    ("PUT", "/api/peers/{ae_title:path}"): {"administrator"},
    ("GET", "/api/peers"): LOOK,
    ("GET", "/accounts"): {"administrator"},
    ("POST", "/accounts"): {"administrator"},
    ("POST", "/accounts/{name}/roles"): {"administrator"},
    ("POST", "/tokens/{prefix}/revoke"): {"administrator"},
    ("GET", "/audit"): {"administrator"},
    ("GET", "/audit.csv"): {"administrator"},
    ("GET", "/settings"): {"administrator"},
    ("GET", "/account"): LOOK,
}
"""Written down by hand, so that a wrong declaration is seen."""


def test_those_may_who_should(house: House) -> None:
    declared = {(route.method, route.path): route for route in house.routes}
    assert declared.keys() >= WHO_MAY.keys()
    for key, who in WHO_MAY.items():
        refused = {role for role in AccountRole if _was_refused(_ask(house.browser(role), declared[key]))}
        assert set(AccountRole) - refused == who, key


def test_rules_are_edited_by_some_and_published_by_fewer(house: House) -> None:
    """Whoever may publish may edit, and not the other way round."""
    for route in house.routes:
        permission = route.requirement.permission if route.requirement else None
        if permission is Permission.PUBLISH_RULES:
            assert _was_refused(_ask(house.browser(AccountRole.ML_ENGINEER), route)), route
            assert not _was_refused(_ask(house.browser(AccountRole.ADMINISTRATOR), route)), route
