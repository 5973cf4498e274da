import pytest

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.rules.actions import Synthesis
from dicomnode.rules.decide import decide
from dicomnode.rules.ruleset import RuleSet
from tests.rules.catalogue import TODAY, a_rule, a_series_of_facts, a_study_of_facts, load, of_series


def _synthesis(rules: RuleSet) -> Synthesis:
    (asked,) = rules.rules[0].consequences
    assert isinstance(asked, Synthesis)
    return asked


T1, T2 = a_series_of_facts(1, "T1"), a_series_of_facts(2, "T2")


def test_a_rule_that_fires_binds_its_inputs_and_asks_for_its_action() -> None:
    rules = load(a_rule())
    (decision,) = decide(rules, a_study_of_facts(T1, T2), {})
    assert decision.fired
    assert decision.rule == "a-rule"
    assert decision.rule_set_version == rules.version
    assert decision.action == _synthesis(rules).action(decision.bindings)
    assert [one.series_instance_uid for one in decision.bindings] == [T1.series_instance_uid]
    assert decision.problem is None


def test_a_rule_that_does_not_fire_says_why_and_asks_for_nothing() -> None:
    (decision,) = decide(load(a_rule()), a_study_of_facts(T1, Modalities=("CT",)), {})
    assert not decision.fired
    assert decision.explanation.text == "Modalities is CT; asked whether it contains MR"
    assert (decision.action, decision.bindings, decision.problem) == (None, (), None)


def test_a_role_that_stays_empty_is_a_problem_for_a_person_and_never_no_match() -> None:
    (decision,) = decide(load(a_rule()), a_study_of_facts(T2), {})
    assert decision.fired
    assert decision.problem is not None
    assert decision.problem.startswith("No series fits role t1; nearest is “2 t2 tra”: Weighting is T2")
    assert (decision.action, decision.bindings) == (None, ())


def test_every_enabled_rule_answers_in_the_order_of_the_set() -> None:
    rules = load(
        a_rule("b"),
        a_rule("off", enabled=False),
        a_rule("a", when={"rules": [of_series("none", {"field": "Modality", "value": "MR"})]}),
    )
    decisions = decide(rules, a_study_of_facts(T1), {})
    assert [(one.rule, one.fired) for one in decisions] == [("b", True), ("a", False)]


def test_excluded_series_are_kept_from_the_rules_and_named() -> None:
    flair = a_series_of_facts(9, "FLAIR")
    no_flair = of_series("none", {"field": "Weighting", "value": "FLAIR"})
    rules = load(a_rule(when={"rules": [no_flair]}))
    facts = a_study_of_facts(T1, T2, flair)
    assert not decide(rules, facts, {})[0].fired
    (decision,) = decide(rules, facts, {flair.series_instance_uid: "made here"})
    assert decision.fired
    assert decision.excluded == ("“9 flair tra”: made here",)
    assert "0 of 2 match" in decision.explanation.text


def test_an_excluded_series_plays_no_role() -> None:
    (decision,) = decide(load(a_rule()), a_study_of_facts(T1), {T1.series_instance_uid: "made here"})
    assert decision.fired
    assert decision.problem == "No series fits role t1: there is no series to look at."


def test_a_reason_for_a_series_that_is_not_there_is_left_out() -> None:
    (decision,) = decide(load(a_rule()), a_study_of_facts(T1), {SeriesInstanceUID("1.9"): "made here"})
    assert decision.excluded == ()


def test_a_rule_relative_to_the_day_needs_one() -> None:
    rules = load(a_rule(when={"rules": [{"field": "StudyDate", "operator": "withinDays", "value": 30}]}))
    with pytest.raises(InvalidRule, match="StudyDate withinDays"):
        decide(rules, a_study_of_facts(T1), {})
    assert decide(rules, a_study_of_facts(T1), {}, TODAY)[0].fired
