"""What each rule says about a study; pure, so that any decision can be replayed."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from dicomnode.domain.rule import Decision
from dicomnode.domain.study import StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.rules.bind import bind
from dicomnode.rules.explain import explain, named
from dicomnode.rules.rule import Rule
from dicomnode.rules.ruleset import RuleSet


def decide(
    rules: RuleSet, facts: StudyFacts, excluded: Mapping[SeriesInstanceUID, str], today: date | None = None
) -> tuple[Decision, ...]:
    """Ask every enabled rule about a study; `excluded` series (UID -> reason) are kept from all of them.

    A rule whose conditions hold but whose roles stay empty has fired, with a problem and without an action. `today` is
    the day of the decision; raises InvalidRule when a rule needs it and it is not given.
    """
    version = rules.version
    seen = replace(facts, series=tuple(one for one in facts.series if one.series_instance_uid not in excluded))
    kept_out = _in_words(facts, excluded)
    decisions = []
    for rule in (one for one in rules.rules if one.enabled):
        explanation = explain(rule.when, seen, today)
        asked = Decision(
            rule=rule.name,
            rule_set_version=version,
            fired=explanation.holds,
            explanation=explanation,
            excluded=kept_out,
        )
        decisions.append(_act(rule, asked, seen, today) if asked.fired else asked)
    return tuple(decisions)


def _act(rule: Rule, decision: Decision, facts: StudyFacts, today: date | None) -> Decision:
    """Add to the decision of a rule that fired what it asks for, or why its inputs cannot be bound."""
    bound = bind(rule.then.inputs, tuple(facts.series), today)
    if bound.problems:
        return replace(decision, problem=" ".join(bound.problems))
    return replace(decision, action=rule.then.action(), bindings=bound.bindings)


def _in_words(facts: StudyFacts, excluded: Mapping[SeriesInstanceUID, str]) -> tuple[str, ...]:
    """Name the series that were kept out, each with its reason."""
    return tuple(
        f"{named(one)}: {excluded[one.series_instance_uid]}"
        for one in facts.series
        if one.series_instance_uid in excluded
    )
