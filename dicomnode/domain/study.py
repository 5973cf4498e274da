"""Studies, series and instances as the node knows them, and the facts a rule may see of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from dicomnode.domain.association import Association
from dicomnode.domain.facts import Confidence
from dicomnode.domain.uids import (
    SeriesInstanceUID,
    SOPClassUID,
    SOPInstanceUID,
    StudyInstanceUID,
    TransferSyntaxUID,
)

FactValue = str | float | int | bool | date | tuple[str, ...] | tuple[float, ...] | None
"""One fact: text, number, date, a list of them, or None where the attribute is absent or empty."""


class Origin(StrEnum):
    """How an instance came into the spool."""

    RECEIVED = "received"
    DERIVED = "derived"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceHeader:
    """The few attributes that place an instance, read from the front of its data set."""

    study_instance_uid: StudyInstanceUID
    series_instance_uid: SeriesInstanceUID
    sop_instance_uid: SOPInstanceUID
    sop_class_uid: SOPClassUID
    modality: str = ""
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_description: str = ""
    series_description: str = ""
    series_number: int | None = None
    instance_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedInstance:
    """An instance that lies durably in the spool: digest of its file, size in bytes, spool path, sender, time."""

    header: InstanceHeader
    transfer_syntax_uid: TransferSyntaxUID
    digest: str
    size: int
    path: str
    association: Association
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """One instance of a study as the ledger lists it; `path` is relative to the spool."""

    study_instance_uid: StudyInstanceUID
    series_instance_uid: SeriesInstanceUID
    sop_instance_uid: SOPInstanceUID
    sop_class_uid: SOPClassUID
    transfer_syntax_uid: TransferSyntaxUID
    origin: Origin
    digest: str
    path: str
    size: int
    instance_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRevision:
    """A study at the moment it was taken to be complete: how many instances, and by which evidence."""

    study_instance_uid: StudyInstanceUID
    number: int
    instances: int
    evidence: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """That instances of a series came in over associations of one peer, the first and the last of them when."""

    series_instance_uid: SeriesInstanceUID
    association: Association
    first_received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySource:
    """Where a study came from and when, in the time zone whose hours the rules mean."""

    arrivals: tuple[Arrival, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """All that a rule may see of one series: keyword -> value, and the evidence of what was derived."""

    series_instance_uid: SeriesInstanceUID
    values: Mapping[str, FactValue]
    evidence: Mapping[str, str] = field(default_factory=dict)
    """For derived facts such as Weighting: what the value was concluded from."""
    confidence: Mapping[str, Confidence] = field(default_factory=dict)
    """For derived facts: how far the value may be trusted."""

    @property
    def label(self) -> str:
        """How an operator recognises the series: number and description."""
        number, description = self.values.get("SeriesNumber"), self.values.get("SeriesDescription")
        return f"{number if number is not None else '?'} {description or '(no description)'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """All that a rule may see of one study."""

    study_instance_uid: StudyInstanceUID
    values: Mapping[str, FactValue]
    series: Sequence[SeriesFacts]
