"""The JSON forms of studies, destinations, models and quarantine."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from dicomnode.domain.model_card import ModelCard
from dicomnode.journey.destinations import DestinationState
from dicomnode.ledger.model_work import ModelWork
from dicomnode.ledger.quarantine import Quarantined
from dicomnode.ledger.studies import DerivationRecord
from dicomnode.ledger.study_list import StudyListing, StudyState
from dicomnode.ledger.timeline import Event
from dicomnode.web.peer_documents import EchoDocument
from dicomnode.web.shelf import InstalledModel

_Filter = Annotated[str, Field(max_length=200)]


class StudyFilters(BaseModel):
    """Which studies are asked for, in the words of the page's address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    search: _Filter = Field(default="", description="Accession number, name or patient ID in part, or any UID.")
    state: _Filter = Field(default="", description="One of the states that studies have.")
    source: _Filter = Field(default="", description="Calling AE title.")
    destination: _Filter = ""
    modality: _Filter = ""
    model: _Filter = ""
    day: _Filter = Field(default="", description="The last instance came on this day: 2026-03-01.")
    sort: _Filter = Field(default="", description="received, patient, accession, date or instances; with - downwards.")
    limit: int = Field(default=100, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class StudyDocument(BaseModel):
    """One study of the list."""

    study_instance_uid: str
    patient_name: str | None = Field(description="null for whoever may not see names.")
    patient_id: str | None = Field(description="null for whoever may not see names.")
    accession_number: str
    study_date: str
    description: str
    instances: int
    state: StudyState
    source: str = Field(description="Calling AE title that its first instance came from.")
    modalities: tuple[str, ...]
    models: tuple[str, ...]
    destinations: tuple[str, ...]
    first_received_at: datetime
    last_received_at: datetime

    @classmethod
    def of(cls, listing: StudyListing, *, with_names: bool) -> Self:
        """Write a row of the list."""
        return cls(
            study_instance_uid=listing.study_instance_uid,
            patient_name=listing.patient_name if with_names else None,
            patient_id=listing.patient_id if with_names else None,
            accession_number=listing.accession_number,
            study_date=listing.study_date,
            description=listing.description,
            instances=listing.instances,
            state=listing.state,
            source=listing.source,
            modalities=listing.modalities,
            models=listing.models,
            destinations=listing.destinations,
            first_received_at=listing.first_received_at,
            last_received_at=listing.last_received_at,
        )


class StudiesDocument(BaseModel):
    """Some studies, and how many there are under these filters."""

    total: int
    studies: tuple[StudyDocument, ...]


class DerivationDocument(BaseModel):
    """One piece of synthesis work of a study."""

    key: str
    revision: int
    rule: str
    model: str
    version: str
    weights_digest: str
    state: str
    error: str
    reason: str
    inputs: dict[str, str] = Field(description="Series Instance UIDs by role.")
    series_instance_uid: str | None
    deliveries: dict[str, dict[str, int]] = Field(description="Instances by destination and state.")
    decided_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, record: DerivationRecord) -> Self:
        """Write a record."""
        return cls(
            key=record.key,
            revision=record.revision,
            rule=record.rule,
            model=record.model_name,
            version=record.model_version,
            weights_digest=record.weights_digest,
            state=record.state,
            error=record.error,
            reason=record.reason,
            inputs=record.inputs,
            series_instance_uid=record.series_instance_uid,
            deliveries=record.deliveries,
            decided_at=record.decided_at,
            started_at=record.started_at,
            finished_at=record.finished_at,
        )


class EventDocument(BaseModel):
    """One line of a study's timeline."""

    at: datetime
    step: str
    state: str
    text: str
    seconds: float | None

    @classmethod
    def of(cls, event: Event) -> Self:
        """Write a line."""
        return cls(at=event.at, step=event.step, state=event.state, text=event.text, seconds=event.seconds)


class WholeStudyDocument(StudyDocument):
    """One study with what was made of it and its timeline."""

    derivations: tuple[DerivationDocument, ...] = ()
    events: tuple[EventDocument, ...] = ()


class ReasonDocument(BaseModel):
    """Why somebody does something."""

    reason: str = Field(min_length=1, max_length=200)


class DestinationDocument(BaseModel):
    """One destination and how deliveries to it stand."""

    name: str
    ae_title: str
    host: str
    port: int
    dicomweb_url: str | None
    is_under_tls: bool
    waiting: int = Field(description="Instances.")
    oldest_waiting_at: datetime | None
    failed: int
    last_success_at: datetime | None
    paused_at: datetime | None
    paused_by: str | None
    pause_reason: str | None
    echo: EchoDocument | None

    @classmethod
    def of(cls, state: DestinationState) -> Self:
        """Write a state."""
        place, tally, pause = state.endpoint, state.tally, state.pause
        return cls(
            name=place.name,
            ae_title=place.ae_title,
            host=place.host,
            port=place.port,
            dicomweb_url=place.dicomweb_url,
            is_under_tls=place.tls is not None,
            waiting=tally.waiting,
            oldest_waiting_at=tally.oldest_waiting_at,
            failed=tally.failed,
            last_success_at=tally.last_success_at,
            paused_at=pause.at if pause else None,
            paused_by=pause.by if pause else None,
            pause_reason=pause.reason if pause else None,
            echo=EchoDocument.of(state.echo) if state.echo else None,
        )


class ModelDocument(BaseModel):
    """One installed model: its card, which one exactly it is, and what it has done here."""

    card: ModelCard
    weights_digest: str
    missing: tuple[str, ...] = Field(description="What this host lacks to run it; empty: it can run.")
    rules: tuple[str, ...] = Field(description="Rules in force that ask for it.")
    derivations: dict[str, int] = Field(description="By state.")
    half_seconds: float | None = Field(description="p50 of the last thousand derivations that made a series.")
    most_seconds: float | None = Field(description="p95 of them.")

    @classmethod
    def of(cls, model: InstalledModel, work: ModelWork, rules: tuple[str, ...]) -> Self:
        """Write a model."""
        return cls(
            card=model.card,
            weights_digest=model.identity.weights_digest,
            missing=model.missing,
            rules=rules,
            derivations=work.states,
            half_seconds=work.half_seconds,
            most_seconds=work.most_seconds,
        )


class QuarantinedDocument(BaseModel):
    """One entry of the quarantine."""

    id: int
    at: datetime
    size: int
    calling_ae: str
    peer_address: str
    sop_instance_uid: str
    reason: str

    @classmethod
    def of(cls, entry: Quarantined) -> Self:
        """Write an entry."""
        return cls(
            id=entry.id,
            at=entry.at,
            size=entry.size,
            calling_ae=entry.calling_ae,
            peer_address=entry.peer_address,
            sop_instance_uid=entry.sop_instance_uid,
            reason=entry.reason,
        )
