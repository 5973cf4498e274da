"""Every page of the rules in light and in dark, judged by axe-core in Chromium: nothing serious, nothing critical."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dicomnode.journey.rule_book import RuleBook
from tests.builders import FLAIR
from tests.chromium import launched
from tests.conftest import FakeClock
from tests.web.holdings import Holdings, empty_holdings, served
from tests.web.rule_examples import a_book, a_head, published, without_flair

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
GRAVE = ("serious", "critical")
pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

HOLD = {"name": "rest", "description": "The rest.", "fallback": True, "then": [{"hold": {"reason": "Look at it."}}]}
ROUTE = {
    "name": "route",
    "description": "CT goes on.",
    "window": {"days": ["mon", "tue"], "from": "07:00", "to": "19:00"},
    "when": {
        "combinator": "or",
        "rules": [
            {"field": "StudyDate", "operator": "withinDays", "value": 30},
            {"rules": [{"field": "PatientAge", "operator": "between", "value": [18, 80]}]},
            {"field": "Modalities", "operator": "containsAny", "value": ["CT", "PT"]},
        ],
    },
    "then": [
        {
            "route": {
                "series": {"rules": [{"field": "Weighting", "operator": "in", "value": ["T1", "T2"]}]},
                "destinations": ["pacs"],
            }
        },
        {"hold": {"reason": "Look first."}},
    ],
}


@pytest.fixture
def holdings(sqlite_template: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Holdings]:
    with empty_holdings(sqlite_template, tmp_path, clock) as holdings:
        yield holdings


@pytest.fixture
def book(holdings: Holdings) -> RuleBook:
    return a_book(holdings)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def faults(page: Page) -> list[str]:
    """What axe finds that keeps somebody from using the page, with where."""
    found = page.evaluate(f"async () => {{ {AXE}; return (await axe.run(document)).violations; }}")
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"][:3]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_the_rules_has_a_serious_fault(
    holdings: Holdings, book: RuleBook, chromium: Browser, scheme: str
) -> None:
    found: dict[str, list[str]] = {}
    with served(holdings.app(rules=book)) as address:
        context = chromium.new_context(base_url=address, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()

        def look(path: str, name: str = "") -> None:
            page.goto(path)
            found[name or path] = faults(page)

        look("/rules", "empty")
        look("/rules/draft", "no draft")
        published(book, without_flair(), ROUTE)
        head, whole = a_head(holdings), a_head(holdings, "whole", **FLAIR)
        (decision, *_) = book.try_on(book.document(book.in_force().version), head)  # type: ignore[arg-type]
        holdings.decide(decision, head)
        number = book.begin_draft("ada").number
        book.save_draft({"rules": [without_flair(shadow=True), ROUTE, HOLD]}, "ada", number)
        first, second = (one.version for one in book.publications())
        for path in ("/rules", "/rules/draft", "/rules/import", "/rules/publish", "/rules/versions", "/rules/test"):
            look(path)
        for path in ("/rules/new", "/rules/draft/route", "/rules/draft/rest", "/rules/draft/rest/yaml"):
            look(path)
        look("/rules/fired/t1-t2-without-flair")
        look(f"/rules/test?study={head}", "fires")
        look(f"/rules/test?study={whole}", "does not fire")
        look(f"/rules/whatif?studies={head}+{whole}", "what-if")
        look(f"/rules/diff?before={second}&after={first}", "diff")
        page.goto("/rules/draft/t1-t2-without-flair")
        page.locator("input.fact").first.fill("Weigthing")
        page.locator("#save").click()
        page.get_by_text("Not saved.").wait_for()
        found["refused"] = faults(page)
        page.goto("/rules/versions")
        page.get_by_text("Roll back").first.click()
        found["rolling back"] = faults(page)
        context.close()
    assert {name: said for name, said in found.items() if said} == {}
