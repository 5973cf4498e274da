from typing import Any

import pytest
from pydantic import ValidationError

from dicomnode.domain.derivation import Alignment, LabelLanguage, Preparation, SupersedePolicy
from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.rule import Action, LatePolicy
from dicomnode.rules.actions import Synthesis
from dicomnode.rules.operators import Operator
from tests.rules.catalogue import a_rule, load

T1 = {"rules": [{"field": "Weighting", "value": "T1"}]}


def _then(**parts: Any) -> dict[str, Any]:
    return a_rule(then={**a_rule()["then"], **parts})


def _synthesis(document: dict[str, Any]) -> Synthesis:
    (asked,) = load(document).rules[0].consequences
    assert isinstance(asked, Synthesis)
    return asked


def _preferring(**preference: Any) -> dict[str, Any]:
    return _then(inputs={"t1": {**T1, "prefer": [preference]}})


def test_what_is_left_out_has_a_default() -> None:
    rule = load(a_rule()).rules[0]
    assert rule.enabled
    assert (rule.shadow, rule.fallback, rule.window) == (False, False, None)
    synthesis = _synthesis(a_rule())
    assert synthesis.priority == 10
    assert synthesis.inputs["t1"].prefer == ()
    assert synthesis.action() == Action(model="a-model", target_role="t1", destinations=("pacs",))


def test_a_consequence_becomes_an_action_of_the_domain() -> None:
    asked = _then(
        priority=1,
        destinations=[],
        preparation={"alignment": "rigid", "missing_slices": 2},
        label_language="de",
        late="hold",
        superseded="withdraw",
    )
    action = _synthesis(asked).action()
    assert action.label_language is LabelLanguage.GERMAN
    assert (action.late, action.superseded) == (LatePolicy.HOLD, SupersedePolicy.WITHDRAW)
    assert (action.model, action.target_role, action.destinations, action.priority) == ("a-model", "t1", (), 1)
    assert action.preparation == Preparation(alignment=Alignment.RIGID, missing_slices=2)


def test_a_preference_knows_how_its_value_is_looked_for() -> None:
    documents = (_preferring(field="ImageType", value="NORM"), _preferring(field="Modality", value="MR"))
    in_list, equal = (_synthesis(document).inputs["t1"].prefer[0] for document in documents)
    assert in_list.operator is Operator.CONTAINS
    assert equal.operator is Operator.EQUAL
    assert in_list.fact.name == "ImageType"


def test_roles_keep_their_order_and_cannot_be_changed() -> None:
    document = _then(inputs={"t2": T1, "pd": T1, "t1": T1})
    inputs = _synthesis(document).inputs
    assert list(inputs) == ["t2", "pd", "t1"]
    with pytest.raises(TypeError):
        inputs["t3"] = inputs["t1"]  # type: ignore[index]
    with pytest.raises(ValidationError, match="frozen"):
        load(document).rules[0].enabled = False  # type: ignore[misc]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (a_rule(name="A Rule"), "rule 'A Rule', name: must be lower case letters, digits and hyphens"),
        (a_rule(name="line\nbreak"), "name: must be lower case letters"),
        (a_rule(name=""), "rule number 1, name: must be"),
        ({**a_rule(), "name": None}, "rule number 1, name: must be text"),
        (a_rule(description=" "), "description: must be a sentence on one line"),
        (a_rule(description="two\nlines"), "description: must be a sentence on one line"),
        (a_rule(enabled="no"), "enabled: must be true or false"),
        (a_rule(wen=1), "wen: unknown key 'wen', did you mean 'when'?"),
        (a_rule(when={"rules": []}), "when.rules: must not be empty"),
        (a_rule(when=[]), "when: must be a mapping (key: value)"),
        (a_rule(then=None), "then: must be a mapping (key: value)"),
        (_then(model="A Model"), "then.model: must be lower case letters"),
        (_then(target="t2"), "then.target: 't2' is no role of this rule; its roles are t1"),
        (_then(inputs={}), "then.inputs: must not be empty"),
        (_then(inputs=[]), "then.inputs: must not be empty"),
        (_then(inputs=[T1]), "then.inputs: must be a mapping (key: value)"),
        (_then(inputs={"t 1": T1}), "then.inputs.t 1: must be a letter followed by"),
        (_then(inputs={"t1": {"rules": []}}), "then.inputs.t1.rules: must not be empty"),
        (_then(inputs={"t1": {"prefer": []}}), "then.inputs.t1.rules: is missing"),
        (_then(inputs={"t1": {"rules": [{"field": "Modalities"}]}}), "'Modalities' is a fact of the study"),
        (_then(destinations=["pacs", "pacs"]), "then.destinations: names a destination twice"),
        (_then(destinations="pacs"), "then.destinations: must be a list"),
        (_then(destinations=["p a"]), "then.destinations[0]: must be a letter followed by"),
        (_then(priority=11), "then.priority: should be less than or equal to 10"),
        (_then(priority="1"), "then.priority: must be a whole number"),
        (_then(priority=True), "then.priority: must be a whole number"),
        (_then(preparation={"alignment": "elastic"}), "then.preparation.alignment: must be 'header' or 'rigid'"),
        (_then(preparation={"missing_slices": -1}), "then.preparation.missing_slices: should be greater"),
        (
            _preferring(field="EchoTim", order="lowest"),
            "prefer[0].field: unknown fact 'EchoTim', did you mean 'EchoTime'?",
        ),
        (_preferring(field="EchoTime", order="low"), "prefer[0].order: must be 'highest' or 'lowest', did you mean"),
        (_preferring(field="Modality", order="highest"), "prefer[0].order: Modality is a code, which has no order"),
        (
            _preferring(field="EchoTime"),
            "prefer[0].value: a preference has either an order (highest, lowest) or a value",
        ),
        (_preferring(field="EchoTime", order="lowest", value=3), "prefer[0].value: a preference has either"),
        (_preferring(field="Weighting", value="T7"), "prefer[0].value: Weighting is never 'T7'"),
        (_preferring(field="EchoTime", value="3"), "prefer[0].value: must be a number"),
    ],
)
def test_a_mistake_is_refused_with_its_place(rule: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        load(rule)
    lines = str(refused.value).splitlines()
    assert any(problem in line for line in lines), lines


def test_a_wrong_target_is_told_even_where_an_input_is_wrong_too() -> None:
    with pytest.raises(InvalidRule) as refused:
        load(_then(target="t3", inputs={"t1": {"rules": [{"field": "Weightin", "value": "T1"}]}}))
    assert str(refused.value).splitlines() == [
        "rule 'a-rule', then.inputs.t1.rules[0].field: unknown fact 'Weightin', did you mean 'Weighting'?",
        "rule 'a-rule', then.target: 't3' is no role of this rule; its roles are t1",
    ]


def test_the_conditions_of_an_input_are_limited_like_all_others() -> None:
    with pytest.raises(InvalidRule, match=r"then\.inputs\.t1: more than 200 conditions in one tree"):
        load(_then(inputs={"t1": {"rules": T1["rules"] * 201}}))
