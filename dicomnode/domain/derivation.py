"""One piece of synthesis work: which instances, by which rule, with which model."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID

NODE_MANUFACTURER = "dicomnode"
"""Manufacturer (0008,0070) of everything this node makes; with Contributing Equipment it marks its own outputs."""


class DerivationState(StrEnum):
    """Where a derivation stands; the words an operator reads."""

    HELD = "held"
    """A rule wants a person to release it before it is made."""
    WAITING = "waiting"
    RUNNING = "running"
    DERIVED = "derived"
    """The derived series lies in the spool and its deliveries are queued."""
    REFUSED = "refused"
    """Outside the contract or stopped by a gate: there will be no image, and the reason says why."""
    FAILED = "failed"
    """Something broke; a person can retry."""
    SUPERSEDED = "superseded"
    """A later revision of the study made a newer series."""
    REMOVED = "removed"
    """It had ended; retention then removed its study's images from this node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which model exactly: name, version and the SHA-256 of its weights."""

    name: str
    version: str
    weights_digest: str

    @property
    def digest(self) -> str:
        """Short name of this identity inside a derivation key."""
        return hashlib.sha256(f"{self.name}\0{self.version}\0{self.weights_digest}".encode()).hexdigest()[:16]


class Alignment(StrEnum):
    """How inputs are brought onto the target's grid."""

    HEADER = "header"
    """By their patient coordinates; registered only where the Frame of Reference differs."""
    RIGID = "rigid"
    """Always by a rigid registration."""


class LabelLanguage(StrEnum):
    """In which language the label of a derived series says what it is (ISO 639-1)."""

    ENGLISH = "en"
    GERMAN = "de"
    FRENCH = "fr"


class SupersedePolicy(StrEnum):
    """What becomes of the series of an earlier revision when a newer one was made."""

    RETAIN = "retain"
    """It stays where it is and is marked as superseded."""
    WITHDRAW = "withdraw"
    """This node no longer sends or lists it; where it was sent before, a person is told to remove it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What a rule allows to be done to inputs before a model sees them; anything beyond is refused."""

    alignment: Alignment = Alignment.HEADER
    missing_slices: int = 0
    """How many slices missing inside a series are interpolated for the model; none of them is ever written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivationInput:
    """The instances that play one role, in the order of their UIDs."""

    role: str
    series_instance_uid: SeriesInstanceUID
    sop_instance_uids: tuple[SOPInstanceUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """A derivation as the ledger holds it; `key` is the same for the same work, however often it is asked for."""

    key: str
    study_instance_uid: StudyInstanceUID
    revision: int
    rule: str
    model: ModelIdentity
    target_role: str
    inputs: tuple[DerivationInput, ...]
    destinations: tuple[str, ...]
    priority: int
    decided_at: datetime
    preparation: Preparation = field(default_factory=Preparation)
    state: DerivationState = DerivationState.WAITING
    reason: str = ""
    shadow: bool = False
    """Whether its rule is on trial: it goes nowhere."""
    label_language: LabelLanguage = LabelLanguage.ENGLISH
    superseded: SupersedePolicy = SupersedePolicy.RETAIN
    """What becomes of the series that it replaces."""

    def input_for(self, role: str) -> DerivationInput:
        """Find the input of a role; raises KeyError when the derivation has none of that name."""
        return {bound.role: bound for bound in self.inputs}[role]


def content_digest(inputs: Iterable[DerivationInput]) -> str:
    """Name the content that goes in: the same instances in the same roles give the same digest.

    Instances count by SOP Instance UID, not by bytes: peers may re-encode a data set on the way, and the node keeps
    the first content of a UID in use.
    """
    lines = [f"{bound.role}\0{uid}" for bound in inputs for uid in bound.sop_instance_uids]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:32]


def derivation_key(
    inputs: Iterable[DerivationInput],
    rule: str,
    model: ModelIdentity,
    target_role: str,
    preparation: Preparation = Preparation(),
    *more: str,
) -> str:
    """Build `derive:{content}:{rule}:{model}`, the unique key that keeps the same work from being done twice.

    `more` is whatever else makes it other work: another language of the label, or a trial.
    """
    asked = "\0".join((rule, target_role, preparation.alignment, str(preparation.missing_slices), *more))
    rule_digest = hashlib.sha256(asked.encode()).hexdigest()[:12]
    return f"derive:{content_digest(inputs)}:{rule_digest}:{model.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedInstance:
    """One instance the node made, durably in the spool."""

    sop_instance_uid: SOPInstanceUID
    series_instance_uid: SeriesInstanceUID
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    size: int
    path: str
    instance_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivationReport:
    """What the derive step found and did, for the timeline: durations in seconds, checks with their verdicts."""

    durations: Mapping[str, float]
    alignment: Mapping[str, Mapping[str, float | str]]
    labels: Mapping[str, str]
    checks: Mapping[str, str]
    series_description: str
