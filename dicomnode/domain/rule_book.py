"""The rules as a person keeps them: a draft, immutable versions, which was in force when, what a change would do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dicomnode.domain.rule import Decision
from dicomnode.domain.uids import StudyInstanceUID


class PublicationKind(StrEnum):
    """How a version came into force."""

    IMPORTED = "imported"
    """From the settings' file, at the first start of a node."""
    PUBLISHED = "published"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One time that a version of the rules came into force; the one with the highest number is in force."""

    number: int
    version: str
    kind: PublicationKind
    at: datetime
    by: str
    reason: str
    approved_by: str | None = None
    """The second person, where the site asks for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The rules as they are being edited; it may be wrong still, and then says so."""

    document: Mapping[str, object]
    """In the form of the YAML file: {"rules": [...]}."""
    number: int
    """Counts the changes, so that two people do not overwrite each other."""
    base: str
    """The version that it began as."""
    changed_at: datetime
    changed_by: str
    editors: Sequence[str] = ()
    """Everybody who changed it since it was begun: none of them can be the second person."""
    proposed_by: str | None = None
    """Who asks for its publication, where the site wants a second person to do it."""
    proposal: str = ""
    """The reason that goes with the proposal."""


class Change(StrEnum):
    """What becomes of a rule between two documents."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleChange:
    """One rule that differs between two documents, with both forms as YAML for a person to compare."""

    rule: str
    change: Change
    before: str = ""
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDecision:
    """One study that a draft would treat otherwise: for one rule, what was decided and what would be."""

    study_instance_uid: StudyInstanceUID
    rule: str
    before: Decision | None
    """None where the rule is new, or was disabled."""
    after: Decision | None
    """None where the rule is gone, or is disabled."""

    @property
    def in_words(self) -> str:
        """Say in a few words what changes."""
        before, after = _outcome(self.before), _outcome(self.after)
        return f"{before} → {after}{' otherwise' if before == after else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What a draft would have decided otherwise than the rules in force, over stored studies."""

    studies: int
    """How many were replayed."""
    skipped: Sequence[StudyInstanceUID]
    """Studies whose facts are not kept or cannot be read."""
    changes: Sequence[ChangedDecision]
    seconds: float


def _outcome(decision: Decision | None) -> str:
    if decision is None:
        return "not asked"
    if decision.problem:
        return "needs operator"
    fires = "fires in shadow" if decision.shadow else "fires"
    return fires if decision.fired else "does not fire"
