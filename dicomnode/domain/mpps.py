"""Modality Performed Procedure Steps: what a modality says it does and has made (PS3.4 Annex F)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from dicomnode.domain.archive import DicomJson
from dicomnode.domain.association import Association
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252), in its defined terms."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"

    @property
    def is_final(self) -> bool:
        """Whether a step in this state may no longer be changed (PS3.4 section F.7.2.2.2)."""
        return self is not StepState.IN_PROGRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformedSeries:
    """One series that the modality says it made: its images and other composite instances."""

    series_instance_uid: SeriesInstanceUID
    sop_instance_uids: tuple[SOPInstanceUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformedStep:
    """A step as it stands; `attributes` is all that was said of it."""

    sop_instance_uid: SOPInstanceUID
    state: StepState
    study_instance_uids: tuple[StudyInstanceUID, ...]
    series: tuple[PerformedSeries, ...]
    attributes: DicomJson
    association: Association
    """The association that began it."""

    @property
    def instances(self) -> int:
        """How many instances the modality says it made."""
        return sum(len(series.sop_instance_uids) for series in self.series)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepChange:
    """What an N-SET says anew; None where it says nothing."""

    sop_instance_uid: SOPInstanceUID
    state: StepState | None
    series: tuple[PerformedSeries, ...] | None
    attributes: DicomJson


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A step as the ledger holds it."""

    step: PerformedStep
    begun_at: datetime
    changed_at: datetime


class PerformedSteps(Protocol):
    """Where a listener hands over what modalities say of their steps."""

    def begin(self, step: PerformedStep) -> None:
        """Record a new step; raises DuplicateStep or LedgerUnavailable."""
        ...

    def change(self, change: StepChange) -> None:
        """Change a step in progress; raises NotInLedger, StepIsFinal or LedgerUnavailable."""
        ...
