"""What is true of every rule set and every study."""

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.rule import Action, Decision, RouteAction
from dicomnode.domain.study import StudyFacts
from dicomnode.rules.actions import Routing, Synthesis
from dicomnode.rules.decide import decide
from dicomnode.rules.replay import StudyAsDecided, replay
from dicomnode.rules.rule import Rule
from dicomnode.rules.ruleset import RuleSet, load_rule_set
from tests.rules.catalogue import CATALOGUE, NOW, TODAY
from tests.rules.plain import explain, holds
from tests.rules.strategies import PATIENT, documents, studies


def _ordered(facts: StudyFacts) -> StudyFacts:
    """The study with its series by number, those without one last."""

    def place(one: Any) -> tuple[bool, float, str]:
        number = one.values.get("SeriesNumber")
        is_number = isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e309
        return not is_number, number if is_number else 0, one.series_instance_uid

    return replace(facts, series=tuple(sorted(facts.series, key=place)))


def _fires_alone(rule: Rule, facts: StudyFacts) -> bool:
    """Whether a rule's own conditions hold, inside its window."""
    is_open = rule.window is None or rule.window.contains(NOW)
    return rule.when is not None and is_open and holds(rule.when, facts, TODAY)


def _decide(rules: RuleSet, facts: StudyFacts, *, explain: bool = True) -> tuple[Decision, ...]:
    return decide(rules, facts, {}, at=NOW, explain=explain)


@PATIENT
@given(document=documents(), facts=studies())
def test_any_rules_decide_on_any_facts_as_their_conditions_plainly_mean(
    document: dict[str, Any], facts: StudyFacts
) -> None:
    rules, ordered = load_rule_set(document, CATALOGUE), _ordered(facts)
    asked = [rule for rule in rules.rules if rule.enabled]
    decisions = _decide(rules, facts)
    assert [(one.rule, one.shadow) for one in decisions] == [(rule.name, rule.shadow) for rule in asked]
    for rule, decision in zip(asked, decisions, strict=True):
        assert decision.fired is decision.explanation.holds
        if rule.when is None:
            continue
        assert decision.fired is _fires_alone(rule, ordered)
        conditions = decision.explanation if rule.window is None else decision.explanation.children[1]
        assert conditions == explain(rule.when, ordered, TODAY)


@PATIENT
@given(document=documents(), facts=studies())
def test_a_rule_that_fired_does_all_that_it_asks_for_or_says_what_it_cannot(
    document: dict[str, Any], facts: StudyFacts
) -> None:
    rules = load_rule_set(document, CATALOGUE)
    asked = {rule.name: rule for rule in rules.rules}
    for decision in _decide(rules, facts):
        rule = asked[decision.rule]
        if not decision.fired:
            assert (decision.actions, decision.bindings, decision.problem) == ((), (), None)
            continue
        assert (len(decision.actions) < len(rule.consequences)) is (decision.problem is not None)
        syntheses = {one.model: one for one in rule.consequences if isinstance(one, Synthesis)}
        for action in decision.actions:
            if isinstance(action, Action):
                _check_bound(syntheses[action.model], action, facts)
            elif isinstance(action, RouteAction):
                (routing,) = (one for one in rule.consequences if isinstance(one, Routing))
                fitting = [one.series_instance_uid for one in facts.series if holds(routing.series, one, TODAY)]
                assert sorted(action.series) == sorted(fitting) != []


def _check_bound(asked: Synthesis, action: Action, facts: StudyFacts) -> None:
    """Each role has a series of its own that fits it, and every other one that fits is said to have lost."""
    bound = {one.role: one.series_instance_uid for one in action.bindings}
    assert set(bound) == set(asked.inputs)
    assert len(set(bound.values())) == len(bound)
    for binding in action.bindings:
        fitting = [one for one in facts.series if holds(asked.inputs[binding.role], one, TODAY)]
        assert binding.series_instance_uid in [one.series_instance_uid for one in fitting]
        assert len(binding.lost) >= len(fitting) - 1
        assert binding.why


@PATIENT
@given(document=documents(most=3), facts=studies())
def test_a_fallback_fires_exactly_when_nothing_else_matched(document: dict[str, Any], facts: StudyFacts) -> None:
    rules = load_rule_set(document, CATALOGUE)
    fired = {one.rule for one in _decide(rules, facts) if one.fired}
    live = [rule for rule in rules.rules if rule.enabled and not rule.shadow and not rule.fallback]
    nothing_else = not any(_fires_alone(rule, facts) for rule in live)
    for fallback in (rule for rule in rules.rules if rule.fallback):
        assert (fallback.name in fired) is nothing_else


@PATIENT
@given(document=documents(), facts=studies(), random=st.randoms(use_true_random=False))
def test_the_order_of_the_series_decides_nothing(document: dict[str, Any], facts: StudyFacts, random: Random) -> None:
    rules = load_rule_set(document, CATALOGUE)
    shuffled = list(facts.series)
    random.shuffle(shuffled)
    assert _decide(rules, replace(facts, series=shuffled)) == _decide(rules, facts)


@PATIENT
@given(document=documents(most=3), facts=studies(), random=st.randoms(use_true_random=False))
def test_the_order_of_the_rules_changes_no_decision(
    document: dict[str, Any], facts: StudyFacts, random: Random
) -> None:
    shuffled = list(document["rules"])
    random.shuffle(shuffled)
    before = _decide(load_rule_set(document, CATALOGUE), facts, explain=False)
    after = _decide(load_rule_set({"rules": shuffled}, CATALOGUE), facts, explain=False)
    assert {one.rule: replace(one, rule_set_version="") for one in before} == {
        one.rule: replace(one, rule_set_version="") for one in after
    }


@PATIENT
@given(document=documents(), facts=studies())
def test_without_explanations_the_same_is_decided(document: dict[str, Any], facts: StudyFacts) -> None:
    rules = load_rule_set(document, CATALOGUE)
    for told, silent in zip(_decide(rules, facts), _decide(rules, facts, explain=False), strict=True):
        assert (told.rule, told.fired, told.problem, told.shadow) == (
            *(silent.rule, silent.fired, silent.problem, silent.shadow),
        )
        series = [(one.role, one.series_instance_uid) for one in told.bindings]
        assert series == [(one.role, one.series_instance_uid) for one in silent.bindings]
        assert len(told.actions) == len(silent.actions)


@PATIENT
@given(document=documents(), facts=st.lists(studies(), min_size=2, max_size=4))
def test_what_is_remembered_of_other_studies_changes_nothing(document: dict[str, Any], facts: list[StudyFacts]) -> None:
    rules = load_rule_set(document, CATALOGUE)
    for study in (*facts, *facts):
        assert _decide(rules, study) == _decide(load_rule_set(document, CATALOGUE), study)


@PATIENT
@given(before=documents(), after=documents(), facts=st.lists(studies(), max_size=2))
def test_a_replay_tells_exactly_the_decisions_that_change(
    before: dict[str, Any], after: dict[str, Any], facts: list[StudyFacts]
) -> None:
    old, new = load_rule_set(before, CATALOGUE), load_rule_set(after, CATALOGUE)
    told = [
        (one.study_instance_uid, one.rule) for one in replay(old, new, (StudyAsDecided(facts=f, at=NOW) for f in facts))
    ]
    differing = []
    for study in facts:
        was = {one.rule: _effect(one) for one in _decide(old, study) if one.fired}
        will = {one.rule: _effect(one) for one in _decide(new, study) if one.fired}
        names = sorted(was.keys() | will.keys())
        differing += [(study.study_instance_uid, name) for name in names if was.get(name) != will.get(name)]
    assert sorted(told) == sorted(differing)
    assert not list(replay(old, old, (StudyAsDecided(facts=f, at=NOW) for f in facts)))


def _effect(decision: Decision) -> object:
    """What a decision leads to, without the words."""
    actions = [
        replace(one, bindings=tuple(replace(bound, why="", lost=()) for bound in one.bindings))
        if isinstance(one, Action)
        else one
        for one in decision.actions
    ]
    return decision.shadow, actions, decision.problem
