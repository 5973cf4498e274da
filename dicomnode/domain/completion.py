"""Completion: what tells that a study is all here, what tells that it is not, and how long it is worth waiting.

Nothing in the standard says when a study is complete: a release ends an association, not a study (PS3.8), and what a
modality made is only known where its performed procedure step reaches the node (PS3.4 section F.7.2.2.2).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from dicomnode.domain.uids import StudyInstanceUID


class EvidenceKind(StrEnum):
    """What can tell that a study is complete."""

    ASKED = "asked by a person"
    PERFORMED = "performed procedure step"
    """Modality Performed Procedure Steps were completed, and all instances they list are here."""
    COMMITMENT = "storage commitment"
    """One request for storage commitment names every instance that is here."""
    ARCHIVE = "counted at an archive"
    COUNTED = "counted in headers"
    RELEASED = "association released"
    QUIET = "quiet"
    WAITED = "waited long enough"


class MissingKind(StrEnum):
    """What can tell that something is still to come."""

    STEP = "performed procedure step"
    """A step is in progress, or lists what is not here: the only word that outweighs a completed step."""
    COMMITMENT = "storage commitment"
    COUNTED = "counted in headers"
    ARCHIVE = "counted at an archive"
    UNREAD = "headers"
    """Nobody has looked yet whether the headers tell of more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One thing that tells that a study is complete, in words for its timeline."""

    kind: EvidenceKind
    text: str
    since: datetime | None = None
    """Since when it holds; a wait that it shortens begins then, if the last instance is older."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One thing that tells that something is missing, as a clause for the timeline and for whoever waits."""

    kind: MissingKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSigns:
    """What matters of one series: when its last instance came, and whether its headers say that it is whole."""

    last_received_at: datetime
    is_counted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySigns:
    """All that was found out about a study with news; `judge` knows nothing else of it."""

    last_received_at: datetime
    series: tuple[SeriesSigns, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionPolicy:
    """How long is waited after the last instance, by what is known."""

    study_quiet: timedelta
    """Without any other evidence."""
    series_quiet: timedelta = timedelta(0)
    """Without any other evidence, for each series that no header counts; shorter than `study_quiet`: no condition."""
    after_release: timedelta = timedelta(seconds=5)
    """After the last association that sent the study was released."""
    after_counts: timedelta = timedelta(seconds=5)
    """When the headers of every series say that it is whole."""
    settled: timedelta = timedelta(seconds=0.3)
    """With proof: an instance that came in the meantime belongs to it."""
    missing: timedelta = timedelta(seconds=600)
    """At the longest, while something tells that something is missing."""
    archive: str | None = None
    """The destination that is asked how many instances it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionPolicies:
    """The policy of this node, and those of single senders."""

    default: CompletionPolicy
    by_ae: Mapping[str, CompletionPolicy] = field(default_factory=dict)

    def of(self, calling_ae: Iterable[str]) -> CompletionPolicy:
        """Give the policy for a study that came from these titles: of several, the longest wait each time."""
        policies = [self.by_ae.get(title, self.default) for title in sorted(set(calling_ae))]
        if not policies:
            return self.default
        return CompletionPolicy(
            study_quiet=max(one.study_quiet for one in policies),
            series_quiet=max(one.series_quiet for one in policies),
            after_release=max(one.after_release for one in policies),
            after_counts=max(one.after_counts for one in policies),
            settled=max(one.settled for one in policies),
            missing=max(one.missing for one in policies),
            archive=next((one.archive for one in policies if one.archive is not None), None),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """The next revision may begin, because of this evidence, the weightiest first."""

    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The study is not complete yet: what is waited for, and when the wait ends if nothing changes."""

    until: datetime
    why: tuple[str, ...]


class InstanceCounter(Protocol):
    """An archive that can be asked how much it has."""

    def count_instances(self, study_instance_uid: StudyInstanceUID) -> int:
        """Tell how many instances of a study it has, 0 where it has none; raises DeliveryError."""
        ...


_PROOF = frozenset({EvidenceKind.PERFORMED, EvidenceKind.COMMITMENT, EvidenceKind.ARCHIVE})
_WEIGHT = {kind: place for place, kind in enumerate(EvidenceKind)}


def judge(signs: StudySigns, policy: CompletionPolicy, now: datetime) -> Complete | Waiting:
    """Say whether a study is complete; where nothing changes, it is at `Waiting.until`, and stays it."""
    if any(one.kind is EvidenceKind.ASKED for one in signs.evidence):
        return Complete(evidence=_held(signs, policy, now))
    ways = [(_moment(one, signs, policy), one) for one in (*signs.evidence, _quiet(policy))]
    until, reason = min(ways, key=lambda way: (way[0], _WEIGHT[way[1].kind]))
    if now >= until:
        return Complete(evidence=_held(signs, policy, now))
    return Waiting(until=until, why=_waited_for(signs, reason, policy))


def _moment(one: Evidence, signs: StudySigns, policy: CompletionPolicy) -> datetime:
    """Say when a study is complete by one piece of evidence."""
    moment = _unhindered(one, signs, policy)
    if _hindrances(one.kind, signs):
        moment = max(moment, signs.last_received_at + policy.missing)
    return moment


def _unhindered(one: Evidence, signs: StudySigns, policy: CompletionPolicy) -> datetime:
    """Say when it would be if nothing were missing."""
    last = signs.last_received_at
    if one.kind in _PROOF:
        return max(last + policy.settled, one.since or last)
    if one.kind is EvidenceKind.RELEASED:
        return max(last, one.since or last) + policy.after_release
    if one.kind is EvidenceKind.COUNTED:
        return last + policy.after_counts
    uncounted = (series for series in signs.series if not series.is_counted)
    return max([last + policy.study_quiet, *(series.last_received_at + policy.series_quiet for series in uncounted)])


def _hindrances(kind: EvidenceKind, signs: StudySigns) -> tuple[Missing, ...]:
    """Give what speaks against evidence of a kind: a list of names weighs more than any count."""
    if kind is EvidenceKind.PERFORMED:
        return tuple(one for one in signs.missing if one.kind is MissingKind.STEP)
    return signs.missing


def _quiet(policy: CompletionPolicy) -> Evidence:
    return Evidence(kind=EvidenceKind.QUIET, text=f"nothing received for {policy.study_quiet.total_seconds():g} s")


def _held(signs: StudySigns, policy: CompletionPolicy, now: datetime) -> tuple[Evidence, ...]:
    """List all that holds now, the weightiest first, and what is missing all the same."""
    known = (*signs.evidence, _quiet(policy))
    held = [one for one in known if one.kind is EvidenceKind.ASKED or now >= _unhindered(one, signs, policy)]
    held.sort(key=lambda one: _WEIGHT[one.kind])
    if any(one.kind in (EvidenceKind.ASKED, EvidenceKind.PERFORMED) for one in held):
        # Headers that nobody has looked at are no finding.
        gaps = "; ".join(one.text for one in signs.missing if one.kind is not MissingKind.UNREAD)
        return (*held, Evidence(kind=EvidenceKind.WAITED, text=f"although {gaps}")) if gaps else tuple(held)
    gaps = "; ".join(one.text for one in signs.missing)
    waited = f"waited {policy.missing.total_seconds():g} s; {gaps}"
    return (Evidence(kind=EvidenceKind.WAITED, text=waited), *held) if gaps else tuple(held)


def _waited_for(signs: StudySigns, reason: Evidence, policy: CompletionPolicy) -> tuple[str, ...]:
    """Say what is waited for, in words for the study's page."""
    hindrances = _hindrances(reason.kind, signs)
    if hindrances:
        return tuple(one.text for one in hindrances)
    if reason.kind is EvidenceKind.QUIET:
        return (f"complete when {reason.text}",)
    seconds = {EvidenceKind.RELEASED: policy.after_release, EvidenceKind.COUNTED: policy.after_counts}
    wait = seconds.get(reason.kind, policy.settled).total_seconds()
    return (f"{reason.text}; complete when nothing more comes for {wait:g} s",)
