"""What rules said of a stored study, in the words of the page that tries them, and which draft was replayed."""

from collections.abc import Mapping
from dataclasses import dataclass

from dicomnode.domain.rule import Decision, Explanation
from dicomnode.domain.rule_book import Draft
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.web.rule_words import action_in_words
from dicomnode.web.words import Tone


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one rule said."""

    decision: Decision
    outcome: str
    tone: Tone
    missed: tuple[str, ...]
    """What does not hold, where the rule does not fire."""
    does: tuple[str, ...]
    labels: Mapping[str, str]

    def label(self, uid: str) -> str:
        """Name a series by its number and description."""
        return self.labels.get(uid, uid)


class Replayed:
    """Remembers which draft somebody has looked at by what-if, for a warning before it is published.

    It forgets when the process ends: then the warning is shown once more, which does no harm.
    """

    def __init__(self) -> None:
        self._number = 0

    def note(self, draft: Draft) -> None:
        """Remember that this draft was replayed as it is now."""
        self._number = draft.number

    def knows(self, draft: Draft) -> bool:
        """Whether this draft was replayed as it is now."""
        return self._number == draft.number


def outcome_of(decision: Decision | None) -> str:
    """Say in a few words what a rule decided."""
    if decision is None:
        return "not asked"
    if decision.problem:
        return "needs operator"
    shadow = " in shadow" if decision.shadow else ""
    return f"fires{shadow}" if decision.fired else "does not fire"


def verdict_of(decision: Decision, labels: Mapping[str, str]) -> Verdict:
    """Put a decision in words; `labels` names the series of the study."""
    return Verdict(
        decision=decision,
        outcome=outcome_of(decision),
        tone=Tone.BAD if decision.problem else Tone.GOOD if decision.fired else Tone.QUIET,
        missed=() if decision.fired else tuple(_missed(decision.explanation)),
        does=tuple(action_in_words(action) for action in decision.actions),
        labels=labels,
    )


def read_study_uids(text: str) -> tuple[StudyInstanceUID, ...]:
    """Read the UIDs that somebody pasted, one a line or with spaces or commas between; raises InvalidValue."""
    return tuple(StudyInstanceUID(one) for one in text.replace(",", " ").split())


def _missed(explanation: Explanation) -> list[str]:
    """List the top-most conditions that did not hold."""
    against = [child for child in explanation.children if not child.holds]
    return [child.text for child in against] or [explanation.text]
