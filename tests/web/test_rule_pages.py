"""The pages of the rules over a real rule book: reading, editing, trying, publishing, rolling back."""

import html
import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from dicomnode.domain.account import Permission, Visitor
from dicomnode.domain.rule_book import Publication, PublicationKind
from dicomnode.journey.rule_book import RuleBook
from dicomnode.journey.rule_document import RuleScope
from dicomnode.ledger.revisions import keep_rule_set
from dicomnode.ledger.rule_book import add_publication
from dicomnode.rules.ruleset import load_rule_set
from dicomnode.rules.yaml_document import read_yaml_text
from dicomnode.web.rule_form import Pair, pairs_of, rule_of
from tests.builders import FLAIR
from tests.conftest import FakeClock
from tests.rules.catalogue import a_rule, of_series
from tests.rules.strategies import rules
from tests.web.forms import Form
from tests.web.holdings import HOST, Browser, Holdings
from tests.web.rule_examples import a_book, a_head, published, without_flair

SAME_ORIGIN = {"Origin": HOST}


def text_of(response: httpx.Response, status: int = 200) -> str:
    assert response.status_code == status, response.text[-3000:]
    assert response.headers["content-type"].startswith("text/html")
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", response.text)))


@pytest.fixture
def book(holdings: Holdings) -> RuleBook:
    return a_book(holdings)


@pytest.fixture
def browser(holdings: Holdings, book: RuleBook) -> Browser:
    return Browser(holdings.app(rules=book))


def send(browser: Browser, path: str, data: Any = None, **options: Any) -> httpx.Response:
    """Send a form as the browser does: also fields that come twice."""
    encoded = httpx.QueryParams(list(data.items()) if isinstance(data, dict) else data or [])
    headers = {**SAME_ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    return browser.post(path, content=str(encoded), headers=headers, **options)


def edited(rule: dict[str, Any], number: int, press: str) -> list[Pair]:
    return [("number", str(number)), *pairs_of(rule), ("press", press)]


def test_an_empty_node_says_what_to_do_first(browser: Browser) -> None:
    page = browser.get("/rules")
    told = text_of(page)
    assert "No rule is in force" in told
    assert "New rule" in told
    assert "T1 + T2 without FLAIR" in told
    assert "style=" not in page.text
    assert "<script>" not in page.text


def test_before_the_first_start_there_are_no_rules(holdings: Holdings) -> None:
    never = RuleBook(holdings.ledger, holdings.spool, holdings.clock, RuleScope(models={}, destinations=()))
    for browser in (Browser(holdings.app(rules=never)), Browser(holdings.app())):
        assert "rules" in text_of(browser.get("/rules"), 404)


def test_a_template_opens_filled_in_and_is_saved_as_it_is(browser: Browser, book: RuleBook) -> None:
    begun = send(browser, "/rules/draft", {"press": "new:t1-t2-without-flair"})
    assert begun.status_code == 303
    page = browser.get(begun.headers["location"])
    form = Form(page.text, "editor")
    assert ("then[0].synthesise.model", "mr-flair") in form.pairs
    assert ("then[0].synthesise.destinations", "pacs") in form.pairs
    saved = send(browser, "/rules/new", [*form.pairs, ("press", "save")])
    assert (saved.status_code, saved.headers["location"]) == (303, "/rules/draft")
    told = text_of(browser.get("/rules/draft"))
    assert "Saved: t1-t2-without-flair." in told
    assert "added" in told
    assert "Saved:" not in text_of(browser.get("/rules/draft"))


def test_the_rules_in_force_stand_in_their_order_in_plain_words(browser: Browser, book: RuleBook) -> None:
    hold = {"name": "rest", "description": "The rest.", "fallback": True, "then": [{"hold": {"reason": "Look at it."}}]}
    published(book, without_flair(shadow=True), {**without_flair(name="off"), "enabled": False}, hold)
    told = text_of(browser.get("/rules"))
    assert told.index("t1-t2-without-flair") < told.index("off") < told.index("rest")
    for words in (
        *("shadow", "disabled", "fallback", "some series has “Weighting is T1”", "no series has “Weighting is FLAIR”"),
        *("Synthesise with mr-flair", "t2 (its slices): Weighting is T2", "sent to pacs", "no other rule fired"),
        *("Hold for a person", "fired 0 times in 7 days", "For the test."),
    ):
        assert words in told, words


def test_how_often_a_rule_fired_leads_to_the_studies(
    browser: Browser, book: RuleBook, holdings: Holdings, clock: FakeClock
) -> None:
    published(book, without_flair())
    study = a_head(holdings)
    (decision,) = book.try_on(book.document(book.in_force().version), study)  # type: ignore[arg-type]
    holdings.decide(decision, study)
    assert "fired 1 time in 7 days" in text_of(browser.get("/rules"))
    assert study in text_of(browser.get("/rules/fired/t1-t2-without-flair"))
    assert "It has not fired" in text_of(browser.get("/rules/fired/other"))
    clock.advance(8 * 86_400)
    assert "fired 0 times in 7 days" in text_of(browser.get("/rules"))


def test_an_open_draft_is_announced_with_who_and_how_much(browser: Browser, book: RuleBook) -> None:
    book.save_draft({"rules": [without_flair()]}, "ada", book.begin_draft("ada").number)
    told = text_of(browser.get("/rules"))
    assert "A draft is open. 1 rule differs from what is in force; last changed by ada" in told


def test_a_wrong_rule_is_refused_and_the_problem_stands_at_its_field(browser: Browser, book: RuleBook) -> None:
    number = book.begin_draft("ada").number
    rule = without_flair(when={"rules": [of_series("some", {"field": "Weigthing", "value": "T1"})]})
    refused = send(browser, "/rules/new", edited(rule, number, "save"))
    assert "Not saved." in text_of(refused, 422)
    at = refused.text.split('data-at="when.rules[0].value.rules[0]"')[1].split("</div>")[0]
    assert "did you mean 'Weighting'?" in html.unescape(at)
    assert 'value="use:when.rules[0].value.rules[0].field:Weighting"' in at
    assert 'aria-invalid="true"' in refused.text
    draft = book.draft()
    assert draft is not None
    assert draft.document["rules"] == []
    mended = send(browser, "/rules/new", edited(rule, number, "use:when.rules[0].value.rules[0].field:Weighting"))
    pairs = Form(mended.text, "editor").pairs
    assert ("when.rules[0].value.rules[0].field", "Weighting") in pairs
    assert send(browser, "/rules/new", [*pairs, ("press", "save")]).status_code == 303


def test_the_live_check_names_field_place_and_suggestion_and_says_the_rule_in_words(
    browser: Browser, book: RuleBook
) -> None:
    number = book.begin_draft("ada").number
    wrong = without_flair(when={"rules": [of_series("some", {"field": "Weigthing", "value": "T1"})]})
    found = send(browser, "/rules/new/check", edited(wrong, number, "check")).json()
    assert found["said"] == "1 thing to correct."
    (fault,) = found["faults"]
    assert fault["path"] == "when.rules[0].value.rules[0].field"
    assert fault["place"] == "when.rules[0].value.rules[0]"
    assert fault["suggestion"] == "Weighting"
    right = send(browser, "/rules/new/check", edited(without_flair(), number, "check")).json()
    assert right["faults"] == []
    assert "Synthesise with mr-flair" in right["words"]
    elsewhere = without_flair(then={**without_flair()["then"], "destinations": ["nowhere"]})
    (fault,) = send(browser, "/rules/new/check", edited(elsewhere, number, "check")).json()["faults"]
    assert fault["place"] == "then"
    assert "nowhere" in fault["text"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule=rules("a-rule"))
def test_the_form_of_a_page_sends_the_rule_it_shows(browser: Browser, book: RuleBook, rule: dict[str, Any]) -> None:
    assume(not any("\n" in text for _, text in pairs_of(rule)))
    number = book.begin_draft("ada").number
    shown = send(browser, "/rules/new", edited(rule, number, "refresh"))
    assert version(Form(shown.text, "editor").pairs, book) == version(pairs_of(rule), book)


def version(pairs: list[Pair], book: RuleBook) -> str:
    """Name the rule that a form gives; of boxes to tick only which ones are ticked counts."""
    rule = rule_of(pairs, book.catalogue())
    return load_rule_set({"rules": [ticked(rule, book)]}, book.catalogue()).version


def ticked(node: Any, book: RuleBook) -> Any:
    if isinstance(node, list):
        return [ticked(one, book) for one in node]
    if not isinstance(node, dict):
        return node
    fact = book.catalogue().series.get(str(node.get("field"))) or book.catalogue().study.get(str(node.get("field")))
    plain = {key: ticked(value, book) for key, value in node.items()}
    if fact is not None and fact.values and isinstance(node.get("value"), list):
        plain["value"] = sorted(set(node["value"]))
    return plain


def test_what_the_form_cannot_show_is_edited_as_yaml(browser: Browser, book: RuleBook) -> None:
    two_lines = without_flair(
        when={"rules": [of_series("some", {"field": "SeriesDescription", "value": "one\ntwo"})]},
    )
    book.save_draft({"rules": [two_lines]}, "ada", book.begin_draft("ada").number)
    led = browser.get("/rules/draft/t1-t2-without-flair")
    assert led.headers["location"] == "/rules/draft/t1-t2-without-flair/yaml?why=form"
    assert "no field for" in text_of(browser.get(led.headers["location"]))


def test_a_rule_is_edited_as_yaml_and_refused_with_its_line(browser: Browser, book: RuleBook) -> None:
    book.save_draft({"rules": [without_flair()]}, "ada", book.begin_draft("ada").number)
    draft = book.draft()
    assert draft is not None
    page = browser.get("/rules/draft/t1-t2-without-flair/yaml")
    text = html.unescape(page.text.split('autocapitalize="off">')[1].split("</textarea>")[0])
    assert read_yaml_text(text, "page") == draft.document["rules"][0]  # type: ignore[index]
    path = "/rules/draft/t1-t2-without-flair/yaml"
    broken = {"document": text.replace("Weighting", "Weigthing", 1), "number": draft.number}
    assert "did you mean 'Weighting'?" in text_of(send(browser, path, broken), 422)
    assert "line 1" in text_of(send(browser, path, {"document": "{", "number": draft.number}), 422)
    saved = send(browser, path, {"document": text.replace("priority: 10", ""), "number": draft.number})
    assert saved.status_code == 303


def test_two_people_do_not_overwrite_each_other(browser: Browser, book: RuleBook) -> None:
    number = book.begin_draft("ada").number
    book.save_draft({"rules": [a_rule("other", then=without_flair()["then"])]}, "bob", number)
    late = send(browser, "/rules/new", edited(without_flair(), number, "save"))
    assert "bob changed the draft meanwhile" in text_of(late, 409)
    again = Form(late.text, "editor").pairs
    assert send(browser, "/rules/new", [*again, ("press", "save")]).status_code == 303
    draft = book.draft()
    assert draft is not None
    assert [rule["name"] for rule in draft.document["rules"]] == ["other", "t1-t2-without-flair"]  # type: ignore[attr-defined]


def test_rules_are_moved_switched_and_removed_by_buttons(browser: Browser, book: RuleBook) -> None:
    two = [without_flair(name="one"), without_flair(name="two")]
    book.save_draft({"rules": two}, "ada", book.begin_draft("ada").number)
    left: Any = []
    for press, names in (("up:two", ["two", "one"]), ("disable:one", ["two", "one"]), ("remove:two", ["one"])):
        draft = book.draft()
        assert draft is not None
        assert send(browser, "/rules/draft", {"press": press, "number": draft.number}).status_code == 303
        changed = book.draft()
        assert changed is not None
        left = changed.document["rules"]
        assert [rule["name"] for rule in left] == names
    assert left[0]["enabled"] is False
    assert "disabled" in text_of(browser.get("/rules/draft"))
    stale = send(browser, "/rules/draft", {"press": "remove:one", "number": 1})
    assert stale.status_code == 409


def test_a_study_is_tried_with_roles_and_with_the_nearest_miss(
    browser: Browser, book: RuleBook, holdings: Holdings
) -> None:
    book.save_draft({"rules": [without_flair()]}, "ada", book.begin_draft("ada").number)
    head = a_head(holdings)
    with_flair = a_head(holdings, "complete", **FLAIR)
    listed = text_of(browser.get("/rules/test"))
    assert head in listed
    assert "Testperson" not in listed
    told = text_of(browser.get("/rules/test", params={"study": head}))
    assert "fires" in told
    assert "It would synthesise with mr-flair on the slices of t2, sent to pacs." in told
    assert "2 t1 se tra" in told
    assert "is the only series that fits" in told
    missed = text_of(browser.get("/rules/test", params={"study": with_flair}))
    assert "does not fire" in missed
    assert "What is missing" in missed
    assert "no series has “Weighting is FLAIR”: 1 of 3 match" in missed
    assert "No rule is in force" in text_of(browser.get("/rules/test", params={"study": head, "of": "force"}))
    assert browser.get("/rules/test", params={"study": "1.2.3"}).status_code == 404
    assert browser.get("/rules/test", params={"study": "x'"}).status_code == 400


def test_what_if_lists_the_changes_and_is_asked_for_before_publishing(
    browser: Browser, book: RuleBook, holdings: Holdings
) -> None:
    head = a_head(holdings)
    book.save_draft({"rules": [without_flair()]}, "ada", book.begin_draft("ada").number)
    draft = book.draft()
    assert draft is not None
    assert "Nobody has looked yet" in text_of(browser.get("/rules/publish"))
    form = {"number": draft.number, "reason": "FLAIR for all."}
    assert "nobody has looked at what this draft would change" in text_of(
        send(browser, "/rules/publish", form), 400
    ).replace("Nobody has looked at", "nobody has looked at")
    told = text_of(browser.get("/rules/whatif", params={"studies": head}))
    assert "1 decision would change." in told
    assert "1 study replayed" in told
    assert "not asked" in told
    assert "fires" in told
    assert "was looked at" in text_of(browser.get("/rules/publish"))
    assert "say in a few words why" in text_of(send(browser, "/rules/publish", {**form, "reason": " "}), 400).replace(
        "Say in", "say in"
    )
    done = send(browser, "/rules/publish", form)
    assert (done.status_code, done.headers["location"]) == (303, "/rules")
    assert "Published as number 2" in text_of(browser.get("/rules"))
    assert [rule.name for rule in book.in_force().rules] == ["t1-t2-without-flair"]


def test_a_draft_can_be_published_unseen_only_on_purpose(browser: Browser, book: RuleBook) -> None:
    book.save_draft({"rules": [without_flair()]}, "ada", book.begin_draft("ada").number)
    draft = book.draft()
    assert draft is not None
    form = {"number": draft.number, "reason": "Known.", "unseen": "on"}
    assert send(browser, "/rules/publish", form).status_code == 303


def test_where_two_people_are_asked_for_one_proposes_and_another_publishes(holdings: Holdings) -> None:
    book = a_book(holdings, second_person=True)
    browser = Browser(holdings.app(rules=book))
    book.save_draft({"rules": [without_flair()]}, "ada", book.begin_draft("ada").number)
    number = str(book.draft().number)  # type: ignore[union-attr]
    assert "you propose" in text_of(browser.get("/rules/publish"))
    assert "Not published" in text_of(
        send(browser, "/rules/publish", {"number": number, "reason": "Now.", "unseen": "on"}), 403
    )
    book.propose("ada", "For the new scanner.", int(number))
    assert "ada proposes it: “For the new scanner.”" in text_of(browser.get("/rules/publish"))
    done = send(browser, "/rules/publish", {"number": number, "reason": "Looked at it.", "unseen": "on"})
    assert done.status_code == 303
    (latest, *_) = book.publications()
    assert (latest.by, latest.approved_by) == ("ada", "local")


def test_versions_are_compared_with_signs_and_rolled_back_with_a_reason(browser: Browser, book: RuleBook) -> None:
    published(book, without_flair())
    published(book, without_flair(description="Another sentence."))
    newest, older, first = book.publications()
    told = text_of(browser.get("/rules/versions"))
    assert "in force" in told
    assert "imported" in told
    page = browser.get("/rules/diff", params={"before": older.version, "after": newest.version})
    assert "<del><b>−</b>description: A synthetic FLAIR where none was acquired.</del>" in page.text
    assert "<ins><b>+</b>description: Another sentence.</ins>" in page.text
    assert "changed" in text_of(page)
    refused = send(browser, f"/rules/versions/{first.version}/rollback", {"reason": ""})
    assert refused.status_code == 400
    done = send(browser, f"/rules/versions/{older.version}/rollback", {"reason": "It made too many."})
    assert done.status_code == 303
    assert "Rolled back" in text_of(browser.get("/rules"))
    assert book.in_force().version == older.version
    assert book.publications()[0].kind == "rolled back"


def test_rules_come_in_and_go_out_as_yaml_and_json(browser: Browser, book: RuleBook) -> None:
    published(book, without_flair())
    version_ = book.in_force().version
    for form, read in (("yaml", lambda text: read_yaml_text(text, "export")), ("json", json.loads)):
        given_ = browser.get(f"/rules/export/{version_}.{form}")
        assert f'filename="rules-{version_}.{form}"' in given_.headers["content-disposition"]
        assert read(given_.text) == book.document(version_)
        taken = browser.post("/rules/import", files={"file": (f"r.{form}", given_.text)}, headers=SAME_ORIGIN)
        assert taken.status_code == 303
        draft = book.draft()
        assert draft is not None
        assert draft.document == book.document(version_)
    broken = browser.post("/rules/import", data={"document": "rules: [{name: X}]"}, headers=SAME_ORIGIN)
    assert "Nothing was imported" in text_of(broken, 422)
    assert browser.get(f"/rules/export/{version_}.exe").status_code == 404


def test_rules_that_cannot_be_read_any_more_say_so_and_can_be_mended(
    browser: Browser, book: RuleBook, holdings: Holdings
) -> None:
    broken = without_flair(when={"rules": [of_series("some", {"field": "FactOfAPlugIn", "value": "T1"})]})
    publication = Publication(
        number=2, version="dead", kind=PublicationKind.PUBLISHED, at=holdings.clock.now(), by="ada", reason="Before."
    )
    with holdings.ledger.transaction() as tx:
        keep_rule_set(tx, "dead", {"rules": [broken]}, holdings.clock.now())
        add_publication(tx, publication)
    told = text_of(browser.get("/rules"))
    assert "does not have" in told
    assert "unknown fact 'FactOfAPlugIn'" in told
    assert "t1-t2-without-flair" in told
    number = book.begin_draft("ada").number
    assert "cannot be published as it is" in text_of(browser.get("/rules/draft"))
    page = browser.get("/rules/draft/t1-t2-without-flair")
    assert "Unknown fact 'FactOfAPlugIn'" in text_of(page)
    mended = edited(without_flair(), number, "save")
    assert send(browser, "/rules/draft/t1-t2-without-flair", mended).status_code == 303


def test_facts_are_found_by_a_part_of_name_or_meaning(browser: Browser, book: RuleBook) -> None:
    found = browser.get("/rules/facts", params={"search": "weighting"}).json()
    assert found[0]["name"] == "Weighting"
    assert "FLAIR" in found[0]["values"]
    assert {"=", "in"} <= set(found[0]["operators"])
    assert all(fact["name"] != "Weighting" for fact in browser.get("/rules/facts?scope=study").json())
    assert len(browser.get("/rules/facts", params={"search": "a"}).json()) <= 30


READERS = ["/rules", "/rules/versions"]
EDITORS = ["/rules/draft", "/rules/new", "/rules/import", "/rules/publish", "/rules/test", "/rules/whatif"]


class AsVisitor:
    """Lets every request come from somebody, behind all that finds out who it is."""

    def __init__(self, app: ASGIApp, visitor: Visitor) -> None:
        self._app, self._visitor = app, visitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "visitor": self._visitor}, receive, send)


def seen_by(holdings: Holdings, book: RuleBook, *permissions: Permission) -> Browser:
    """A browser of somebody who may do only this."""
    app = holdings.app(rules=book)
    app.user_middleware.append(Middleware(AsVisitor, Visitor(name="eve", permissions=frozenset(permissions))))
    return Browser(app)


@pytest.mark.parametrize("path", EDITORS)
def test_who_may_only_look_cannot_edit(holdings: Holdings, book: RuleBook, path: str) -> None:
    looking = seen_by(holdings, book, Permission.SEE_SYSTEM)
    assert looking.get(path).status_code == 403
    assert "Edit" not in text_of(looking.get("/rules"))
    for reading in READERS:
        assert looking.get(reading).status_code == 200


def test_who_may_edit_cannot_publish(holdings: Holdings, book: RuleBook) -> None:
    editing = seen_by(holdings, book, Permission.SEE_SYSTEM, Permission.SEE_STUDIES, Permission.EDIT_RULES)
    number = book.begin_draft("ada").number
    assert send(editing, "/rules/new", edited(without_flair(), number, "save")).status_code == 303
    assert send(editing, "/rules/publish", {"number": number + 1, "reason": "Now.", "unseen": "on"}).status_code == 403
    assert "ask an administrator" in text_of(editing.get("/rules/publish"))
    first = book.publications()[0].version
    assert send(editing, f"/rules/versions/{first}/rollback", {"reason": "Back."}).status_code == 403


def test_a_form_of_another_site_is_refused(browser: Browser) -> None:
    foreign = browser.post("/rules/draft", data={"press": "begin"}, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
