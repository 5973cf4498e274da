"""What the pages, the command line and the steps read of studies, series and instances."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.domain.derivation import Preparation
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.rule import Explanation
from dicomnode.domain.study import Origin, StoredInstance, StudyRevision
from dicomnode.domain.uids import (
    SeriesInstanceUID,
    SOPClassUID,
    SOPInstanceUID,
    StudyInstanceUID,
    TransferSyntaxUID,
)
from dicomnode.ledger.derivations import preparation_of
from dicomnode.ledger.tables import (
    DecisionRow,
    DeliveryRow,
    DerivationRow,
    InstanceRow,
    RevisionRow,
    SeriesRow,
    StudyRow,
)
from dicomnode.ledger.transaction import Transaction

_UIDS_PER_QUERY = 500
"""Databases take only so many parameters in a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """One row of the list of studies."""

    study_instance_uid: StudyInstanceUID
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    description: str
    instances: int
    revision: int
    is_complete: bool
    first_received_at: datetime
    last_received_at: datetime
    derivation_states: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSummary:
    """One series of a study with the number of its instances in use."""

    series_instance_uid: SeriesInstanceUID
    modality: str
    series_number: int | None
    description: str
    origin: Origin
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """A stored decision, ready to be shown."""

    revision: int
    rule: str
    rule_set_version: str
    fired: bool
    problem: str | None
    explanation: Explanation
    bindings: tuple[dict[str, Any], ...]
    """Role, series, why, and what the other candidates lost by."""
    excluded: tuple[str, ...]
    derivation_key: str | None
    at: datetime
    shadow: bool = False
    actions: tuple[dict[str, Any], ...] = ()
    """What was asked for, each with its kind and the key of the work that follows from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivationRecord:
    """A stored derivation with its report and the state of its deliveries by destination."""

    key: str
    revision: int
    rule: str
    model_name: str
    model_version: str
    weights_digest: str
    target_role: str
    target_series_uid: str
    inputs: dict[str, str]
    preparation: Preparation
    state: str
    error: str
    reason: str
    round: int
    series_instance_uid: str | None
    report: dict[str, Any] | None
    decided_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deliveries: dict[str, dict[str, int]]
    shadow: bool = False
    """Whether its rule is on trial: it goes nowhere."""


def list_studies(tx: Transaction, *, search: str = "", limit: int = 100, offset: int = 0) -> tuple[StudySummary, ...]:
    """List studies, latest first; `search` finds accession number, patient ID, name or study UID."""
    query = sa.select(StudyRow).order_by(StudyRow.last_received_at.desc(), StudyRow.study_instance_uid)
    if search:
        query = query.where(
            sa.or_(
                StudyRow.accession_number.icontains(search, autoescape=True),
                StudyRow.patient_id.icontains(search, autoescape=True),
                StudyRow.patient_name.icontains(search, autoescape=True),
                StudyRow.study_instance_uid == search,
            )
        )
    rows = tx.session.execute(query.limit(limit).offset(offset)).scalars().all()
    return tuple(_summary(tx, row) for row in rows)


def find_study(tx: Transaction, study_instance_uid: str) -> StudySummary:
    """Read one study; raises NotInLedger."""
    row = tx.session.get(StudyRow, study_instance_uid)
    if row is None:
        raise NotInLedger("no study of this UID")
    return _summary(tx, row)


def _summary(tx: Transaction, row: StudyRow) -> StudySummary:
    states = tx.session.execute(
        sa.select(DerivationRow.state)
        .where(DerivationRow.study_instance_uid == row.study_instance_uid)
        .order_by(DerivationRow.decided_at)
    ).scalars()
    return StudySummary(
        study_instance_uid=StudyInstanceUID(row.study_instance_uid),
        patient_id=row.patient_id,
        patient_name=row.patient_name,
        accession_number=row.accession_number,
        study_date=row.study_date,
        description=row.description,
        instances=row.instances,
        revision=row.revision,
        is_complete=row.instances == row.complete_instances,
        first_received_at=row.first_received_at,
        last_received_at=row.last_received_at,
        derivation_states=tuple(states),
    )


def list_series(tx: Transaction, study_instance_uid: str) -> tuple[SeriesSummary, ...]:
    """List the series of a study by number, with their instance counts."""
    rows = tx.session.execute(
        sa.select(SeriesRow, sa.func.count(InstanceRow.id))
        .join(
            InstanceRow,
            sa.and_(InstanceRow.series_instance_uid == SeriesRow.series_instance_uid, InstanceRow.in_use),
        )
        .where(SeriesRow.study_instance_uid == study_instance_uid)
        .group_by(SeriesRow.series_instance_uid)
        .order_by(SeriesRow.series_number.nulls_last(), SeriesRow.series_instance_uid)
    ).all()
    return tuple(
        SeriesSummary(
            series_instance_uid=SeriesInstanceUID(series.series_instance_uid),
            modality=series.modality,
            series_number=series.series_number,
            description=series.description,
            origin=Origin(series.origin),
            instances=count,
        )
        for series, count in rows
    )


def list_instances(
    tx: Transaction, study_instance_uid: str, series_instance_uid: str | None = None
) -> tuple[StoredInstance, ...]:
    """List the instances in use of a study, or of one of its series, by instance number."""
    query = sa.select(InstanceRow).where(InstanceRow.study_instance_uid == study_instance_uid, InstanceRow.in_use)
    if series_instance_uid is not None:
        query = query.where(InstanceRow.series_instance_uid == series_instance_uid)
    ordered = query.order_by(
        InstanceRow.series_instance_uid, InstanceRow.instance_number.nulls_last(), InstanceRow.sop_instance_uid
    )
    return tuple(stored_instance(row) for row in tx.session.execute(ordered).scalars())


def find_instance(tx: Transaction, sop_instance_uid: str) -> StoredInstance:
    """Read the instance in use of a SOP Instance UID; raises NotInLedger."""
    row = tx.session.execute(
        sa.select(InstanceRow).where(InstanceRow.sop_instance_uid == sop_instance_uid, InstanceRow.in_use)
    ).scalar_one_or_none()
    if row is None:
        raise NotInLedger("no instance of this UID")
    return stored_instance(row)


def find_instances(
    tx: Transaction, sop_instance_uids: Sequence[SOPInstanceUID]
) -> dict[SOPInstanceUID, StoredInstance]:
    """Read the instances in use of these SOP Instance UIDs; those that the node does not hold are left out."""
    found: dict[SOPInstanceUID, StoredInstance] = {}
    for first in range(0, len(sop_instance_uids), _UIDS_PER_QUERY):
        some = sop_instance_uids[first : first + _UIDS_PER_QUERY]
        rows = tx.session.execute(
            sa.select(InstanceRow).where(InstanceRow.sop_instance_uid.in_(some), InstanceRow.in_use)
        ).scalars()
        found |= {one.sop_instance_uid: one for one in map(stored_instance, rows)}
    return found


def stored_instance(row: InstanceRow | sa.Row[*tuple[Any, ...]]) -> StoredInstance:
    """Read an instance's row, or a row of at least those columns, as the domain's value."""
    return StoredInstance(
        study_instance_uid=StudyInstanceUID(row.study_instance_uid),
        series_instance_uid=SeriesInstanceUID(row.series_instance_uid),
        sop_instance_uid=SOPInstanceUID(row.sop_instance_uid),
        sop_class_uid=SOPClassUID(row.sop_class_uid),
        transfer_syntax_uid=TransferSyntaxUID(row.transfer_syntax_uid),
        origin=Origin(row.origin),
        digest=row.digest,
        path=row.path,
        size=row.size,
        instance_number=row.instance_number,
    )


def find_derived_series(tx: Transaction, derivation_key: str) -> SeriesInstanceUID:
    """Read which series a derivation made; raises NotInLedger while it has made none."""
    uid = tx.session.execute(
        sa.select(DerivationRow.series_instance_uid).where(DerivationRow.key == derivation_key)
    ).scalar_one_or_none()
    if uid is None:
        raise NotInLedger("no series of this derivation")
    return SeriesInstanceUID(uid)


def list_decisions(tx: Transaction, study_instance_uid: str) -> tuple[DecisionRecord, ...]:
    """List what the rules said about a study, newest revision first."""
    rows = tx.session.execute(
        sa.select(DecisionRow)
        .where(DecisionRow.study_instance_uid == study_instance_uid)
        .order_by(DecisionRow.revision.desc(), DecisionRow.rule)
    ).scalars()
    return tuple(
        DecisionRecord(
            revision=row.revision,
            rule=row.rule,
            rule_set_version=row.rule_set_version,
            fired=row.fired,
            problem=row.problem,
            explanation=Explanation.from_json(row.explanation),
            bindings=tuple(row.bindings),
            excluded=tuple(row.excluded),
            derivation_key=row.derivation_key,
            at=row.at,
            shadow=row.shadow,
            actions=tuple(row.actions),
        )
        for row in rows
    )


def list_derivations(tx: Transaction, study_instance_uid: str) -> tuple[DerivationRecord, ...]:
    """List a study's derivations with their deliveries, newest first."""
    rows = tx.session.execute(
        sa.select(DerivationRow)
        .where(DerivationRow.study_instance_uid == study_instance_uid)
        .order_by(DerivationRow.decided_at.desc(), DerivationRow.key)
    ).scalars()
    return tuple(_derivation_record(tx, row) for row in rows)


def _derivation_record(tx: Transaction, row: DerivationRow) -> DerivationRecord:
    inputs = {bound["role"]: bound["series"] for bound in row.inputs}
    counted = tx.session.execute(
        sa.select(DeliveryRow.destination, DeliveryRow.state, sa.func.count())
        .where(DeliveryRow.derivation_key == row.key)
        .group_by(DeliveryRow.destination, DeliveryRow.state)
    ).all()
    deliveries: dict[str, dict[str, int]] = {}
    for destination, state, count in counted:
        deliveries.setdefault(destination, {})[state] = count
    return DerivationRecord(
        key=row.key,
        revision=row.revision,
        rule=row.rule,
        model_name=row.model_name,
        model_version=row.model_version,
        weights_digest=row.weights_digest,
        target_role=row.target_role,
        target_series_uid=inputs[row.target_role],
        inputs=inputs,
        preparation=preparation_of(row),
        state=row.state,
        error=row.error,
        reason=row.reason,
        round=row.round,
        series_instance_uid=row.series_instance_uid,
        report=row.report,
        decided_at=row.decided_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        deliveries=deliveries,
        shadow=row.shadow,
    )


def list_revisions(tx: Transaction, study_instance_uid: str) -> tuple[StudyRevision, ...]:
    """List when a study was taken to be complete, oldest first."""
    rows = tx.session.execute(
        sa.select(RevisionRow).where(RevisionRow.study_instance_uid == study_instance_uid).order_by(RevisionRow.number)
    ).scalars()
    return tuple(
        StudyRevision(
            study_instance_uid=StudyInstanceUID(row.study_instance_uid),
            number=row.number,
            instances=row.instances,
            evidence=tuple(row.evidence),
            at=row.at,
        )
        for row in rows
    )
