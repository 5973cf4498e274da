"""An administrator's first day, by keyboard alone: from an empty node to a rule that works, and back.

The pictures of it are kept in var/rules-story, in light and in dark.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from playwright.sync_api import Locator, Page, expect
from pydicom.uid import UID

from dicomnode.node.web_settings import LoginMode
from tests.builders import uid
from tests.chromium import launched
from tests.nodes import BRAIN_STUDY, ROOT, RememberingPacs, ServingNode, unpack_brain

pytestmark = [pytest.mark.peer, pytest.mark.shared_data, pytest.mark.timeout(600)]

PICTURES = ROOT / "var" / "rules-story"
PASSWORD = "a few words are better"
RULE = "t1-t2-without-flair"
_MOST_TABS = 150


class Keyboard:
    """Hands that have no mouse: they go from one control to the next, type, and press Enter or Space."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def to(self, name: str) -> None:
        """Go on by Tab until the control of this id, label or text has the focus; round the page once."""
        for _ in range(_MOST_TABS):
            if name in self._here():
                return
            self._page.keyboard.press("Tab")
        raise AssertionError(f"no Tab leads to {name!r}")

    def press(self, name: str) -> None:
        """Go to a button or link and press Enter."""
        self.to(name)
        self._page.keyboard.press("Enter")

    def go(self, name: str) -> None:
        """Press what leads to another page, and wait for it."""
        self.to(name)
        with self._page.expect_navigation():
            self._page.keyboard.press("Enter")

    def tick(self, name: str) -> None:
        """Go to a box and press Space."""
        self.to(name)
        self._page.keyboard.press("Space")

    def write(self, name: str, text: str) -> None:
        """Go to a field and put a text in the place of what is there."""
        self.to(name)
        self._page.keyboard.press("Control+A")
        self._page.keyboard.type(text)

    def choose(self, name: str, text: str) -> None:
        """Go to a list and press the arrows until the choice is shown."""
        self.to(name)
        self._page.keyboard.press("Home")
        for _ in range(50):
            if self._chosen() == text:
                return
            self._page.keyboard.press("ArrowDown")
        raise AssertionError(f"{name!r} does not offer {text!r}")

    def _here(self) -> list[str]:
        """Name the control that has the focus: its id, its label and its text."""
        found: list[str] = self._page.evaluate(
            "() => { const one = document.activeElement;"
            " return [one.id, one.getAttribute('aria-label'), one.innerText, ...[...(one.labels ?? [])].map((l) =>"
            " l.innerText)].filter(Boolean).map((text) => text.replace(/\\s+/g, ' ').trim()); }"
        )
        return found

    def _chosen(self) -> str:
        chosen: str = self._page.evaluate("document.activeElement.selectedOptions[0].innerText.trim()")
        return chosen


def unpack(folder: Path, into: Path) -> list[Path]:
    """List the instances of a study, those in zip files unpacked."""
    for packed in folder.glob("*.zip"):
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(into / packed.stem)
    return sorted([*folder.rglob("*.dcm"), *into.rglob("*.dcm")])


def another_visit(files: list[Path], into: Path) -> list[Path]:
    """Copy instances as those of another study of the same patient, so that it is the next to come."""
    into.mkdir()
    copies = []
    for number, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        dataset.StudyInstanceUID = uid("next study")
        dataset.SeriesInstanceUID = uid("next", dataset.SeriesInstanceUID)
        dataset.FrameOfReferenceUID = uid("next", dataset.FrameOfReferenceUID)
        dataset.SOPInstanceUID = uid("next", dataset.SOPInstanceUID)
        dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
        dataset.AccessionNumber = "NEXT-1"
        dataset.save_as(into / f"{number:04}.dcm")
        copies.append(into / f"{number:04}.dcm")
    return copies


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServingNode]:
    """A node as somebody unpacks it: no rule, no account, one destination."""
    with RememberingPacs() as pacs:
        serving = ServingNode(tmp_path / "node", pacs.destination, rules="rules: []\n", login=LoginMode.REQUIRED)
        serving.start()
        try:
            yield serving
        finally:
            serving.stop()


@pytest.fixture
def page(node: ServingNode) -> Iterator[Page]:
    with launched() as browser:
        page = browser.new_page(base_url=node.url, viewport={"width": 1280, "height": 900})
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        yield page
        # A form that is refused is answered with 422 on purpose; the browser's console says so.
        assert [one for one in wrong if "422" not in one] == []


def keep(page: Page, name: str, *, whole: bool = False) -> None:
    """Keep a picture in light and in dark."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.screenshot(path=PICTURES / f"{name}-{scheme}.png", full_page=whole)


def settled(page: Page) -> None:
    """Wait until the editor has its answer."""
    expect(page.locator("#editor")).not_to_have_attribute("aria-busy", "true")


def build_series_condition(page: Page, hands: Keyboard, index: int, mode: str, weighting: str) -> None:
    """Add a condition on the series of a study, by Tab, arrows, letters and Enter."""
    path = f"when.rules[{index}]"
    hands.press("add-series:when")
    expect(page.locator(f'[id="{path}.match.mode"]')).to_be_focused()
    hands.choose(f"{path}.match.mode", mode)
    settled(page)
    hands.write(f"{path}.value.rules[0].field", "Weighting")
    hands.to(f"{path}.value.rules[0].operator")
    expect(page.locator(f'select[id="{path}.value.rules[0].value"]')).to_be_visible()
    settled(page)
    hands.choose(f"{path}.value.rules[0].value", weighting)
    settled(page)


def verdict(page: Page) -> Locator:
    return page.locator(".verdict").first


def test_from_an_empty_node_to_a_rule_that_works_and_back(
    node: ServingNode, page: Page, tmp_path: Path, shared_data: Path
) -> None:
    hands = Keyboard(page)
    make_the_account(node, page, hands)
    add_a_peer(page, hands)
    build_the_rule(page, hands)
    t1, t2 = unpack_brain(tmp_path / "brain")
    knee = unpack(shared_data / "dicom" / "siemens-essenza-knee", tmp_path / "knee")
    node.send([*t1, *t2])
    node.send(knee)
    ask_about_brain_and_knee(page, hands, knee_study(knee))
    publish(page, hands)
    see_the_next_study_go_through(node, page, another_visit([*t1, *t2], tmp_path / "next"))
    roll_back(page, hands)


def make_the_account(node: ServingNode, page: Page, hands: Keyboard) -> None:
    page.goto((node.settings.data / "setup-link").read_text().strip())
    keep(page, "01-account")
    hands.write("name", "ada")
    hands.write("password", PASSWORD)
    hands.write("again", PASSWORD)
    hands.go("Make the account")
    expect(page.locator("h1")).to_be_visible()
    expect(page.get_by_role("navigation", name="Pages")).to_contain_text("Rules")


def add_a_peer(page: Page, hands: Keyboard) -> None:
    hands.go("Peers")
    hands.go("Add the first peer")
    hands.write("ae_title", "SCANNER")
    hands.write("networks", "127.0.0.1")
    keep(page, "02-peer")
    hands.go("Add the peer")
    expect(page.locator("main")).to_contain_text("SCANNER")


def build_the_rule(page: Page, hands: Keyboard) -> None:
    hands.go("Rules")
    expect(page.locator("main")).to_contain_text("No rule is in force")
    keep(page, "03-no-rule")
    hands.go("New rule")
    expect(page.locator("#name")).to_be_focused()
    hands.write("name", RULE)
    hands.write("description", "A head MR with T1 and T2 but without a FLAIR gets a synthetic one.")
    build_series_condition(page, hands, 1, "some series", "T1")
    build_series_condition(page, hands, 2, "some series", "T2")
    build_series_condition(page, hands, 3, "no series", "FLAIR")
    hands.choose("then[0].synthesise.model", "mr-flair")
    hands.to("then[0].synthesise.target")
    expect(page.locator('[id="at:then[0].synthesise.inputs.t2"]')).to_be_visible()
    settled(page)
    hands.tick("then[0].synthesise.destinations:0")
    # Both series of the brain lack a slice.
    hands.press("Preparation, late slices, label")
    hands.write("then[0].synthesise.preparation.missing_slices", "1")
    mistype_and_mend(page, hands)
    expect(page.locator("#check")).to_have_text("Nothing to correct.")
    keep(page, "05-rule", whole=True)
    hands.go("Save to the draft")
    expect(page.get_by_role("status").first).to_contain_text(f"Saved: {RULE}.")
    keep(page, "06-draft")


def mistype_and_mend(page: Page, hands: Keyboard) -> None:
    """Type a name wrong, see it refused with what was meant, and take that by one press."""
    field = "when.rules[1].value.rules[0].field"
    hands.write(field, "Weigthing")
    at = page.locator('[id="wrong:when.rules[1].value.rules[0]"]')
    expect(at).to_contain_text("did you mean 'Weighting'?")
    hands.go("Save to the draft")
    expect(page.get_by_role("alert")).to_contain_text("Not saved.")
    expect(at).to_contain_text("did you mean 'Weighting'?")
    keep(page, "04-typo")
    hands.press("Use “Weighting”")
    expect(page.locator(f'[id="{field}"]')).to_have_value("Weighting")
    settled(page)


def knee_study(files: list[Path]) -> str:
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def ask_about_brain_and_knee(page: Page, hands: Keyboard, knee: str) -> None:
    hands.go("Test")
    hands.write("wanted", BRAIN_STUDY)
    hands.go("Find")
    find_and_test(page, hands)
    expect(verdict(page)).to_contain_text("It would synthesise with mr-flair on the slices of t2, sent to pacs.")
    rows = verdict(page).get_by_role("row")
    expect(rows.filter(has=page.get_by_role("rowheader", name="t1"))).to_contain_text(re.compile("mprage", re.I))
    expect(rows.filter(has=page.get_by_role("rowheader", name="t2"))).to_contain_text(re.compile("fse|t2", re.I))
    keep(page, "07-brain", whole=True)
    hands.write("wanted", knee)
    hands.go("Find")
    find_and_test(page, hands)
    expect(verdict(page)).to_contain_text("does not fire")
    expect(verdict(page)).to_contain_text("What is missing")
    expect(verdict(page)).to_contain_text(re.compile("some series has “Weighting is T2”: 0 of \\d match; nearest is"))
    keep(page, "08-knee", whole=True)


def find_and_test(page: Page, hands: Keyboard) -> None:
    button = page.get_by_role("link", name=re.compile("^Test on "))
    expect(button).to_have_count(1)
    name = button.get_attribute("aria-label")
    assert name is not None
    hands.go(name)
    expect(verdict(page)).to_be_visible()


def publish(page: Page, hands: Keyboard) -> None:
    hands.go("Draft")
    hands.go("Publish …")
    expect(page.locator("main")).to_contain_text("Nobody has looked yet at what this draft would change.")
    hands.go("What would change?")
    expect(page.get_by_role("status")).to_contain_text("1 decision would change. 2 studies replayed")
    expect(page.locator(".whatif")).to_contain_text(BRAIN_STUDY)
    keep(page, "09-what-if")
    hands.go("Publish …")
    expect(page.locator("main")).to_contain_text("What this draft would change was looked at.")
    hands.write("reason", "A synthetic FLAIR where none was acquired.")
    keep(page, "10-publish")
    hands.go("Publish")
    expect(page.get_by_role("status").first).to_contain_text("Published as number 2")
    expect(page.locator("main")).to_contain_text("by ada")
    keep(page, "11-in-force")


def see_the_next_study_go_through(node: ServingNode, page: Page, files: list[Path]) -> None:
    """Send a study while its list is open: the page changes by itself."""
    Keyboard(page).go("Studies")
    page.evaluate("window.neverLoadedAgain = true")
    node.send(files)
    row = page.get_by_role("row").filter(has_text="NEXT-1")
    expect(row).to_be_visible(timeout=30_000)
    expect(row).to_contain_text("mr-flair", timeout=60_000)
    expect(row).to_contain_text("sent", timeout=120_000)
    assert page.evaluate("window.neverLoadedAgain")
    keep(page, "12-next-study")
    hands = Keyboard(page)
    hands.go("Rules")
    expect(page.locator("main")).to_contain_text("fired 1 time in 7 days")


def roll_back(page: Page, hands: Keyboard) -> None:
    hands.go("Versions")
    hands.press("Roll back to number 1")
    hands.write("reason-1", "Only a trial.")
    keep(page, "13-versions")
    hands.go("Put it in force again")
    expect(page.get_by_role("status").first).to_contain_text("Rolled back")
    expect(page.locator("main")).to_contain_text("No rule is in force")
    expect(page.locator("main")).to_contain_text("number 3, rolled back")
    keep(page, "14-rolled-back")
