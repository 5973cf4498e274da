"""The editor of a rule in Chromium: with its script, without any, and with fingers faster than the network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from dicomnode.journey.rule_book import RuleBook
from tests.chromium import launched
from tests.conftest import FakeClock
from tests.web.holdings import empty_holdings, served
from tests.web.rule_examples import a_book, without_flair

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]

FIRST = "when.rules[0].value.rules[0]"
RULE = "/rules/draft/t1-t2-without-flair"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def edited(sqlite_template: Path, tmp_path: Path, clock: FakeClock) -> Iterator[tuple[RuleBook, str]]:
    """A node whose draft has one rule, and its address."""
    with empty_holdings(sqlite_template, tmp_path, clock) as holdings:
        book = a_book(holdings)
        book.save_draft({"rules": [without_flair()]}, "ada", book.begin_draft("ada").number)
        with served(holdings.app(rules=book)) as address:
            yield book, address


@pytest.fixture
def page(chromium: Browser, edited: tuple[RuleBook, str]) -> Iterator[Page]:
    with chromium.new_context(base_url=edited[1]) as context:
        page = context.new_page()
        page.goto(RULE)
        expect(page.locator("#check")).to_have_text("Nothing to correct.")
        yield page


def at(page: Page, name: str) -> Any:
    return page.locator(f'[id="{name}"]')


def saved(book: RuleBook) -> Any:
    draft = book.draft()
    assert draft is not None
    rules: Any = draft.document["rules"]
    assert len(rules) == 1
    return rules[0]


def test_facts_are_offered_while_somebody_types(page: Page) -> None:
    at(page, f"{FIRST}.field").fill("echotim")
    offered = page.locator("#facts-series option")
    expect(offered.first).to_have_attribute("value", "EchoTime")
    expect(offered.first).to_contain_text("(0018,0081)")
    expect(page.locator(f'[id="wrong:{FIRST}"]')).to_contain_text("Unknown fact 'echotim'")


def test_operators_and_value_follow_the_type_of_the_fact(page: Page) -> None:
    at(page, f"{FIRST}.field").fill("EchoTime")
    at(page, f"{FIRST}.field").press("Tab")
    operators = at(page, f"{FIRST}.operator").locator("option")
    expect(operators).to_contain_text(["is", "is not", "is one of", "is none of", "is less than"])
    expect(at(page, f"{FIRST}.operator")).to_be_focused()
    at(page, f"{FIRST}.operator").select_option("between")
    expect(at(page, f"{FIRST}.value:1")).to_be_visible()
    at(page, f"{FIRST}.field").fill("Weighting")
    at(page, f"{FIRST}.field").press("Tab")
    expect(at(page, f"{FIRST}.operator").locator("option").first).to_have_text("is")
    at(page, f"{FIRST}.operator").select_option("in")
    expect(page.get_by_label("FLAIR", exact=True)).to_be_visible()


def test_a_list_has_always_room_for_one_more(page: Page) -> None:
    at(page, f"{FIRST}.field").fill("BodyPartExamined")
    at(page, f"{FIRST}.field").press("Tab")
    expect(page.locator(f'input[id="{FIRST}.value"]')).to_be_visible()
    at(page, f"{FIRST}.operator").select_option("in")
    last = page.locator(".values.list input").last
    for word in ("HEAD", "SKULL"):
        last.fill(word)
    expect(page.locator(".values.list input")).to_have_count(4)


def test_buttons_keep_the_keyboard_at_the_change(page: Page) -> None:
    at(page, "add-condition:when.rules[0].value").press("Enter")
    expect(at(page, "when.rules[0].value.rules[1].field")).to_be_focused()
    page.keyboard.type("Modality")
    at(page, "down:when.rules[0]").press("Enter")
    expect(at(page, "down:when.rules[1]")).to_be_focused()
    expect(at(page, "when.rules[1].value.rules[1].field")).to_have_value("Modality")
    at(page, "remove:when.rules[1].value.rules[1]").press("Enter")
    expect(at(page, "remove:when.rules[1].value.rules[0]")).to_be_focused()


def test_what_is_typed_while_the_answer_is_on_its_way_stays(page: Page) -> None:
    def late(route: Route) -> None:
        page.wait_for_timeout(600)
        route.continue_()

    page.route(f"**{RULE}", late)
    at(page, f"{FIRST}.field").fill("SeriesDescription")
    at(page, f"{FIRST}.field").press("Tab")
    at(page, "description").fill("Typed meanwhile.")
    expect(page.locator(f'input[id="{FIRST}.value"]')).to_be_visible()
    expect(at(page, "description")).to_have_value("Typed meanwhile.")
    expect(at(page, "description")).to_be_focused()


def test_a_node_that_does_not_answer_loses_nothing(page: Page) -> None:
    page.route("**/rules/draft/**", lambda route: route.abort())
    at(page, "description").fill("Still here.")
    expect(page.locator("#check")).to_contain_text("The node does not answer")
    expect(at(page, "description")).to_have_value("Still here.")


def test_the_editor_works_without_a_script(chromium: Browser, edited: tuple[RuleBook, str]) -> None:
    book, address = edited
    with chromium.new_context(base_url=address, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(RULE)
        at(page, f"{FIRST}.field").fill("Weigthing")
        at(page, "save").click()
        expect(page.get_by_role("alert")).to_contain_text("Not saved.")
        expect(at(page, f"{FIRST}.field")).to_be_focused()
        page.get_by_role("button", name="Use “Weighting”").click()
        expect(page.get_by_role("alert")).to_have_count(0)
        at(page, f"add-condition:{FIRST.rpartition('.')[0]}").click()
        new = "when.rules[0].value.rules[1]"
        expect(at(page, f"{new}.field")).to_be_focused()
        at(page, f"{new}.field").fill("EchoTime")
        page.get_by_role("button", name="Check", exact=True).last.click()
        at(page, f"{new}.operator").select_option(">=")
        at(page, f"{new}.value").fill("80")
        at(page, "save").click()
        expect(page.get_by_role("status")).to_contain_text("Saved")
    asked = saved(book)["when"]["rules"][0]["value"]["rules"]
    assert asked == [
        {"field": "Weighting", "value": "T1"},
        {"field": "EchoTime", "operator": ">=", "value": 80},
    ]
