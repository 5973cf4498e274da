"""The pages over a real ledger and spool."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise

import httpx
import pytest

from dicomnode.domain.delivery import StoreOutcome
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import ContractViolation, ModelFailed
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.engine.leases import renew_lease
from dicomnode.ledger.deliveries import queue_delivery, record_outcomes
from dicomnode.ledger.studies import list_instances
from tests.builders import PATIENT_NAME, a_series, uid
from tests.conftest import FakeClock
from tests.web.full_house import fill
from tests.web.holdings import HOST, Browser, Holdings, a_decision, a_synthetic_series, a_whole_study

SAME_ORIGIN = {"Origin": HOST}


class Text(HTMLParser):
    """The words of a page, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words.append(" ")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [found.get(name) for own, found in self.tags if own == tag]


def words(response: httpx.Response, status: int = 200) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("text/html")
    return Text(response.text).text


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(holdings.app())


def line(page: str, title: str) -> str:
    """The table row that begins with a title."""
    row = re.search(rf"<tr[^>]*>\s*<th scope=\"row\">{title}</th>(.*?)</tr>", page, re.DOTALL)
    assert row is not None, f"no line {title}"
    return Text(row.group(1)).text


def test_an_empty_node_says_how_to_send_the_first_study(browser: Browser) -> None:
    for path in ("/", "/studies"):
        told = words(browser.get(path))
        assert "DICOMNODE" in told
        assert "11112" in told
        assert "storescu -aec DICOMNODE" in told


def test_nothing_is_good_without_a_time(browser: Browser, holdings: Holdings) -> None:
    empty = browser.get("/").text
    assert 'data-tone="good"' not in empty
    a_whole_study(holdings)
    full = browser.get("/").text
    rows = re.findall(r"<tr[^>]*>.*?</tr>", full.split("Latest studies")[0], re.DOTALL)
    good = [row for row in rows if 'data-tone="good"' in row]
    assert good
    assert all("<time" in row for row in good)


def test_each_link_has_its_state_and_the_age_of_what_waits(
    browser: Browser, holdings: Holdings, clock: FakeClock
) -> None:
    a_whole_study(holdings)
    holdings.receive(a_series(study="late", slices=2))
    with holdings.ledger.transaction() as tx:
        renew_lease(tx, "worker", clock.now() + timedelta(seconds=179))
    clock.advance(180)
    page = browser.get("/").text
    assert "ok" in line(page, "Receive")
    assert "3 min ago" in line(page, "Receive")
    assert "waiting" in line(page, "Complete")
    assert "3 min" in line(page, "Complete")
    assert "waiting 8" in line(page, "Deliver to pacs")
    assert "1 alive" in line(page, "Workers")
    assert "Testperson, Tilda" in Text(page).text


def test_studies_are_found_by_accession_name_patient_and_uid(browser: Browser, holdings: Holdings) -> None:
    holdings.receive(a_series(slices=1))
    holdings.receive(a_series(study="other", slices=1, PatientName="Abel^Bruno", PatientID="B-7", AccessionNumber="Z9"))
    for search in ("z9", "Bruno", "B-7", uid("other")):
        told = words(browser.get("/studies", params={"search": search}))
        assert "Abel, Bruno" in told
        assert "Testperson" not in told
    assert "Nothing found" in words(browser.get("/studies", params={"search": "%"}))


def test_a_long_list_comes_in_pages_and_keeps_its_search(browser: Browser, holdings: Holdings) -> None:
    for number in range(53):
        holdings.receive(a_series(study=f"study {number}", slices=1, shape=(2, 2)))
    first, second = browser.get("/studies?search=ACC"), browser.get("/studies?search=ACC&page=2")
    assert "Rows 1–50 of 53 studies that match the filters" in words(first)
    assert "Rows 51–53 of 53 studies" in words(second)
    assert 'href="/studies?search=ACC&amp;page=2"' in first.text
    assert 'href="/studies?search=ACC"' in second.text
    assert "The list ends before this page" in words(browser.get("/studies?page=9"))


def test_a_study_tells_its_whole_story(browser: Browser, holdings: Holdings) -> None:
    study, target, derived = a_whole_study(holdings)
    response = browser.get(f"/studies/{study}")
    told = words(response)
    assert "Testperson, Tilda" in told
    assert "Accession ACC-1" in told
    assert "synth-flair 1.2.0" in told
    assert "First instance received from SCANNER (127.0.0.1)." in told
    assert "Complete as revision 1" in told
    assert "t2 3 t2 tse tra (target grid)" in told
    assert "complete on all 8 instances" in told
    assert "SyntheticData YES" in told
    assert "✓ BodyPartExamined is BRAIN: found BRAIN" in told
    assert "✗ BodyPartExamined is BRAIN: found BRAIN" in told
    assert "the only T2-weighted one" in told
    assert "24 instances" not in told
    assert "16 instances received, complete as revision 1" in told
    assert f"/studies/{study}/compare?series={target},{derived}" in response.text


def test_a_derived_series_stands_marked_under_its_target(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    rows = re.findall(r"<tr[^>]*>\s*<td class=\"number\">.*?</tr>", browser.get(f"/studies/{study}").text, re.DOTALL)
    told = [Text(row).text.strip() for row in rows]
    assert [row.split()[0] for row in told] == ["2", "3", "9001"]
    assert "AI SYNTHETIC" in told[2]
    assert "synth-flair 1.2.0" in told[2]
    assert all("AI" not in row for row in told[:2])


def test_a_synthetic_series_that_was_received_is_marked_as_well(browser: Browser, holdings: Holdings) -> None:
    holdings.receive(a_synthetic_series("study", "from elsewhere", slices=2))
    assert "AI SYNTHETIC" in words(browser.get(f"/studies/{uid('study')}"))


def test_what_this_node_made_is_marked_even_when_its_files_cannot_be_read(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    for instance in holdings.archive.instances(study):  # type: ignore[arg-type]
        holdings.spool.locate(instance.path).unlink()
    assert "AI SYNTHETIC" in words(browser.get(f"/studies/{study}"))


@pytest.mark.parametrize(
    ("state", "error", "advice"),
    [
        (DerivationState.REFUSED, ContractViolation("the input t2 has 3 slices"), "see its card for what it accepts"),
        (DerivationState.FAILED, ModelFailed("the model ran out of memory"), "Retry from the study's page"),
    ],
)
def test_work_that_ended_without_an_image_says_why_and_what_to_do(
    browser: Browser, holdings: Holdings, state: DerivationState, error: ContractViolation | ModelFailed, advice: str
) -> None:
    series = holdings.receive(a_series(slices=3))
    derivation = holdings.ask(series)
    holdings.end(derivation, state, error)
    response = browser.get(f"/studies/{uid('study')}")
    told = words(response)
    assert error.reason[1:] in told
    assert advice in told
    retry = f"/studies/{uid('study')}/derivations/{derivation.key}/retry"
    assert retry in Text(response.text).attributes("form", "action")


def test_a_rule_that_needs_a_person_stands_open(browser: Browser, holdings: Holdings) -> None:
    holdings.receive(a_series(slices=3))
    holdings.decide(a_decision("make a FLAIR", fired=True, problem="two series can be t2"), uid("study"))
    response = browser.get(f"/studies/{uid('study')}")
    assert "Two series can be t2." in words(response)
    assert re.search(r'<details class="decision"[^>]* open>', response.text)


def test_deliveries_are_counted_for_each_destination(browser: Browser, holdings: Holdings, clock: FakeClock) -> None:
    study, _target, _derived = a_whole_study(holdings)
    (key,) = set(re.findall(r"derivations/([^/\"]+)/send/pacs", browser.get(f"/studies/{study}").text))
    outcomes = [
        StoreOutcome(
            sop_instance_uid=SOPInstanceUID(uid("study", "derived", str(index))),
            status=0 if index < 5 else 0xA900,
            stored=index < 5,
            retryable=False,
        )
        for index in range(7)
    ]
    with holdings.ledger.transaction() as tx:
        record_outcomes(tx, key, "pacs", outcomes, clock.now())
    page = browser.get(f"/studies/{study}").text
    assert "1 5 – 2" in line(page, "pacs")


def test_a_refusal_says_what_its_status_means_and_what_to_do(
    browser: Browser, holdings: Holdings, clock: FakeClock
) -> None:
    fill(holdings, clock)
    told = words(browser.get(f"/studies/{uid('half')}"))
    assert "0xA900 the data set does not match the SOP class “no such class here”" in told
    assert "Report it as a defect of the node." in told


def test_what_was_sent_on_as_received_is_shown_with_its_rule(
    browser: Browser, holdings: Holdings, clock: FakeClock
) -> None:
    study, target, _derived = a_whole_study(holdings)
    key = f"route:{study}:1:send-on"
    with holdings.ledger.transaction() as tx:
        queue_delivery(tx, (key, study), "archive", list_instances(tx, study, target), clock.now())
    page = browser.get(f"/studies/{study}").text
    assert "Sent on as received" in Text(page).text
    assert "send-on" in Text(page).text
    assert line(page, "archive").split()[0] == "8"
    assert f"/studies/{study}/derivations/{key}/send/archive" in Text(page).attributes("form", "action")


def test_a_study_that_receives_says_what_is_waited_for_and_can_be_completed(
    browser: Browser, holdings: Holdings
) -> None:
    holdings.receive(a_series(slices=3))
    path = f"/studies/{uid('study')}"
    told = words(browser.get(path))
    assert "Receiving. 3 instances so far" in told
    assert "Complete now" in told
    pressed = browser.post(f"{path}/complete", headers=SAME_ORIGIN)
    assert (pressed.status_code, pressed.headers["location"]) == (303, path)
    assert "local asked to take the study as complete now." in words(browser.get(path))


def test_retry_asks_for_the_work_again_and_says_so_once(browser: Browser, holdings: Holdings) -> None:
    derivation = holdings.ask(holdings.receive(a_series(slices=3)))
    holdings.end(derivation, DerivationState.FAILED, ModelFailed("the model ran out of memory"))
    pressed = browser.post(f"/studies/{uid('study')}/derivations/{derivation.key}/retry", headers=SAME_ORIGIN)
    assert pressed.status_code == 303
    assert pressed.headers["location"] == f"/studies/{uid('study')}"
    shown = browser.get(pressed.headers["location"])
    assert "An operator asked for it again; round 2 waits." in words(shown)
    assert "asked for 2 times" in words(shown)
    assert "round 2 waits" not in words(browser.get(pressed.headers["location"]))


def test_retry_of_what_did_not_fail_is_refused_with_a_page(browser: Browser, holdings: Holdings) -> None:
    derivation = holdings.ask(holdings.receive(a_series(slices=3)))
    path = f"/studies/{uid('study')}/derivations/{derivation.key}/retry"
    assert "No failed derivation of this key." in words(browser.post(path, headers=SAME_ORIGIN), 404)


def test_send_again_names_derivation_and_destination(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    page = Text(browser.get(f"/studies/{study}").text)
    (action,) = [action for action in page.attributes("form", "action") if action and "/send/" in action]
    assert browser.post(action, headers=SAME_ORIGIN).status_code == 303
    ((key, destination),) = holdings.buttons.resent
    assert destination == "pacs"
    assert key.startswith("derive:")


def test_no_button_works_from_a_foreign_page(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    page = Text(browser.get(f"/studies/{study}").text)
    for action in filter(None, page.attributes("form", "action")):
        if action.startswith(f"/studies/{study}"):
            assert browser.post(action, headers={"Origin": "https://evil.example"}).status_code == 403
    assert holdings.buttons.resent == []


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/nothing", 404, "There is no such page."),
        ("/studies/1.2.3", 404, "No study of this UID."),
        ("/studies/no-uid", 400, "Not a StudyInstanceUID"),
        ("/studies?page=0", 400, "The page is no number from 1 on."),
        ("/studies/1.2.3/compare", 404, "No study of this UID."),
    ],
)
def test_what_goes_wrong_is_a_page_with_reason_and_advice(browser: Browser, path: str, status: int, told: str) -> None:
    page = words(browser.get(path), status)
    assert told in page
    assert "What to do:" in page


def test_a_defect_of_the_node_is_a_page_too(holdings: Holdings) -> None:
    holdings.ledger.engine.dispose()
    app = holdings.app()

    @app.get("/broken")
    def broken() -> None:
        raise ZeroDivisionError

    told = words(Browser(app).get("/broken"), 500)
    assert "Something broke inside the node" in told
    assert "ZeroDivisionError" not in told


def test_texts_from_outside_are_never_markup(browser: Browser, holdings: Holdings) -> None:
    evil = "<script>alert(1)</script>"
    holdings.receive(a_series(slices=1, PatientName=evil, StudyDescription=evil, SeriesDescription=evil))
    for path in ("/", "/studies", f"/studies?search={evil}", f"/studies/{uid('study')}"):
        response = browser.get(path)
        assert evil not in response.text
        assert "&lt;script&gt;" in response.text


def test_no_address_on_a_page_names_a_patient(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    for path in ("/", "/studies", f"/studies/{study}", f"/studies/{study}/compare"):
        page = Text(browser.get(path).text)
        addresses = [*page.attributes("a", "href"), *page.attributes("form", "action"), *page.attributes("img", "src")]
        told = " ".join(filter(None, addresses))
        assert not any(private in told for private in ("T-0001", "ACC-1", *PATIENT_NAME.split("^")))


def test_pages_are_kept_by_no_cache(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    for path in ("/", "/studies", f"/studies/{study}", f"/studies/{study}/compare", "/nothing"):
        assert browser.get(path).headers["cache-control"] == "no-store"


def test_all_that_a_page_loads_is_served_by_this_node(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    for path in ("/", f"/studies/{study}", f"/studies/{study}/compare"):
        page = Text(browser.get(path).text)
        loaded = [*page.attributes("script", "src"), *page.attributes("link", "href"), *page.attributes("img", "src")]
        assert None not in loaded, "no inline script"
        for address in filter(None, loaded):
            assert address.startswith("/static/")
            assert browser.get(address).status_code == 200
        assert not any("style" in found or any(name.startswith("on") for name in found) for _tag, found in page.tags)


def test_pages_can_be_read_without_eyes(browser: Browser, holdings: Holdings) -> None:
    """Language, one main heading, headings without gaps, labelled fields, named buttons, table heads with scopes."""
    study, _target, _derived = a_whole_study(holdings)
    for path in ("/", "/studies", f"/studies/{study}", f"/studies/{study}/compare", "/nothing"):
        page = Text(browser.get(path).text)
        assert page.attributes("html", "lang") == ["en"]
        levels = [int(tag[1]) for tag, _found in page.tags if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels)), path
        labelled = set(page.attributes("label", "for"))
        fields = [found for tag, found in page.tags if tag == "input" and found.get("type") != "checkbox"]
        assert all(found.get("id") in labelled for found in fields)
        assert all(scope in ("col", "row") for scope in page.attributes("th", "scope"))
        assert "#main" in page.attributes("a", "href")
