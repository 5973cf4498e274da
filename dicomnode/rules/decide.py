"""What each rule says about a study; pure, so that any decision can be replayed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.rule import Decision, Explanation, RoleBinding, RouteAction, RuleAction
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.rules.actions import Holding, Ignoring, Routing, Synthesis
from dicomnode.rules.bind import bind, nearest_miss
from dicomnode.rules.compiled import CompiledRule, Joined
from dicomnode.rules.explain import named
from dicomnode.rules.ruleset import RuleSet
from dicomnode.rules.sight import Sight, places
from dicomnode.rules.values import is_number

_NOT_TOLD = (Explanation(holds=False, text=""), Explanation(holds=True, text=""))
"""What stands in a decision that nobody wants explained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """What is asked about: the study, the instant, and whether reasons are wanted."""

    sight: Sight
    at: datetime | None
    explain: bool
    excluded: tuple[str, ...]


def decide(
    rules: RuleSet,
    facts: StudyFacts,
    excluded: Mapping[SeriesInstanceUID, str],
    today: date | None = None,
    *,
    at: datetime | None = None,
    explain: bool = True,
) -> tuple[Decision, ...]:
    """Ask every enabled rule about a study; `excluded` series (UID -> reason) are kept from all of them.

    `at` is the instant of the decision in the site's own time, and `today` its day. Neither the order of the series
    nor that of other rules changes what a rule says, but a fallback fires exactly when no other rule that is not on
    trial did. A rule whose conditions hold but whose roles stay empty has fired, with a problem. Without `explain` the
    decisions have no explanations, and bindings no reasons. Raises InvalidRule when a rule needs a day or an instant
    that is not given.
    """
    compiled, day = rules.compiled, today or (at.date() if at is not None else None)
    if compiled.relative is not None and day is None:
        raise InvalidRule(f"{compiled.relative} withinDays is relative to a day, and none was handed in")
    seen = [one for one in facts.series if one.series_instance_uid not in excluded] if excluded else facts.series
    question = _Question(
        sight=Sight(compiled.size, facts, sorted(seen, key=_place), day),
        at=at,
        explain=explain,
        excluded=_in_words(facts, excluded),
    )
    fired = [_fires(rule, question) for rule in compiled.rules]
    others = tuple(
        one.rule.name for one, fires in zip(compiled.rules, fired, strict=True) if fires and not one.rule.shadow
    )
    return tuple(
        _decision(rule, rules.version, question, others, fires=fires or (rule.rule.fallback and not others))
        for rule, fires in zip(compiled.rules, fired, strict=True)
    )


def _fires(one: CompiledRule, question: _Question) -> bool:
    """Say whether a rule fires by its own conditions, inside its window; a fallback has none."""
    if one.when is None or not _is_open(one, question):
        return False
    return bool(one.when.answer(question.sight))


def _is_open(one: CompiledRule, question: _Question) -> bool:
    window = one.rule.window
    if window is None:
        return True
    if question.at is None:
        raise InvalidRule(f"rule {one.rule.name} has a window of time, and no time was handed in")
    return window.contains(question.at)


def _decision(
    one: CompiledRule, version: str, question: _Question, others: tuple[str, ...], *, fires: bool
) -> Decision:
    """Write what a rule says; `others` are those that fired before any fallback."""
    if not fires and not question.explain and not question.excluded:
        return one.silence(version)
    asked = Decision(
        rule=one.rule.name,
        rule_set_version=version,
        fired=fires,
        explanation=_explain(one, question, others) if question.explain else _NOT_TOLD[fires],
        excluded=question.excluded,
        shadow=one.rule.shadow,
    )
    return _act(one, asked, question) if fires else asked


def _explain(one: CompiledRule, question: _Question, others: tuple[str, ...]) -> Explanation:
    """Tell why a rule fires or not."""
    if one.when is None:
        said = "no other rule fired" if not others else f"a fallback, and other rules fired: {', '.join(others)}"
        return Explanation(holds=not others, text=said)
    conditions = question.sight.explain(one.when)
    if one.rule.window is None or question.at is None:
        return conditions
    window = one.rule.window.explain(question.at)
    both = window.holds + conditions.holds
    return Explanation(holds=both == 2, text=f"{both} of 2 hold, all have to", children=(window, conditions))


def _act(one: CompiledRule, decision: Decision, question: _Question) -> Decision:
    """Add to the decision of a rule that fired what it asks for, or why its inputs cannot be bound."""
    actions: list[RuleAction] = []
    bindings: list[RoleBinding] = []
    problems: list[str] = []
    for place, asked in enumerate(one.rule.consequences):
        if isinstance(asked, Synthesis):
            bound = bind(one.roles[place], question.sight, explain=question.explain)
            problems += bound.problems
            if not bound.problems:
                bindings += bound.bindings
                actions.append(asked.action(bound.bindings))
        elif isinstance(asked, Routing):
            routed = _route(asked, one.routed[place], question.sight)
            problems += [] if isinstance(routed, RouteAction) else [routed]
            actions += [routed] if isinstance(routed, RouteAction) else []
        elif isinstance(asked, Holding | Ignoring):
            actions.append(asked.action())
    return replace(
        decision, actions=tuple(actions), bindings=tuple(bindings), problem=" ".join(problems) if problems else None
    )


def _route(asked: Routing, group: Joined, sight: Sight) -> RouteAction | str:
    """Find the series to route, or say why there is none."""
    found = places(group.answer(sight))
    if not found:
        return f"No series fits what is to be routed{nearest_miss(group, sight)}."
    series = tuple(sight.series[place].series_instance_uid for place in found)
    return RouteAction(destinations=asked.destinations, series=series, priority=asked.priority)


def _place(series: SeriesFacts) -> tuple[bool, float, str]:
    """Order series by number and UID: in whatever order they came, the decision reads the same."""
    number = series.values.get("SeriesNumber")
    if isinstance(number, int | float) and is_number(number):
        return False, number, series.series_instance_uid
    return True, 0, series.series_instance_uid


def _in_words(facts: StudyFacts, excluded: Mapping[SeriesInstanceUID, str]) -> tuple[str, ...]:
    """Name the series that were kept out, each with its reason."""
    return tuple(
        f"{named(one)}: {excluded[one.series_instance_uid]}"
        for one in sorted(facts.series, key=_place)
        if one.series_instance_uid in excluded
    )
