"""What a radiologist sees: the real brain and its synthetic FLAIR, side by side in Chromium.

With DICOMNODE_KEEP_PICTURES=1 the pictures of the documentation are drawn again.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.chromium import greys, launched, open_ready
from tests.nodes import BRAIN_STUDY, ROOT, RememberingPacs, ServingNode, unpack_brain

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]

PICTURES = ROOT / "deploy" / "pictures"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingNode]:
    """A node with the rules and the model that ship, after it has made its FLAIR."""
    folder = tmp_path_factory.mktemp("brain")
    t1, t2 = unpack_brain(folder / "study")
    with RememberingPacs() as pacs:
        serving = ServingNode(folder / "node", pacs.destination)
        serving.start()
        try:
            serving.send([*t1, *t2])
            serving.wait_for("derived")
            serving.wait_delivered()
            yield serving
        finally:
            serving.stop()


@pytest.fixture(scope="module")
def page(node: ServingNode) -> Iterator[Page]:
    with launched() as browser:
        yield browser.new_page(base_url=node.url, viewport={"width": 1280, "height": 900})


def _keep(page: Page, name: str, folder: Path) -> None:
    page.screenshot(path=folder / name)
    if os.environ.get("DICOMNODE_KEEP_PICTURES") == "1":
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / name)


def test_brain_slices_are_in_both_panes_and_the_synthetic_one_says_so(page: Page, tmp_path: Path) -> None:
    open_ready(page, f"/studies/{BRAIN_STUDY}/compare")
    source, synthetic = page.locator(".pane").all()
    for pane in (source, synthetic):
        shown = greys(pane)
        inside = shown[shown.shape[0] // 4 : -shown.shape[0] // 4, shown.shape[1] // 4 : -shown.shape[1] // 4]
        assert inside.mean() > 40, "the middle of a head is not dark"
        assert inside.std() > 15, "a brain has structure"
        assert np.concatenate([shown[:5].ravel(), shown[-5:].ravel()]).mean() < 40, "around the head is air"
    expect(synthetic).to_contain_text("AI SYNTHETIC – NOT ACQUIRED")
    expect(synthetic).to_contain_text("mr-flair")
    expect(source).to_contain_text("ACQUIRED")
    expect(source).not_to_contain_text("SYNTHETIC")
    _keep(page, "compare.png", tmp_path)


def test_fluid_is_bright_in_the_t2_and_dark_in_the_synthetic_flair(page: Page) -> None:
    open_ready(page, f"/studies/{BRAIN_STUDY}/compare")
    source, synthetic = (greys(pane).astype(float) for pane in page.locator(".pane").all())
    rows, columns = source.shape
    middle = (slice(rows // 3, -rows // 3), slice(columns // 3, -columns // 3))
    fluid = source[middle] > 240
    assert fluid.sum() > 100, "the slice in the middle shows the ventricles"
    assert synthetic[middle][fluid].mean() < 0.6 * synthetic[middle][~fluid].mean()


def test_the_study_page_tells_the_story(page: Page, tmp_path: Path) -> None:
    page.goto(f"/studies/{BRAIN_STUDY}")
    for words in ("Begun with 230 instances", "fired: synthesise with mr-flair", "Stored at pacs"):
        expect(page.locator("body")).to_contain_text(words)
    expect(page.get_by_text("AI SYNTHETIC").first).to_be_visible()
    _keep(page, "study.png", tmp_path)


def test_the_first_page_shows_every_link(page: Page, tmp_path: Path) -> None:
    with page.expect_response(lambda response: response.url.endswith("/events")) as stream:
        page.goto("/")
    assert stream.value.status == 200, "changes are told, not asked for"
    for words in ("Receive", "Complete", "Synthesise", "Deliver to pacs", "Workers"):
        expect(page.locator("main")).to_contain_text(words)
    _keep(page, "now.png", tmp_path)
