"""A rule as a form, and back: the same rule."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.model_card import InputRole
from dicomnode.rules.operators import Operator
from dicomnode.web.rule_editing import new_rule, press
from dicomnode.web.rule_faults import faults_of
from dicomnode.web.rule_form import Pair, pairs_of, path_parts, rule_of
from dicomnode.web.rule_view import view_of
from tests.rules.catalogue import CATALOGUE, a_rule, load, of_series
from tests.rules.strategies import rules

ROLES = {
    "mr-flair": {
        "t1": InputRole(weighting=("T1",), contrast_agent="never", min_slices=10),
        "t2": InputRole(weighting=("T2", "PD")),
    }
}
BUTTONS = st.sampled_from(
    [
        *(f"{verb}:when" for verb in ("add-condition", "add-series", "add-group", "remove", "up", "down")),
        *(f"{verb}:when.rules[0]" for verb in ("add-condition", "add-group", "remove", "up", "down")),
        *(
            f"{verb}:then[0].synthesise.inputs.t1"
            for verb in ("add-preference", "add-condition", "up", "down", "remove")
        ),
        *("add-action::hold", "add-action::route", "remove:then[0]", "up:then[1]", "use:when.rules[0].field:Modality"),
        *("remove:then[0].synthesise.inputs.t1.prefer[0]", "remove:when.rules[99]", "nonsense", "up:", ":::", "use::x"),
    ]
)


def version(rule: Any) -> str:
    return load(rule).version


@given(rules("a-rule"))
def test_a_rule_that_went_through_the_form_is_the_same_rule(rule: dict[str, Any]) -> None:
    assert version(rule_of(pairs_of(rule), CATALOGUE)) == version(rule)


@given(rules("a-rule"))
def test_the_form_of_a_rule_is_the_form_of_what_it_was_read_into(rule: dict[str, Any]) -> None:
    read = rule_of(pairs_of(rule), CATALOGUE)
    assert rule_of(pairs_of(read), CATALOGUE) == read


@given(rules("a-rule"), st.lists(BUTTONS, max_size=6))
def test_no_row_of_buttons_breaks_a_rule(rule: dict[str, Any], buttons: list[str]) -> None:
    for button in buttons:
        rule = press(rule_of(pairs_of(rule), CATALOGUE), button, ROLES).rule
        view_of(rule, CATALOGUE, ROLES, ("pacs",))


@given(st.lists(st.tuples(st.text(max_size=40) | st.sampled_from(["when", "when.rules[0]", "then[0].x"]), st.text())))
def test_whatever_is_sent_gives_a_rule_to_be_checked(pairs: list[Pair]) -> None:
    read = rule_of(pairs, CATALOGUE)
    assert {"name", "description", "when", "then"} <= read.keys() or "fallback" in read


@pytest.mark.parametrize(
    "parts",
    [
        {"fallback": True, "when": None},
        {"shadow": True, "enabled": False},
        {"window": {"days": ["mon", "fri"], "from": "07:00", "to": "24:00"}},
        {"window": {"days": ["sun"]}},
    ],
)
def test_every_key_of_a_rule_has_a_field(parts: dict[str, Any]) -> None:
    rule = {key: value for key, value in a_rule(**parts).items() if value is not None}
    assert version(rule_of(pairs_of(rule), CATALOGUE)) == version(rule)


def test_every_kind_of_action_has_its_fields() -> None:
    series = {"combinator": "or", "rules": [{"field": "Modality", "value": "CT"}, {"field": "Modality", "value": "MR"}]}
    synthesis = {
        **a_rule()["then"],
        "inputs": {
            "t1": {"not": True, "rules": [{"field": "Weighting", "value": "T1"}]},
            "t2": {
                "rules": [{"field": "EchoTime", "operator": "between", "value": [80, 120.5]}],
                "prefer": [{"field": "SeriesNumber", "nearest": "t1"}],
            },
        },
        "priority": 1,
        "preparation": {"alignment": "rigid", "missing_slices": 2},
        "late": "hold",
        "superseded": "withdraw",
        "label_language": "de",
    }
    rule = a_rule(
        then=[
            {"synthesise": synthesis},
            {"route": {"series": series, "destinations": ["pacs", "archive"], "priority": 3}},
            {"hold": {"reason": "Look first."}},
        ]
    )
    assert version(rule_of(pairs_of(rule), CATALOGUE)) == version(rule)
    ignoring = a_rule(then=[{"ignore": {"reason": "A phantom."}}])
    assert version(rule_of(pairs_of(ignoring), CATALOGUE)) == version(ignoring)


def test_the_order_of_the_inputs_is_kept() -> None:
    inputs = {name: {"rules": [{"field": "Weighting", "value": "T1"}]} for name in ("t2", "t1", "a")}
    read = rule_of(pairs_of(a_rule(then={**a_rule()["then"], "inputs": inputs})), CATALOGUE)
    assert list(read["then"][0]["synthesise"]["inputs"]) == ["t2", "t1", "a"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("field", "operator", "texts", "value"),
    [
        ("EchoTime", ">=", ["10"], 10),
        ("EchoTime", ">=", ["1e2"], 100.0),
        ("EchoTime", ">=", ["ten"], "ten"),
        ("EchoTime", ">=", ["nan"], "nan"),
        ("EchoTime", "between", ["1", "2.5"], [1, 2.5]),
        ("Weighting", "in", ["T1", "", "T2", ""], ["T1", "T2"]),
        ("SeriesDescription", "=", ["007"], "007"),
        ("AcquisitionDate", "withinDays", ["30"], 30),
        ("AcquisitionDate", ">", ["2026-03-01"], "2026-03-01"),
        ("EchoTime", "null", ["5"], None),
        ("EchoTime", "=", [""], None),
        ("Modalty", "=", ["5"], "5"),
    ],
)
def test_a_value_gets_the_type_of_its_fact(field: str, operator: str, texts: list[str], value: object) -> None:
    path = "when.rules[0]"
    pairs = [("when.combinator", "and"), (f"{path}.match.mode", "some"), (f"{path}.value.combinator", "and")]
    inner = f"{path}.value.rules[0]"
    pairs += [(f"{inner}.field", field), (f"{inner}.operator", operator), *((f"{inner}.value", one) for one in texts)]
    condition = rule_of(pairs, CATALOGUE)["when"]["rules"][0]["value"]["rules"][0]  # type: ignore[index]
    assert condition.get("value") == value
    assert type(condition.get("value")) is type(value)


def test_a_place_is_taken_apart() -> None:
    assert path_parts("then[0].synthesise.inputs.t1.rules[12].field") == (
        *("then", 0, "synthesise", "inputs", "t1", "rules", 12, "field"),
    )
    for wrong in ("", "[", "a..b", "a[x]", "a b", "a[99999]", ".".join("a" * 99)):
        assert path_parts(wrong) == ()


def problems_of(rule: dict[str, Any]) -> tuple[Any, ...]:
    pairs = pairs_of(rule)
    try:
        load(rule_of(pairs, CATALOGUE))
    except InvalidRule as error:
        return faults_of(error.reason.splitlines(), str(rule["name"]), 0, pairs)
    return ()


def test_a_typo_stands_at_its_field_with_what_was_meant() -> None:
    rule = a_rule(when={"rules": [of_series("some", {"field": "Weigthing", "value": "T1"})]})
    (fault,) = problems_of(rule)
    assert fault.path == "when.rules[0].value.rules[0].field"
    assert fault.suggestion == "Weighting"
    mended = press(rule, f"use:{fault.suggested_at}:{fault.suggestion}", {}).rule
    assert problems_of(mended) == ()


def test_a_wrong_value_of_a_closed_set_stands_at_the_value() -> None:
    rule = a_rule(
        when={"rules": [of_series("some", {"field": "Weighting", "operator": "in", "value": ["T1", "FLAIRE"]})]}
    )
    (fault,) = problems_of(rule)
    assert fault.path == "when.rules[0].value.rules[0].value"
    assert fault.suggestion == "FLAIR"
    mended = press(rule, f"use:{fault.suggested_at}:{fault.suggestion}", {}).rule
    condition = mended["when"]["rules"][0]["value"]["rules"][0]  # type: ignore[index]
    assert condition["value"] == ["T1", "FLAIR"]


def test_what_is_empty_says_what_to_do() -> None:
    faults = {fault.path: fault.text for fault in problems_of(new_rule())}
    assert "lower case letters" in faults["name"]
    assert "one sentence" in faults["description"]
    assert "Choose a model" in faults["then[0].synthesise.model"]
    blank = press(new_rule(), "add-condition:when", {}).rule
    assert "name of a fact" in {fault.path: fault.text for fault in problems_of(blank)}["when.rules[1].field"]


def test_choosing_a_model_asks_for_its_inputs_as_its_card_does() -> None:
    chosen = new_rule()
    chosen["then"] = [{"synthesise": {"model": "mr-flair", "inputs": {}, "target": "", "destinations": []}}]
    asked = press(chosen, "refresh", ROLES).rule["then"][0]["synthesise"]  # type: ignore[index]
    assert list(asked["inputs"]) == ["t1", "t2"]
    assert asked["target"] == "t2"
    assert {"field": "ContrastEnhanced", "value": "NO"} in asked["inputs"]["t1"]["rules"]
    assert {"field": "Weighting", "operator": "in", "value": ["T2", "PD"]} in asked["inputs"]["t2"]["rules"]
    assert {"field": "NumberOfInstances", "operator": ">=", "value": 10} in asked["inputs"]["t1"]["rules"]


def test_another_model_takes_away_the_inputs_of_the_one_before_unless_somebody_worked_on_them() -> None:
    roles = {**ROLES, "identity": {"source": InputRole(weighting=())}}
    chosen = new_rule()
    chosen["then"] = [{"synthesise": {"model": "identity", "inputs": {}, "target": "", "destinations": []}}]
    first: Any = press(chosen, "refresh", roles).rule
    first["then"][0]["synthesise"]["model"] = "mr-flair"
    second: Any = press(first, "refresh", roles).rule
    assert list(second["then"][0]["synthesise"]["inputs"]) == ["t1", "t2"]
    second["then"][0]["synthesise"]["inputs"]["t1"]["prefer"] = []
    second["then"][0]["synthesise"]["model"] = "identity"
    third: Any = press(second, "refresh", roles).rule
    assert list(third["then"][0]["synthesise"]["inputs"]) == ["t1", "source"]
    view = view_of(third, CATALOGUE, roles, ())
    assert [(role.name, role.is_known) for role in view.actions[0].roles] == [("t1", False), ("source", True)]


def test_the_keyboard_goes_on_where_the_change_was_made() -> None:
    rule = a_rule(when={"rules": [of_series("some", {"field": "Weighting", "value": "T1"}) for _ in range(3)]})
    assert press(rule, "add-condition:when", {}).focus == "when.rules[3].field"
    assert press(rule, "add-series:when", {}).focus == "when.rules[3].match.mode"
    assert press(rule, "down:when.rules[0]", {}).focus == "down:when.rules[1]"
    assert press(rule, "up:when.rules[0]", {}).focus == "up:when.rules[0]"
    assert press(rule, "remove:when.rules[2]", {}).focus == "remove:when.rules[1]"
    assert press(rule, "remove:when.rules[0].value.rules[0]", {}).focus == "add-condition:when.rules[0].value"
    assert press(rule, "add-action::hold", {}).focus == "then[1].hold.reason"


@pytest.mark.parametrize("fact", [*CATALOGUE.study.values(), *CATALOGUE.series.values()], ids=lambda fact: fact.name)
def test_every_operator_of_a_fact_has_a_field_for_its_value(fact: Any) -> None:
    scope = "study" if fact.name in CATALOGUE.study else "series"
    condition = {"field": fact.name}
    rule = a_rule(when={"rules": [condition if scope == "study" else of_series("some", condition)]})
    view = view_of(rule, CATALOGUE, {}, ())
    row: Any = view.when.rows[0] if scope == "study" else view.when.rows[0].group.rows[0]  # type: ignore[union-attr]
    assert row.operators
    for option in row.operators:
        condition["operator"] = option.value
        again = view_of(rule, CATALOGUE, {}, ())
        shown: Any = again.when.rows[0] if scope == "study" else again.when.rows[0].group.rows[0]  # type: ignore[union-attr]
        assert (shown.widget == "none") is (option.value in (Operator.NULL, Operator.NOT_NULL))
        assert option.text != option.value or option.text == "contains"
