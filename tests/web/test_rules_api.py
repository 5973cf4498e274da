"""The rules for programs: seen, edited, tried, published and rolled back; every refusal says what to correct."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.journey.rule_book import RuleBook
from dicomnode.journey.rule_document import RuleScope
from dicomnode.synthesis.registry import Registry
from tests.builders import T2, a_series, uid
from tests.nodes import COPY_RULE
from tests.web.holdings import Browser, Holdings

STUDY = uid("study")


def _rules(**changes: Any) -> dict[str, Any]:
    """Give the document of the rule that copies a T2, with other values of the rule."""
    document: dict[str, Any] = yaml.safe_load(COPY_RULE)
    document["rules"][0] |= changes
    return document


@pytest.fixture
def book(holdings: Holdings) -> RuleBook:
    registry = Registry.discover()
    models = {name: registry.entry(name).card.inputs for name in registry.names()}
    scope = RuleScope(models=models, destinations=("pacs",))
    book = RuleBook(holdings.ledger, holdings.spool, holdings.clock, scope)
    book.import_first(_rules(), "the first start")
    return book


@pytest.fixture
def program(holdings: Holdings, book: RuleBook) -> Browser:
    """A program on this machine."""
    return Browser(holdings.app(rules=book))


def _save(program: Browser, **changes: Any) -> int:
    """Change the draft, and give its number."""
    begun = program.post("/api/rules/draft").json()["number"]
    saved = program.put("/api/rules/draft", json={"document": _rules(**changes), "expected": begun})
    assert saved.status_code == 200, saved.text
    number: int = saved.json()["number"]
    return number


def test_the_rules_in_force_are_read_with_their_publication(program: Browser, book: RuleBook) -> None:
    told = program.get("/api/rules").json()
    assert (told["number"], told["kind"], told["by"], told["problems"]) == (1, "imported", "settings", [])
    assert told["document"] == _rules()
    assert told["version"] == book.in_force().version


def test_a_draft_is_edited_published_and_rolled_back(program: Browser, book: RuleBook) -> None:
    first = book.in_force().version
    assert program.get("/api/rules/draft").status_code == 404
    number = _save(program, description="New.")
    draft = program.get("/api/rules/draft").json()
    assert (draft["number"], draft["changed_by"], draft["base"]) == (number, "local", first)
    (change,) = program.get(f"/api/rules/differences?before={first}").json()
    assert (change["rule"], change["change"]) == ("copy-t2", "changed")

    published = program.post("/api/rules/publications", json={"reason": "a better text", "expected": number})
    assert (published.status_code, published.json()["by"]) == (201, "local")
    second = published.json()["version"]
    assert program.get("/api/rules").json()["document"] == _rules(description="New.")
    assert program.get("/api/rules/draft").status_code == 404

    back = program.post("/api/rules/rollback", json={"version": first, "reason": "it was better before"})
    assert (back.status_code, back.json()["kind"]) == (201, "rolled back")
    assert [one["version"] for one in program.get("/api/rules/versions").json()] == [first, second, first]
    assert len(program.get("/api/rules/versions?limit=1").json()) == 1


def test_a_version_is_read_as_json_and_as_yaml(program: Browser, book: RuleBook) -> None:
    path = f"/api/rules/versions/{book.in_force().version}"
    assert program.get(path).json() == _rules()
    as_yaml = program.get(f"{path}?format=yaml")
    assert as_yaml.headers["content-type"].startswith("application/yaml")
    assert yaml.safe_load(as_yaml.text) == _rules()
    assert program.get("/api/rules/versions/0123").status_code == 404
    assert program.get("/api/rules/versions/draft").status_code == 422


def test_a_draft_is_discarded(program: Browser) -> None:
    _save(program, description="New.")
    assert program.delete("/api/rules/draft").status_code == 204
    assert program.delete("/api/rules/draft").status_code == 204
    assert program.get("/api/rules/draft").status_code == 404


def test_a_change_of_another_draft_is_refused(program: Browser) -> None:
    number = _save(program, description="New.")
    for path, body in (
        ("/api/rules/publications", {"reason": "the old one", "expected": number - 1}),
        ("/api/rules/draft/proposal", {"reason": "the old one", "expected": number - 1}),
    ):
        refused = program.post(path, json=body)
        assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
        assert "changed the draft meanwhile" in refused.json()["detail"]
    body = {"document": _rules(), "expected": number - 1}
    assert program.put("/api/rules/draft", json=body).status_code == 409


@pytest.mark.parametrize("path", ["/api/rules/check", "/api/rules/draft"])
def test_what_is_wrong_is_told_with_its_place(program: Browser, path: str) -> None:
    wrong = _rules(when={"rules": [{"field": "Modalitys", "value": "MR"}]})
    if path.endswith("check"):
        answer = program.post(path, json={"document": wrong})
        assert answer.status_code == 200
        said = answer.json()["problems"][0]
    else:
        begun = program.post(path).json()["number"]
        answer = program.put(path, json={"document": wrong, "expected": begun})
        assert answer.status_code == 422
        said = answer.json()["detail"]
    assert "rule 'copy-t2', when.rules[0].field" in said
    assert "did you mean 'Modalities'" in said


def test_a_study_is_tried_with_its_explanation(program: Browser, holdings: Holdings) -> None:
    holdings.receive(a_series(study="study", slices=3, shape=(16, 12), **T2))
    (fires,) = program.post("/api/rules/test", json={"study": STUDY}).json()
    assert (fires["rule"], fires["fired"], fires["problem"], fires["shadow"]) == ("copy-t2", True, None, False)
    assert (fires["actions"][0]["kind"], fires["actions"][0]["model"]) == ("synthesise", "identity")
    assert fires["bindings"][0]["role"] == "source"
    when = {
        "rules": [
            {"field": "series", "match": {"mode": "some"}, "value": {"rules": [{"field": "Weighting", "value": "T1"}]}}
        ]
    }
    (missed,) = program.post("/api/rules/test", json={"study": STUDY, "document": _rules(when=when)}).json()
    assert not missed["fired"]
    assert "nearest is" in str(missed["explanation"])
    assert program.post("/api/rules/test", json={"study": "1.2.3"}).status_code == 404
    assert program.post("/api/rules/test", json={"study": "no uid"}).status_code == 422


def test_what_would_change_is_listed(program: Browser, holdings: Holdings) -> None:
    holdings.receive(a_series(study="study", slices=3, shape=(16, 12), **T2))
    holdings.complete(STUDY)
    asked: dict[str, Any] = {"document": _rules(enabled=False), "days": 1}
    told = program.post("/api/rules/what-if", json=asked).json()
    assert (told["studies"], told["skipped"]) == (1, [])
    (change,) = told["changes"]
    assert (change["study"], change["rule"], change["in_words"]) == (STUDY, "copy-t2", "fires → not asked")
    assert change["before"]["fired"]
    assert change["after"] is None
    assert program.post("/api/rules/what-if", json={}).status_code == 404
    _save(program, description="New.")
    assert program.post("/api/rules/what-if", json={"studies": [STUDY]}).json()["changes"] == []


def test_facts_are_searched(program: Browser) -> None:
    first = program.get("/api/rules/facts?search=weighting").json()[0]
    assert (first["scope"], first["name"], first["type"]) == ("series", "Weighting", "code")
    assert "T2" in first["values"]
    of_study = program.get("/api/rules/facts?search=date&scope=study&limit=5").json()
    assert {one["scope"] for one in of_study} == {"study"}
    assert len(of_study) <= 5
    assert program.get("/api/rules/facts?limit=0").status_code == 422


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/rules/publications", {"reason": "", "expected": 1}),
        ("/api/rules/publications", {"reason": "\u0007\u0007\u0007", "expected": 2}),
        ("/api/rules/publications", {"reason": "good", "expected": -1}),
        ("/api/rules/publications", {"reason": "good", "expected": 2**70}),
        ("/api/rules/rollback", {"version": "../x", "reason": "good"}),
        ("/api/rules/what-if", {"days": 1e300}),
        ("/api/rules/what-if", {"studies": ["x"]}),
        ("/api/rules/check", {"document": []}),
        ("/api/rules/test", {"study": "1.2.3", "document": {"rules": 7}}),
        ("/api/rules/draft/proposal", {"reason": "a \ud800 half", "expected": 2}),
    ],
)
def test_what_has_not_its_form_is_refused(program: Browser, path: str, body: Any) -> None:
    _save(program, description="New.")
    refused = program.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json"), refused.text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["rules", "name", "description", "when", "then", "model", "field", "value", "\ud800"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_a_program_says_is_taken_or_refused(program: Browser, document: Any) -> None:
    for path, body in (
        ("/api/rules/check", {"document": document}),
        ("/api/rules/check", {"document": {"rules": document}}),
        ("/api/rules/what-if", {"document": {"rules": [document]}}),
    ):
        answer = program.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
        assert answer.status_code in (200, 422), answer.text


def test_the_interface_describes_its_rules(program: Browser) -> None:
    described = program.get("/api/openapi.json").json()
    operations = {
        (path, method): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/rules")
    }
    assert {(path, method): operation["operationId"] for (path, method), operation in operations.items()} == {
        ("/rules", "get"): "read_rules_in_force",
        ("/rules/versions", "get"): "list_rule_versions",
        ("/rules/versions/{version}", "get"): "read_rule_version",
        ("/rules/differences", "get"): "compare_rule_versions",
        ("/rules/facts", "get"): "search_rule_facts",
        ("/rules/draft", "get"): "read_rule_draft",
        ("/rules/draft", "post"): "begin_rule_draft",
        ("/rules/draft", "put"): "save_rule_draft",
        ("/rules/draft", "delete"): "discard_rule_draft",
        ("/rules/draft/proposal", "post"): "propose_rule_draft",
        ("/rules/check", "post"): "check_rules",
        ("/rules/test", "post"): "try_rules",
        ("/rules/what-if", "post"): "ask_what_if",
        ("/rules/publications", "post"): "publish_rules",
        ("/rules/rollback", "post"): "roll_rules_back",
    }
    for operation in operations.values():
        assert operation["summary"]
        assert operation["description"]
