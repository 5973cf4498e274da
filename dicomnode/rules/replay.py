"""What other rules would have decided: two rule sets over the same studies, and where they differ."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dicomnode.domain.rule import Decision
from dicomnode.domain.rule_book import ChangedDecision
from dicomnode.domain.study import StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.rules.decide import decide
from dicomnode.rules.ruleset import RuleSet


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAsDecided:
    """A study as the rules saw it: its facts, the series that were kept from them, and the instant in local time."""

    facts: StudyFacts
    at: datetime
    excluded: Mapping[SeriesInstanceUID, str] = field(default_factory=dict)


def replay(before: RuleSet, after: RuleSet, studies: Iterable[StudyAsDecided]) -> Iterator[ChangedDecision]:
    """Tell, study by study, each decision that `after` would make otherwise than `before`, both with their reasons.

    Decisions are the same when as much fires, the same is asked for of the same series, and the same stays open; the
    words of an explanation and the name of the version do not count. A rule that is new or gone is a change where it
    fires.
    """
    for study in studies:
        yield from _changes(before, after, study)


def _changes(before: RuleSet, after: RuleSet, study: StudyAsDecided) -> Iterator[ChangedDecision]:
    old, new = _outcomes(before, study), _outcomes(after, study)
    changed = [name for name in (*old, *(name for name in new if name not in old)) if old.get(name) != new.get(name)]
    if not changed:
        return
    said_before, said_after = _explained(before, study), _explained(after, study)
    for name in changed:
        yield ChangedDecision(
            study_instance_uid=study.facts.study_instance_uid,
            rule=name,
            before=said_before.get(name),
            after=said_after.get(name),
        )


def _outcomes(rules: RuleSet, study: StudyAsDecided) -> dict[str, object]:
    """Give what each rule does, without its words; a rule that does not fire does what one that is not there does."""
    decisions = decide(rules, study.facts, study.excluded, at=study.at, explain=False)
    return {one.rule: _outcome(one) for one in decisions if one.fired}


def _outcome(decision: Decision) -> object:
    return decision.shadow, decision.actions, decision.problem


def _explained(rules: RuleSet, study: StudyAsDecided) -> dict[str, Decision]:
    return {one.rule: one for one in decide(rules, study.facts, study.excluded, at=study.at)}
