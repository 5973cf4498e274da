"""The pages in a real browser: Chromium against the application on a loopback socket."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.builders import SAGITTAL, a_series, uid
from tests.chromium import greys, launched, open_ready
from tests.conftest import FakeClock
from tests.web.holdings import Holdings, a_synthetic_series, empty_holdings, served

pytestmark = pytest.mark.peer

SPACING_MM = 3.0
SLICES = 12
SHAPE = (64, 48)
COMPARE = f"/studies/{uid('study')}/compare"


def ball(brightness: int) -> np.ndarray:
    """A head of a kind: a bright ball in the dark, so that every slice looks different."""
    k, i, j = np.indices((SLICES, *SHAPE), dtype=float)
    distance = np.hypot(np.hypot((k - 5.5) * 4, i - 32), j - 24)
    return np.asarray(np.clip(24 - distance, 0, None) * brightness, dtype=np.uint16)


@pytest.fixture(scope="module")
def holdings(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holdings]:
    """A study with a target of every 3 mm, a derived series on its grid, a longer one and a sagittal one."""
    clock = FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    with empty_holdings(sqlite_template, tmp_path_factory.mktemp("peer"), clock) as holdings:
        target = holdings.receive(
            a_series(
                series="t2",
                voxels=ball(40),
                SeriesNumber=3,
                SeriesDescription="t2 tse tra",
                WindowCenter=480,
                WindowWidth=960,
            )
        )
        holdings.receive(a_series(series="sag", orientation=SAGITTAL, SeriesNumber=4, SeriesDescription="t1 sag"))
        holdings.receive(a_series(series="thick", voxels=ball(7), spacing=(4.0, 1.5, 1.0), SeriesNumber=5))
        holdings.receive(a_series(series="moved", FrameOfReferenceUID=uid("another"), SeriesNumber=8))
        broken = a_series(series="broken", slices=2, SeriesNumber=6)
        for dataset in broken:
            dataset.NumberOfFrames, dataset.PixelData = 2, dataset.PixelData * 2
        holdings.receive(broken)
        holdings.complete(uid("study"))
        derived = a_synthetic_series("study", "derived", voxels=ball(11))
        holdings.derive(holdings.ask(target), derived)
        yield holdings


@pytest.fixture(scope="module")
def address(holdings: Holdings) -> Iterator[str]:
    with served(holdings.app()) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium; never one that Playwright would download."""
    with launched() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A fresh page; what it loads from elsewhere, what it throws and what its policy forbids fails the test."""
    context = chromium.new_context(base_url=address, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(address) else None)
    yield page
    context.close()
    assert complaints == []


def panes(page: Page) -> Locator:
    return page.locator(".pane")


def data(pane: Locator, name: str) -> str:
    return pane.get_attribute(f"data-{name}") or ""


def over(page: Page, pane: Locator) -> None:
    """Put the pointer in the middle of a pane's image."""
    box = pane.locator(".stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_the_wheel_moves_both_panes_to_the_same_place_and_the_mark_stays(page: Page, tmp_path: Path) -> None:
    open_ready(page, COMPARE)
    source, synthetic = panes(page).all()
    mark = synthetic.get_by_text("AI SYNTHETIC – NOT ACQUIRED")
    expect(mark).to_be_visible()
    expect(synthetic.locator(".banner")).to_contain_text("synth-flair 1.2.0")
    expect(source.locator(".banner")).to_contain_text("ACQUIRED")
    expect(source).not_to_contain_text("SYNTHETIC")
    before = float(data(source, "position"))
    over(page, synthetic)
    for _turn in range(3):
        page.mouse.wheel(0, 100)
    expect(source).to_have_attribute("data-slice", str(SLICES // 2 + 3))
    expect(synthetic).to_have_attribute("data-slice", str(SLICES // 2 + 3))
    moved = float(data(source, "position")) - before
    assert moved == pytest.approx(3 * SPACING_MM)
    assert data(synthetic, "position") == data(source, "position")
    expect(source.locator(".position")).to_have_text("I 3.0 mm")
    expect(mark).to_be_visible()
    expect(mark).to_be_in_viewport(ratio=1)
    page.screenshot(path=tmp_path / "compare.png")
    assert (tmp_path / "compare.png").stat().st_size > 10_000


def test_what_is_drawn_is_the_slice_it_says(page: Page) -> None:
    """The bright disc is widest in the middle of the ball and gone at its ends, and fills what the geometry says."""
    open_ready(page, COMPARE)
    synthetic = panes(page).nth(1)
    widest = greys(synthetic)
    lit = np.argwhere(widest > widest.max() / 4)
    height, width = np.ptp(lit, axis=0)
    assert widest.max() > 150
    assert height / width == pytest.approx(1.5, rel=0.05), "1.5 mm between rows, 1 mm between columns"
    page.keyboard.press("Home")
    expect(synthetic).to_have_attribute("data-slice", "0")
    assert (greys(synthetic) > 30).sum() < (widest > 30).sum() / 4
    page.keyboard.press("End")
    expect(synthetic).to_have_attribute("data-slice", str(SLICES - 1))


def test_keys_move_all_panes(page: Page) -> None:
    open_ready(page, COMPARE)
    for key, expected in (("ArrowDown", 7), ("ArrowUp", 6), ("PageUp", 0), ("PageDown", 10), ("End", 11), ("Home", 0)):
        page.keyboard.press(key)
        for pane in panes(page).all():
            expect(pane).to_have_attribute("data-slice", str(expected))


def test_every_slice_is_loaded_ahead(page: Page) -> None:
    open_ready(page, COMPARE)
    for pane in panes(page).all():
        expect(pane).to_have_attribute("data-loaded", str(SLICES))


def test_a_drag_windows_all_panes_in_proportion_to_their_own_window(page: Page) -> None:
    open_ready(page, COMPARE)
    source, synthetic = panes(page).all()
    expect(source.locator(".window")).to_have_text("C 480 W 960")
    before = [pane.locator(".window").inner_text() for pane in (source, synthetic)]
    over(page, source)
    page.mouse.down()
    over(page, synthetic)
    page.mouse.up()
    expect(source.locator(".window")).not_to_have_text(before[0])
    after = [pane.locator(".window").inner_text() for pane in (source, synthetic)]
    widths = [[float(text.split()[-1]) for text in texts] for texts in (before, after)]
    factors = [late / early for early, late in zip(*widths, strict=True)]
    assert factors[0] > 1.5
    assert factors[0] == pytest.approx(factors[1], rel=0.02)
    page.get_by_role("button", name="Reset window").click()
    expect(source.locator(".window")).to_have_text(before[0])
    expect(synthetic.locator(".window")).to_have_text(before[1])


def test_other_grids_show_their_nearest_slice_and_say_how_far_it_is(page: Page) -> None:
    series = ",".join(uid("study", name) for name in ("t2", "thick", "moved"))
    open_ready(page, f"{COMPARE}?series={series}")
    target, thick, moved = panes(page).all()
    page.keyboard.press("ArrowDown")
    expect(target.locator(".position")).to_have_text("I 9.0 mm")
    expect(thick.locator(".position")).to_have_text("I 10.0 mm")
    expect(thick.locator(".notice")).to_have_text("Nearest slice, 1.0 mm away.")
    expect(moved.locator(".position")).to_have_text("I 9.0 mm")
    expect(moved.locator(".notice")).to_contain_text("Other Frame of Reference")


def test_another_orientation_scrolls_on_its_own(page: Page) -> None:
    open_ready(page, f"{COMPARE}?series={uid('study', 't2')},{uid('study', 'sag')}")
    target, sagittal = panes(page).all()
    expect(sagittal.locator(".notice")).to_contain_text("Other orientation")
    expect(sagittal.locator(".edge.top")).to_have_text("S")
    expect(target.locator(".edge.left")).to_have_text("R")
    over(page, sagittal)
    page.mouse.wheel(0, 100)
    expect(sagittal).to_have_attribute("data-slice", "5")
    expect(target).to_have_attribute("data-slice", "6")


def test_a_series_that_cannot_be_shown_says_why_and_keeps_its_mark(page: Page) -> None:
    open_ready(page, f"{COMPARE}?series={uid('study', 'broken')},{uid('study', 'derived')}")
    broken, synthetic = panes(page).all()
    expect(broken).to_have_attribute("data-state", "failed")
    expect(broken.locator(".notice")).to_have_text("Multi-frame instances cannot be shown here.")
    expect(synthetic).to_have_attribute("data-state", "shown")
    expect(synthetic.get_by_text("AI SYNTHETIC – NOT ACQUIRED")).to_be_visible()


def test_series_are_chosen_from_the_page(page: Page) -> None:
    open_ready(page, COMPARE)
    page.get_by_text("Series", exact=True).click()
    page.get_by_label("4 t1 sag").check()
    page.get_by_role("button", name="Show").click()
    expect(panes(page)).to_have_count(3)
    expect(page.locator("body")).to_have_attribute("data-ready", "true")


def test_a_page_stays_current_without_closing_what_was_opened(page: Page, holdings: Holdings) -> None:
    page.goto(f"/studies/{uid('study')}")
    page.get_by_text("Checks and labels").click()
    expect(page.get_by_text("complete on all 12 instances")).to_be_visible()
    holdings.receive(a_series(series="late", slices=1, SeriesNumber=7, SeriesDescription="a late series"))
    expect(page.get_by_text("a late series")).to_be_visible(timeout=10_000)
    expect(page.get_by_text("complete on all 12 instances")).to_be_visible()


def test_a_button_is_pressed_by_a_browser(page: Page, holdings: Holdings) -> None:
    page.goto(f"/studies/{uid('study')}")
    page.get_by_role("button", name="Send again to pacs").click()
    expect(page.get_by_role("status").first).to_have_text("An operator asked to send it to pacs again.")
    assert holdings.buttons.resent


def test_a_node_that_does_not_answer_is_not_shown_as_if_it_did(chromium: Browser, holdings: Holdings) -> None:
    with served(holdings.app()) as address:
        page = chromium.new_page(base_url=address)
        page.goto("/")
        expect(page.locator("#stale")).to_be_hidden()
    expect(page.locator("#stale")).to_contain_text("has not answered since", timeout=15_000)
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_are_drawn_in_both_themes(chromium: Browser, address: str, theme: str, tmp_path: Path) -> None:
    page = chromium.new_page(base_url=address, color_scheme=theme, viewport={"width": 1280, "height": 900})  # type: ignore[arg-type]
    for name, path in {"now": "/", "studies": "/studies", "study": f"/studies/{uid('study')}"}.items():
        page.goto(path)
        file = tmp_path / f"{name}-{theme}.png"
        page.screenshot(path=file)
        assert file.stat().st_size > 10_000
        background = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        brightness = [int(part) for part in background.removeprefix("rgb(").removesuffix(")").split(",")]
        assert (max(brightness) < 60) == (theme == "dark")
    page.close()
