"""What differs between two documents: by what they say, not by how they are written."""

import copy
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.rule_book import Change
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.journey.rule_changes import rule_changes
from dicomnode.journey.rule_document import read_document
from tests.nodes import COPY_RULE


def _document(*names: str) -> dict[str, Any]:
    """Give a document with rules of these names, in this order."""
    rule = yaml.safe_load(COPY_RULE)["rules"][0]
    return {"rules": [{**copy.deepcopy(rule), "name": name} for name in names]}


def _changes(before: dict[str, Any], after: dict[str, Any]) -> set[tuple[str, Change]]:
    return {(one.rule, one.change) for one in rule_changes(before, after, fact_catalogue())}


def test_rules_are_added_removed_changed_and_moved() -> None:
    before, after = _document("a", "b", "c", "d"), _document("d", "a", "b", "e")
    after["rules"][1]["description"] = "Another text."
    assert _changes(before, after) == {
        ("d", Change.MOVED),
        ("a", Change.CHANGED),
        ("c", Change.REMOVED),
        ("e", Change.ADDED),
    }


def test_only_what_says_something_is_written() -> None:
    before, after = _document("a"), _document("a")
    after["rules"][0] |= {"enabled": False, "shadow": True}
    (change,) = rule_changes(before, after, fact_catalogue())
    assert "enabled" not in change.before
    assert "enabled: false" in change.after
    assert "shadow: true" in change.after
    del before["rules"][0]["when"]["combinator"]
    assert yaml.safe_load(change.before) == before["rules"][0]


def test_other_words_for_the_same_are_no_change() -> None:
    before, after = _document("a"), _document("a")
    rule = after["rules"][0]
    after["rules"][0] = {**dict(reversed(rule.items())), "enabled": True}
    after["rules"][0]["when"] = {"not": False, **rule["when"]}
    assert _changes(before, after) == set()


def test_a_document_that_cannot_be_read_is_compared_as_it_stands() -> None:
    before = {"rules": [{"name": "a", "phase": "full"}, {"phase": "new"}, "nonsense"]}
    after = _document("a")
    assert _changes(before, after) == {
        ("a", Change.CHANGED),
        ("rule number 2", Change.REMOVED),
        ("rule number 3", Change.REMOVED),
    }
    assert _changes({"rules": None}, {}) == set()


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdef"), unique=True))
def test_the_changes_lead_from_one_order_to_the_other(before: list[str], after: list[str]) -> None:
    changes = {name: change for name, change in _changes(_document(*before), _document(*after))}
    assert {name for name, change in changes.items() if change is Change.ADDED} == set(after) - set(before)
    assert {name for name, change in changes.items() if change is Change.REMOVED} == set(before) - set(after)
    moved = {name for name, change in changes.items() if change is Change.MOVED}
    stayed = [name for name in before if name in after and name not in moved]
    assert stayed == [name for name in after if name in before and name not in moved]


def test_the_short_form_is_read_as_the_same_rule() -> None:
    document = _document("a")
    document["rules"][0]["then"] = [
        {"synthesise": {**document["rules"][0]["then"], "late": "hold", "label_language": "de"}},
        {"route": {"series": {"rules": [{"field": "Weighting", "value": "T1"}]}, "destinations": ["pacs"]}},
    ]
    document["rules"][0]["window"] = {"days": ["mon"], "from": "07:00", "to": "19:00"}
    (added,) = rule_changes({"rules": []}, document, fact_catalogue())
    assert read_document({"rules": [yaml.safe_load(added.after)]}).version == read_document(document).version
