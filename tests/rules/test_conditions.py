from typing import Any

import pytest
from pydantic import ValidationError

from dicomnode.domain.errors import InvalidRule
from dicomnode.rules.conditions import DEPTH_MAX, LEAVES_MAX, Match, SeriesCondition, StudyGroup
from dicomnode.rules.operators import Operator
from tests.rules.catalogue import a_rule, load, load_when, of_series

AN_MR = {"field": "Modalities", "operator": "contains", "value": "MR"}
A_T1 = {"field": "Weighting", "value": "T1"}


def _problems(*conditions: Any, **group: Any) -> list[str]:
    with pytest.raises(InvalidRule) as refused:
        load_when(*conditions, **group)
    return str(refused.value).splitlines()


def test_conditions_are_read_with_react_querybuilders_names_and_defaults() -> None:
    when = load_when(AN_MR, of_series("some", A_T1, combinator="or"), {"rules": [AN_MR], "not": True})
    assert when.combinator == "and"
    assert not when.negated
    assert when.rules[1].value.combinator == "or"
    assert when.rules[1].value.rules[0].operator is Operator.EQUAL
    assert when.rules[2].negated


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        (
            {**AN_MR, "field": "Modalites"},
            "when.rules[0].field: unknown fact 'Modalites', did you mean 'Modalities'?",
        ),
        ({**AN_MR, "field": "xyz"}, "when.rules[0].field: unknown fact 'xyz'"),
        ({**AN_MR, "operator": "contians"}, "unknown operator 'contians', did you mean 'contains'?"),
        ({"field": "Modalities", "value": "MR"}, "when.rules[0].operator: '=' cannot be asked of Modalities"),
        ({**AN_MR, "valeu": 1}, "when.rules[0].valeu: unknown key 'valeu', did you mean 'value'?"),
        ({**AN_MR, "match": {}}, "when.rules[0].match: the key 'match' does not belong here"),
        ({**AN_MR, "field": 3}, "when.rules[0].field: must be text"),
        ({"operator": "="}, "when.rules[0].field: is missing"),
        ({}, "when.rules[0].field: is missing"),
        ({"field": "StudyDate", "operator": "<"}, "when.rules[0].value: must be a date"),
        (A_T1, "'Weighting' is a fact of a series; ask for it inside a condition on the field 'series'"),
        ("and", "when.rules[0]: must be a condition (field, operator, value) or a group (combinator, rules)"),
        (None, "when.rules[0]: must be a condition"),
        ({"rules": []}, "when.rules[0].rules: must not be empty"),
        ({"rules": 3}, "when.rules[0].rules: must be a list"),
        ({"combinator": "and"}, "when.rules[0].rules: is missing"),
        (
            {"rules": [AN_MR], "combinator": "nor"},
            "when.rules[0].combinator: must be 'and' or 'or', did you mean 'or'?",
        ),
        ({"rules": [AN_MR], "not": "yes"}, "when.rules[0].not: must be true or false"),
        (of_series("any", A_T1), "when.rules[0].match.mode: must be 'some', 'none', 'all', 'atLeast', "),
        (of_series("atleast", A_T1, threshold=2), "did you mean 'atLeast'?"),
        (of_series("atLeast", A_T1), "when.rules[0].match.threshold: is missing; 'atLeast' needs a number of series"),
        (of_series("some", A_T1, threshold=1), "when.rules[0].match.threshold: has no meaning with 'some'"),
        (of_series("atLeast", A_T1, threshold=0), "would always hold"),
        (of_series("exactly", A_T1, threshold=-1), "when.rules[0].match.threshold: should be greater"),
        (of_series("exactly", A_T1, threshold=True), "when.rules[0].match.threshold: must be a whole number"),
        ({"field": "series", "value": {"rules": [A_T1]}}, "when.rules[0].match: is missing"),
        ({"field": "series", "match": {"mode": "some"}}, "when.rules[0].value: is missing"),
        ({**of_series("some", A_T1), "operator": "in"}, "when.rules[0].operator: must be '='"),
        (of_series("some"), "when.rules[0].value.rules: must not be empty"),
        (of_series("some", {**A_T1, "value": "T7"}), "when.rules[0].value.rules[0].value: Weighting is never 'T7'"),
        (of_series("some", AN_MR), "'Modalities' is a fact of the study; a condition on one series cannot ask for it"),
        (of_series("some", of_series("some", A_T1)), "'series' is a fact of the study"),
        (
            of_series("some", {"rules": [{"field": "Wighting", "value": "T1"}]}),
            "value.rules[0].rules[0].field: unknown",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_place(condition: Any, problem: str) -> None:
    lines = _problems(condition)
    assert any(problem in line for line in lines), lines
    assert all(line.startswith("rule 'a-rule', when") for line in lines)


def test_all_mistakes_of_one_condition_are_told_at_once() -> None:
    lines = _problems({"field": "Modality", "operator": "is", "value": "MR", "vlaue": 1})
    assert [line.split(": ")[0] for line in lines] == [
        "rule 'a-rule', when.rules[0].field",
        "rule 'a-rule', when.rules[0].operator",
        "rule 'a-rule', when.rules[0].vlaue",
    ]


def _nested(depth: int) -> dict[str, Any]:
    group: dict[str, Any] = {"rules": [AN_MR]}
    for _ in range(depth - 1):
        group = {"rules": [group]}
    return group


def test_depth_and_number_of_conditions_are_limited() -> None:
    assert load_when(*_nested(DEPTH_MAX)["rules"])
    assert _problems(*_nested(DEPTH_MAX + 1)["rules"]) == [
        "rule 'a-rule', when: conditions are nested more than 8 deep"
    ]
    assert load_when(*[AN_MR] * LEAVES_MAX)
    assert _problems(*[AN_MR] * (LEAVES_MAX + 1)) == ["rule 'a-rule', when: more than 200 conditions in one tree"]
    assert "more than 200" in _problems(of_series("some", *[A_T1] * 150), of_series("none", *[A_T1] * 51))[0]


def test_a_tree_that_refers_to_itself_or_doubles_at_each_level_is_refused_at_once() -> None:
    endless: dict[str, Any] = {"rules": []}
    endless["rules"].append(endless)
    assert "nested more than 8 deep" in _problems(endless)[0]
    doubling: dict[str, Any] = {"rules": [AN_MR] * 9}
    for _ in range(6):
        doubling = {"rules": [doubling] * 9}
    assert "more than 200" in _problems(doubling)[0]
    empty: dict[str, Any] = {"rules": []}
    for _ in range(6):
        empty = {"rules": [empty] * 90}
    assert "more than 200" in _problems(empty)[0]


def test_no_condition_exists_that_was_not_checked_against_the_facts() -> None:
    for part, document in ((SeriesCondition, A_T1), (StudyGroup, {"rules": [AN_MR]})):
        with pytest.raises(InvalidRule, match="load_rule_set"):
            part.model_validate(document)


def test_a_part_built_in_another_way_is_not_taken_over() -> None:
    unchecked = SeriesCondition.model_construct(field="Nonsense", operator=Operator.EQUAL, value=1)
    assert "must be a mapping" in _problems(of_series("some", unchecked))[0]
    group = StudyGroup.model_construct(rules=())
    with pytest.raises(InvalidRule, match="when: must be a mapping"):
        load(a_rule(when=group))


def test_conditions_cannot_be_changed() -> None:
    when = load_when(AN_MR)
    with pytest.raises(ValidationError, match="frozen"):
        when.rules[0].field = "Nonsense"


@pytest.mark.parametrize(
    ("mode", "threshold", "accepted"),
    [
        ("some", None, {1, 2, 3}),
        ("none", None, {0}),
        ("all", None, {3}),
        ("atLeast", 2, {2, 3}),
        ("atMost", 1, {0, 1}),
        ("exactly", 2, {2}),
        ("exactly", 0, {0}),
    ],
)
def test_a_quantifier_counts_series(mode: str, threshold: int | None, accepted: set[int]) -> None:
    match = Match.model_validate({"mode": mode, "threshold": threshold})
    assert {matching for matching in range(4) if match.accepts(matching, 3)} == accepted


def test_all_of_no_series_is_not_enough() -> None:
    assert not Match(mode="all").accepts(0, 0)
    assert Match(mode="none").accepts(0, 0)
