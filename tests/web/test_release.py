"""A person lets go on what a rule holds: by the button on the study's page, or as a program."""

from dataclasses import replace

import pytest

from dicomnode.domain.derivation import DerivationState
from dicomnode.ledger.derivations import request_derivation
from tests.builders import a_series, uid
from tests.web.holdings import HOST, Browser, Holdings

STUDY = uid("study")


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(holdings.app())


def _hold(holdings: Holdings) -> None:
    """Put down a derivation that waits for a person, beside one that does not."""
    asked = holdings.ask(holdings.receive(a_series(slices=2)))
    held = replace(asked, key=f"{asked.key}-held", rule="new", state=DerivationState.HELD, reason="the protocol is new")
    with holdings.ledger.transaction() as tx:
        request_derivation(tx, held)


def test_what_is_held_has_a_button_and_its_reason(browser: Browser, holdings: Holdings) -> None:
    _hold(holdings)
    page = browser.get(f"/studies/{STUDY}").text
    assert page.count(f'action="/studies/{STUDY}/release"') == 1
    assert "The protocol is new." in page
    pressed = browser.post(f"/studies/{STUDY}/release", headers={"Origin": HOST})
    assert pressed.status_code == 303
    assert pressed.headers["location"].split("?")[0] == f"/studies/{STUDY}"


def test_a_program_can_release_a_study(browser: Browser, holdings: Holdings) -> None:
    _hold(holdings)
    answer = browser.post(f"/api/studies/{STUDY}/release")
    assert answer.status_code == 202
    assert answer.json()["said"].startswith("Released by ")


def test_where_nothing_is_held_nothing_is_released(browser: Browser, holdings: Holdings) -> None:
    holdings.ask(holdings.receive(a_series(slices=2)))
    assert browser.post(f"/api/studies/{STUDY}/release").status_code == 404
    assert browser.post("/api/studies/1.x/release").status_code in (400, 422)
    assert "release" not in browser.get(f"/studies/{STUDY}").text
