"""The compare page, as far as the server makes it."""

import re

import pytest

from tests.builders import a_series, uid
from tests.web.holdings import Browser, Holdings, a_synthetic_series, a_whole_study


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(holdings.app())


def panes(html: str) -> list[dict[str, str]]:
    sections = re.findall(r'<section class="pane"(.*?)>(.*?)</section>', html, re.DOTALL)
    found = []
    for attributes, content in sections:
        pane = dict(re.findall(r'data-([a-z]+)="([^"]*)"', attributes))
        heading = re.search(r"<h2[^>]*>(.*?)</h2>", content, re.DOTALL)
        assert heading is not None
        pane["mark"] = re.sub(r"<[^>]+>", "", heading.group(1))
        found.append(pane)
    return found


def test_the_newest_derived_series_stands_beside_its_target(browser: Browser, holdings: Holdings) -> None:
    study, target, derived = a_whole_study(holdings)
    source, synthetic = panes(browser.get(f"/studies/{study}/compare").text)
    assert (source["series"], source["kind"], source["target"]) == (target, "acquired", "true")
    assert (synthetic["series"], synthetic["kind"]) == (derived, "synthetic")
    assert "target" not in synthetic
    assert source["mark"].startswith("ACQUIRED")
    assert synthetic["mark"].startswith("AI SYNTHETIC – NOT ACQUIRED synth-flair 1.2.0")


@pytest.mark.parametrize(
    "query", ["series={a},{b},{c}", "series={a}&series={b}&series={c}", "series={a},{b}&series={c},{a}"]
)
def test_series_can_be_chosen(browser: Browser, holdings: Holdings, query: str) -> None:
    study, target, derived = a_whole_study(holdings)
    chosen = {"a": derived, "b": uid("study", "t1"), "c": target}
    found = panes(browser.get(f"/studies/{study}/compare?{query.format(**chosen)}").text)
    assert [pane["series"] for pane in found] == list(chosen.values())
    assert [pane.get("target") for pane in found] == [None, None, "true"]


def test_a_series_is_synthetic_by_what_its_instances_say_not_by_where_it_came_from(
    browser: Browser, holdings: Holdings
) -> None:
    mixed = [*a_series(slices=3), *a_synthetic_series("study", "series", slices=5)[4:]]
    holdings.receive(mixed)
    (pane,) = panes(browser.get(f"/studies/{uid('study')}/compare?series={uid('study', 'series')}").text)
    assert pane["kind"] == "synthetic"


def test_a_study_without_a_derived_series_says_so(browser: Browser, holdings: Holdings) -> None:
    holdings.receive(a_series(slices=2))
    page = browser.get(f"/studies/{uid('study')}/compare")
    assert page.status_code == 200
    assert panes(page.text) == []
    assert "Nothing to compare yet" in page.text


def test_only_series_of_the_study_and_not_too_many_are_shown(browser: Browser, holdings: Holdings) -> None:
    study, target, _derived = a_whole_study(holdings)
    assert browser.get(f"/studies/{study}/compare?series={target},1.2.3").status_code == 404
    assert browser.get(f"/studies/{study}/compare?series=1.1,1.2,1.3,1.4,1.5").status_code == 400
    assert browser.get(f"/studies/{study}/compare?series=x").status_code == 400


def test_the_metadata_the_page_asks_for_is_served_beside_it(browser: Browser, holdings: Holdings) -> None:
    study, target, _derived = a_whole_study(holdings)
    page = browser.get(f"/studies/{study}/compare").text
    service = re.search(r'data-service="([^"]+)"', page)
    assert service is not None
    headers = browser.get(f"{service.group(1)}/studies/{study}/series/{target}/metadata").json()
    address = headers[0]["7FE00010"]["BulkDataURI"]
    assert address.startswith(f"{service.group(1)}/studies/{study}/series/{target}/instances/")
    assert browser.get(address).status_code == 200
