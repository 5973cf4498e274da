"""What rules may ask for, and when they are asked: what is read, what is refused, and with which words."""

from typing import Any

import pytest

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.rule import HoldAction, IgnoreAction, RouteAction
from dicomnode.rules.actions import Holding, Ignoring, Routing, Synthesis
from dicomnode.rules.decide import decide
from dicomnode.rules.links import broken_links
from dicomnode.rules.rule import Rule
from tests.rules.catalogue import NOW, a_rule, a_series_of_facts, a_study_of_facts, load

SYNTHESIS = a_rule()["then"]
OF_T1 = {"rules": [{"field": "Weighting", "value": "T1"}]}
ROUTE = {"series": OF_T1, "destinations": ["planning"]}
HOLD = {"reason": "the protocol is new"}
T1, T2 = a_series_of_facts(1, "T1"), a_series_of_facts(2, "T2")


def _one(**parts: Any) -> Rule:
    return load(a_rule(**parts)).rules[0]


def _fallback(name: str = "else", **parts: Any) -> dict[str, Any]:
    return {key: value for key, value in a_rule(name, fallback=True, **parts).items() if key != "when"}


def test_several_actions_are_read_in_their_order() -> None:
    rule = _one(then=[{"hold": HOLD}, {"synthesise": SYNTHESIS}, {"route": ROUTE}])
    assert [type(one) for one in rule.consequences] == [Holding, Synthesis, Routing]
    assert rule.destinations == {"pacs", "planning"}
    assert [type(one) for one in _one(then=[{"ignore": HOLD}]).consequences] == [Ignoring]


def test_one_action_has_several_forms_and_one_version() -> None:
    forms = [load(a_rule(then=then)) for then in (SYNTHESIS, [{"synthesise": SYNTHESIS}], {"synthesise": SYNTHESIS})]
    assert forms[0] == forms[1] == forms[2]
    assert len({rules.version for rules in forms}) == 1
    assert load(a_rule(then={"hold": HOLD})) == load(a_rule(then=[{"hold": HOLD}]))


def test_keys_that_say_the_default_leave_the_version_as_it_was() -> None:
    written_out = {**SYNTHESIS, "label_language": "en", "late": "rerun", "superseded": "retain"}
    assert load(a_rule(then=written_out, shadow=False, fallback=False)).version == load(a_rule()).version
    changed: list[dict[str, Any]] = [
        {"then": {**SYNTHESIS, "late": "hold"}},
        {"then": {**SYNTHESIS, "superseded": "withdraw"}},
        {"then": {**SYNTHESIS, "label_language": "fr"}},
        {"shadow": True},
        {"window": {"days": ["mon"]}},
        {"then": [{"synthesise": SYNTHESIS}, {"hold": HOLD}]},
    ]
    assert len({load(a_rule(**parts)).version for parts in changed} | {load(a_rule()).version}) == len(changed) + 1


def test_the_order_of_the_roles_counts_in_every_form() -> None:
    roles = {"t1": OF_T1, "t2": {"rules": [{"field": "Weighting", "value": "T2"}]}}
    turned = dict(reversed(roles.items()))
    versions = {
        load(a_rule(then=[{"hold": HOLD}, {"synthesise": {**SYNTHESIS, "inputs": inputs}}])).version
        for inputs in (roles, turned)
    }
    assert len(versions) == 2


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"then": []}, "then: must not be empty"),
        ({"then": [SYNTHESIS]}, "then[0]: must have exactly one of the keys synthesise, route, hold, ignore"),
        ({"then": [{"sythesise": SYNTHESIS}]}, "hold, ignore, did you mean 'synthesise'?"),
        ({"then": [{"hold": HOLD, "route": ROUTE}]}, "then[0]: must have exactly one of the keys"),
        ({"then": [{"hold": None}]}, "then[0].hold: must be a mapping (key: value)"),
        ({"then": ["hold"]}, "then[0]: must be a mapping (key: value)"),
        ({"then": "hold"}, "then: must be a mapping (key: value) for one synthesis, or a list of actions"),
        ({"then": [{"hold": {}}]}, "then[0].hold.reason: is missing"),
        ({"then": [{"hold": {"reason": " "}}]}, "then[0].hold.reason: must be a sentence on one line"),
        ({"then": [{"ignore": {"reson": "x"}}]}, "unknown key 'reson', did you mean 'reason'?"),
        ({"then": [{"ignore": HOLD}, {"hold": HOLD}]}, "then: to ignore a study means to do nothing else"),
        ({"then": [{"synthesise": SYNTHESIS}] * 2}, "then: asks for the model a-model twice; write a second rule"),
        ({"then": [{"route": {**ROUTE, "destinations": []}}]}, "then[0].route.destinations: must not be empty"),
        ({"then": [{"route": {"destinations": ["pacs"]}}]}, "then[0].route.series: is missing"),
        (
            {"then": [{"route": {**ROUTE, "priority": 11}}]},
            "then[0].route.priority: should be less than or equal to 10",
        ),
        (
            {"then": [{"route": {**ROUTE, "series": {"rules": [{"field": "Weightin", "value": "T1"}]}}}]},
            "then[0].route.series.rules[0].field: unknown fact 'Weightin', did you mean 'Weighting'?",
        ),
        ({"then": [{"synthesise": {**SYNTHESIS, "late": "never"}}]}, "synthesise.late: must be 'rerun' or 'hold'"),
        (
            {"then": {**SYNTHESIS, "superseded": "retian"}},
            "then.superseded: must be 'withdraw' or 'retain', did you mean",
        ),
        ({"then": {**SYNTHESIS, "label_language": "english"}}, "then.label_language: must be 'en', 'de' or 'fr'"),
        ({"then": {**SYNTHESIS, "superceded": "retain"}}, "unknown key 'superceded', did you mean 'superseded'?"),
        ({"shadow": "yes"}, "shadow: must be true or false"),
        ({"fallback": True}, "when: a fallback has no conditions: it fires whenever no other rule did"),
        ({"when": None}, "when: is missing; a rule without conditions is a fallback (fallback: true)"),
        ({"window": {}}, "window: must say on which days, or from when to when"),
        ({"window": {"days": []}}, "window.days: must not be empty"),
        ({"window": {"days": ["monday"]}}, "window.days[0]: must be 'mon', 'tue'"),
        ({"window": {"from": "07:00"}}, "window: has both from and to, or neither"),
        ({"window": {"from": "07:00", "to": "07:00"}}, "window.to: must differ from the time it begins"),
        ({"window": {"from": "7:00", "to": "19:00"}}, 'window.from: must be a time of day such as "07:00", in quotes'),
        ({"window": {"from": "07:00", "to": 1140}}, "window.to: must be a time of day"),
        ({"window": {"from": "07:60", "to": "24:01"}}, "window.to: must be a time of day"),
        ({"window": {"day": ["mon"]}}, "window.day: unknown key 'day', did you mean 'days'?"),
    ],
)
def test_a_mistake_is_refused_with_its_place(parts: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        load(a_rule(**parts))
    lines = str(refused.value).splitlines()
    assert any(problem in line for line in lines), lines
    assert all(line.startswith("rule 'a-rule', ") for line in lines)


def test_a_fallback_has_neither_conditions_nor_window_and_there_is_one() -> None:
    assert load(a_rule(), _fallback()).rules[1].when is None
    with pytest.raises(InvalidRule, match="window: a fallback has no window"):
        load(_fallback(window={"days": ["mon"]}))
    with pytest.raises(InvalidRule, match="fallback: rule 'else' is the fallback already; disable one"):
        load(_fallback(), _fallback("else-2"))
    assert len(load(_fallback(), _fallback("b", enabled=False), _fallback("c", shadow=True)).rules) == 3


def test_the_roles_of_one_synthesis_are_not_those_of_another() -> None:
    without_inputs = {"model": "b-model", "target": "t2", "destinations": []}
    with pytest.raises(InvalidRule) as refused:
        load(a_rule(then=[{"synthesise": SYNTHESIS}, {"synthesise": without_inputs}]))
    assert str(refused.value) == "rule 'a-rule', then[1].synthesise.inputs: is missing"


def test_what_fires_says_what_is_to_be_done() -> None:
    rules = load(
        a_rule("all", then=[{"hold": HOLD}, {"synthesise": SYNTHESIS}, {"route": {**ROUTE, "priority": 1}}]),
        a_rule("nothing", then=[{"ignore": {"reason": "a phantom"}}], shadow=True),
    )
    everything, nothing = decide(rules, a_study_of_facts(T1, T2), {})
    hold, action, route = everything.actions
    assert hold == HoldAction(reason="the protocol is new")
    assert action == everything.action
    assert route == RouteAction(destinations=("planning",), series=(T1.series_instance_uid,), priority=1)
    assert (everything.shadow, nothing.shadow) == (False, True)
    assert nothing.actions == (IgnoreAction(reason="a phantom"),)


def test_a_synthesis_that_cannot_be_bound_stops_no_other_action() -> None:
    (decision,) = decide(load(a_rule(then=[{"synthesise": SYNTHESIS}, {"hold": HOLD}])), a_study_of_facts(T2), {})
    assert decision.actions == (HoldAction(reason="the protocol is new"),)
    assert decision.problem is not None
    assert decision.problem.startswith("No series fits role t1; nearest is")


def test_a_fallback_says_why_it_fires_or_not() -> None:
    spare = a_rule("spare", shadow=True)
    rules = load(a_rule("first"), spare, _fallback())
    *_, fallback = decide(rules, a_study_of_facts(T1), {})
    assert (fallback.fired, fallback.explanation.text) == (False, "a fallback, and other rules fired: first")
    *_, fallback = decide(load(spare, _fallback()), a_study_of_facts(T1), {})
    assert (fallback.fired, fallback.explanation.text) == (True, "no other rule fired")


@pytest.mark.parametrize(
    ("window", "inside", "words"),
    [
        ({"days": ["sun"]}, True, "sun"),
        ({"days": ["sat", "mon", "tue", "wed", "thu"]}, False, "mon to thu, sat"),
        ({"days": ["sun", "sat"]}, True, "sat, sun"),
        ({"from": "10:30", "to": "10:31"}, True, "10:30 to 10:31"),
        ({"from": "10:00", "to": "10:30"}, False, "10:00 to 10:30"),
        ({"from": "00:00", "to": "24:00"}, True, "any day"),
        ({"from": "19:00", "to": "11:00", "days": ["sat"]}, True, "sat, 19:00 to 11:00"),
        ({"from": "19:00", "to": "11:00", "days": ["sun"]}, False, "sun, 19:00 to 11:00"),
        ({"from": "09:00", "to": "07:00", "days": ["sun"]}, True, "sun, 09:00 to 07:00"),
    ],
)
def test_outside_of_its_window_a_rule_does_not_fire(window: dict[str, Any], inside: bool, words: str) -> None:
    rules = load(a_rule(window=window))
    (decision,) = decide(rules, a_study_of_facts(T1), {}, at=NOW)
    assert decision.fired is inside
    first, conditions = decision.explanation.children
    assert (first.holds, first.text) == (inside, f"it is sun 10:30; asked whether it is {words}")
    assert conditions.holds
    assert decision.explanation.text == f"{1 + inside} of 2 hold, all have to"


def test_a_rule_with_a_window_needs_to_know_the_time() -> None:
    with pytest.raises(InvalidRule, match="rule a-rule has a window of time, and no time was handed in"):
        decide(load(a_rule(window={"days": ["mon"]})), a_study_of_facts(T1), {})


MODELS = {"a-model": ("t1",), "mr-flair": ("t1", "t2")}


@pytest.mark.parametrize(
    ("then", "broken"),
    [
        (SYNTHESIS, ()),
        (
            {**SYNTHESIS, "model": "mr-flare"},
            ("then: no model 'mr-flare' is installed, did you mean 'mr-flair'? installed are: a-model, mr-flair",),
        ),
        (
            {**SYNTHESIS, "model": "mr-flair"},
            ("then: the model mr-flair also needs the role t2; add to `inputs` which series can be it",),
        ),
        (
            {**SYNTHESIS, "inputs": {"t1": OF_T1, "t11": OF_T1}},
            ("then: the model a-model has no role 't11', did you mean 't1'? its roles are: t1",),
        ),
        (
            [{"hold": HOLD}, {"route": {**ROUTE, "destinations": ["pcas", "pacs"]}}],
            ("then[1].route: no destination 'pcas' is configured, did you mean 'pacs'? configured are: archive, pacs",),
        ),
        (
            [{"synthesise": {**SYNTHESIS, "destinations": ["x"]}}, {"ignore": HOLD}][:1],
            ("then: no destination 'x' is configured; configured are: archive, pacs",),
        ),
    ],
)
def test_what_a_rule_leans_on_and_is_not_there_is_told_with_what_to_do(then: Any, broken: tuple[str, ...]) -> None:
    rules = load(a_rule(then=then))
    assert broken_links(rules, MODELS, ("pacs", "archive")) == tuple(f"rule 'a-rule', {one}" for one in broken)


def test_rules_that_are_disabled_are_looked_at_too() -> None:
    assert broken_links(load(a_rule(enabled=False)), {}, ()) == (
        "rule 'a-rule', then: no model 'a-model' is installed; installed are: none",
        "rule 'a-rule', then: no destination 'pacs' is configured; configured are: none",
    )
