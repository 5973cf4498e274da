"""The pages while something happens, in Chromium: rows come by themselves, nothing jumps, filters and keys work."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from dicomnode.engine.queues import Queues
from dicomnode.engine.ticker import Ticker
from tests.builders import a_series, uid
from tests.chromium import launched
from tests.conftest import FakeClock
from tests.web.full_house import fill, site_of
from tests.web.holdings import Holdings, empty_holdings, served

pytestmark = pytest.mark.peer

LIVE = 4_000
"""So soon a page shows what happened; asking again and again would take longer here."""
Arrive = Callable[[str], None]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def holdings(sqlite_template, tmp_path, clock: FakeClock) -> Iterator[Holdings]:  # type: ignore[no-untyped-def]
    with empty_holdings(sqlite_template, tmp_path, clock) as holdings:
        fill(holdings, clock)
        yield holdings


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))


@pytest.fixture
def address(holdings: Holdings, clock: FakeClock) -> Iterator[str]:
    queues = Queues(holdings.ledger)
    site = site_of(holdings, clock, queues)
    ticker = Ticker("changes", 0.3, site["changes"].look)
    ticker.start()
    with served(holdings.app(**site)) as address:
        yield address
        site["changes"].stop()
    ticker.stop()
    queues.close()


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A fresh page; what it throws and what its policy forbids fails the test."""
    context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def arrive(holdings: Holdings, clock: FakeClock) -> Arrive:
    """Let a study arrive, as the newest."""

    def verb(accession: str) -> None:
        clock.advance(10)
        holdings.receive(a_series(study=accession, series=accession, slices=1, AccessionNumber=accession))

    return verb


def rows(page: Page) -> list[str]:
    """The accession numbers in the order of the rows."""
    return page.locator(".studies tbody td:nth-child(2)").all_inner_texts()


def settled(page: Page, path: str) -> None:
    """Open a page and wait until its stream of changes stands and was heard."""
    with page.expect_response(lambda response: "/events" in response.url):
        page.goto(path)
    page.wait_for_timeout(1_500)


def test_a_row_comes_by_itself_on_each_page(page: Page, arrive: Arrive) -> None:
    settled(page, "/studies")
    first = page.locator(".studies tbody tr").first
    first.evaluate("row => { row.marked = true; }")
    arrive("ACC-NEW")
    expect(page.locator(".studies tbody tr").first).to_contain_text("ACC-NEW", timeout=LIVE)
    assert page.locator(".studies tbody tr").nth(1).evaluate("row => row.marked"), "the rows that were there stay"
    settled(page, "/")
    arrive("ACC-NEWER")
    expect(page.locator(".studies tbody tr").first).to_contain_text("ACC-NEWER", timeout=LIVE)


def test_a_study_tells_its_own_news_with_details_open_and_focus_kept(page: Page, holdings: Holdings) -> None:
    settled(page, f"/studies/{uid('study')}")
    page.locator("details.decision").first.locator("summary").click()
    page.mouse.move(1, 1)
    link = page.get_by_role("link", name="Compare source and synthetic")
    link.focus()
    holdings.receive(a_series(study="study", series="more", slices=1, SeriesNumber=7, SeriesDescription="one more"))
    expect(page.locator("body")).to_contain_text("one more", timeout=LIVE)
    expect(link).to_be_focused()
    expect(page.locator("details.decision").first).to_have_attribute("open", "")


def test_no_row_moves_under_the_pointer_and_it_comes_when_the_pointer_leaves(page: Page, arrive: Arrive) -> None:
    settled(page, "/studies")
    second = page.locator(".studies tbody tr").nth(1)
    before, text = second.bounding_box(), second.inner_text()
    second.hover()
    page.wait_for_timeout(2_000)
    arrive("ACC-HELD")
    expect(page.locator("#live")).to_have_class("held", timeout=LIVE)
    expect(page.locator(".tally")).to_be_visible()
    assert "ACC-HELD" not in rows(page)
    assert (second.bounding_box(), second.inner_text()) == (before, text)
    page.mouse.move(5, 5)
    expect(page.locator(".studies tbody tr").first).to_contain_text("ACC-HELD", timeout=LIVE)
    expect(page.locator("#live")).not_to_have_class("held")


def test_filters_apply_while_one_types_and_stay_in_the_address(page: Page) -> None:
    settled(page, "/studies")
    page.evaluate("window.isTheSamePage = true")
    search = page.get_by_role("searchbox", name="Search", exact=True)
    search.press_sequentially("ACC-2")
    expect(page.locator(".tally")).to_contain_text("Rows 1–1 of 1 study that matches the filters", timeout=LIVE)
    expect(page).to_have_url("/studies?search=ACC-2")
    expect(search).to_be_focused()
    page.get_by_label("State").select_option("failed")
    expect(page).to_have_url("/studies?search=ACC-2&state=failed")
    assert page.evaluate("window.isTheSamePage"), "no page was loaded"
    page.get_by_role("link", name="Testperson, Tilda").click()
    page.wait_for_url("**/studies/1.*")
    page.go_back()
    expect(page).to_have_url("/studies?search=ACC-2&state=failed")
    expect(page.locator(".tally")).to_contain_text("1 study that matches")
    expect(page.get_by_label("State")).to_have_value("failed")
    page.reload()
    expect(page.get_by_role("searchbox", name="Search", exact=True)).to_have_value("ACC-2")
    page.get_by_role("link", name="Clear").click()
    expect(page.locator(".tally")).to_contain_text("of 5 studies")


def test_live_rows_keep_to_the_filters(page: Page, arrive: Arrive) -> None:
    settled(page, "/studies")
    page.get_by_label("State").select_option("failed")
    expect(page).to_have_url("/studies?state=failed")
    before = rows(page)
    arrive("ACC-OTHER")
    page.wait_for_timeout(2_500)
    assert rows(page) == before


def test_all_of_it_goes_by_keyboard(page: Page) -> None:
    page.goto("/destinations")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for _tab in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Pause pacs":
            break
    page.keyboard.press("Enter")
    reason = page.get_by_label("Why").first
    expect(reason).to_be_visible()
    page.keyboard.press("Escape")
    expect(reason).to_be_hidden()
    expect(page.get_by_label("Pause pacs")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("the archive is moved")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("pacs is paused; what goes there waits.")
    expect(page.locator("main")).to_contain_text("The archive is moved.")


def test_a_button_says_at_once_that_it_was_pressed(page: Page) -> None:
    page.goto("/destinations")
    page.route("**/echo", lambda _route: None)
    told = page.evaluate(
        """async () => {
          const button = document.querySelector("form[action='/destinations/pacs/echo'] button");
          button.click();
          await new Promise((done) => setTimeout(done, 200));
          return [button.textContent, button.disabled];
        }"""
    )
    assert told == ["Asking…", True]


def test_a_node_that_is_gone_is_told(chromium: Browser, holdings: Holdings) -> None:
    with served(holdings.app()) as address:
        page = chromium.new_page(base_url=address)
        page.goto("/")
        expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("#stale")).to_contain_text("The node has not answered since", timeout=15_000)
    page.close()
