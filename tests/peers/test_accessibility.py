"""Every page in light and in dark, judged by axe-core in Chromium: nothing serious, nothing critical.

axe-core comes with the package axe-playwright-python. With DICOMNODE_PAGE_PICTURES=folder every page is drawn into that
folder.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from dicomnode.engine.queues import Queues
from dicomnode.journey.audit import AuditTrail
from tests.chromium import launched
from tests.conftest import FakeClock
from tests.web.full_house import fill, site_of
from tests.web.holdings import empty_holdings, served
from tests.web.people import people

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

PICTURES = os.environ.get("DICOMNODE_PAGE_PICTURES")
GRAVE = ("serious", "critical")
EMPTY = {"empty-now": "/", "empty-studies": "/studies", "empty-quarantine": "/quarantine", "empty-peers": "/peers"}


@pytest.fixture(scope="module")
def axe() -> str:
    return (files("axe_playwright_python") / "axe.min.js").read_text()


@pytest.fixture(scope="module")
def pages(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The address of every page, of a full node and of an empty one."""
    clock = FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    with (
        empty_holdings(sqlite_template, tmp_path_factory.mktemp("full"), clock) as full,
        empty_holdings(sqlite_template, tmp_path_factory.mktemp("empty"), clock) as empty,
    ):
        paths = fill(full, clock)
        queues = Queues(full.ledger)
        app = full.app(**site_of(full, clock, queues), audit=AuditTrail(full.ledger, clock))
        guarded = empty.app(accounts=people(empty.ledger, clock).accounts)
        clock.advance(200)
        with served(app) as address, served(empty.app()) as bare, served(guarded) as closed:
            yield {
                **{name: address + path for name, path in (paths | {"audit": "/audit"}).items()},
                **{name: bare + path for name, path in EMPTY.items()},
                "login": f"{closed}/login",
            }
        queues.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


def _faults(page: Page, axe: str) -> list[str]:
    """What axe finds that keeps somebody from using the page, with where."""
    page.evaluate(axe)
    found = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]} {node['failureSummary'][:160]}"
        for rule in found
        if rule["impact"] in GRAVE
        for node in rule["nodes"][:3]
    ]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 480)])
def test_no_page_has_a_serious_fault(
    pages: dict[str, str], chromium: Browser, axe: str, scheme: Literal["light", "dark"], width: int
) -> None:
    context = chromium.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    page = context.new_page()
    faults: dict[str, list[str]] = {}
    for name, address in pages.items():
        page.goto(address)
        if name == "compare":
            page.wait_for_selector("body[data-ready=true]")
        if PICTURES:
            page.screenshot(path=Path(PICTURES) / f"{name}-{scheme}-{width}.png", full_page=True)
        faults[name] = _faults(page, axe)
    context.close()
    assert {name: found for name, found in faults.items() if found} == {}
