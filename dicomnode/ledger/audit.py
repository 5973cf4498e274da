"""The audit trail as rows: written in the transaction of what they tell, or at once, and never changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from dicomnode.domain.audit import AuditAction, AuditEvent, AuditOutcome
from dicomnode.ledger.account_tables import AuditRow
from dicomnode.ledger.tables import StudyRow
from dicomnode.ledger.transaction import Transaction

_WHO_LENGTH = 160
_ADDRESS_LENGTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """A line of the audit trail and its number."""

    id: int
    event: AuditEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which lines are asked for; what is empty or none is not asked about."""

    who: str = ""
    action: AuditAction | None = None
    object: str = ""
    """A study's UID, or what else a line names."""
    since: datetime | None = None
    until: datetime | None = None
    failures_only: bool = False


class AuditOutlet(StrEnum):
    """Where lines go as audit messages of PS3.15 A.5."""

    FILE = "file"
    SYSLOG = "syslog"


_TOLD_AT = {AuditOutlet.FILE: AuditRow.filed_at, AuditOutlet.SYSLOG: AuditRow.sent_at}


def record_audit(tx: Transaction, event: AuditEvent) -> None:
    """Write a line."""
    tx.session.add(
        AuditRow(
            at=event.at,
            who=event.who[:_WHO_LENGTH],
            action=event.action,
            kind=event.kind,
            study_instance_uid=event.study_instance_uid,
            object=event.object,
            outcome=event.outcome,
            address=event.address[:_ADDRESS_LENGTH],
            detail=dict(event.detail),
            filed_at=None,
            sent_at=None,
        )
    )


def list_audit(
    tx: Transaction, query: AuditQuery, *, limit: int | None = None, offset: int = 0
) -> tuple[AuditRecord, ...]:
    """List lines, the latest first."""
    rows = sa.select(AuditRow).order_by(AuditRow.id.desc()).limit(limit).offset(offset)
    if query.who:
        rows = rows.where(AuditRow.who == query.who)
    if query.action is not None:
        rows = rows.where(AuditRow.action == query.action)
    if query.object:
        rows = rows.where(sa.or_(AuditRow.study_instance_uid == query.object, AuditRow.object == query.object))
    if query.since is not None:
        rows = rows.where(AuditRow.at >= query.since)
    if query.until is not None:
        rows = rows.where(AuditRow.at < query.until)
    if query.failures_only:
        rows = rows.where(AuditRow.outcome != AuditOutcome.SUCCESS)
    return tuple(_record_of(row) for row in tx.session.execute(rows).scalars())


def untold(tx: Transaction, outlet: AuditOutlet, limit: int) -> tuple[AuditRecord, ...]:
    """List the oldest lines that an outlet was not told yet; another process waits, so that the order stays."""
    rows = sa.select(AuditRow).where(_TOLD_AT[outlet].is_(None)).order_by(AuditRow.id).limit(limit).with_for_update()
    return tuple(_record_of(row) for row in tx.session.execute(rows).scalars())


def note_told(tx: Transaction, outlet: AuditOutlet, ids: Iterable[int], at: datetime) -> None:
    """Record that an outlet was told some lines."""
    column = _TOLD_AT[outlet]
    tx.session.execute(sa.update(AuditRow).where(AuditRow.id.in_(list(ids))).values({column: at}))


def last_settings(tx: Transaction) -> str:
    """Read the digest of the settings that the node last said it started with; empty before it ever did."""
    rows = sa.select(AuditRow.object).where(AuditRow.action == AuditAction.SETTINGS).order_by(AuditRow.id.desc())
    return tx.session.execute(rows.limit(1)).scalar_one_or_none() or ""


def patient_of(tx: Transaction, study_instance_uid: str) -> str:
    """Read the patient ID of a study for its audit message, which has to name the patient; empty where unknown."""
    row = tx.session.get(StudyRow, study_instance_uid)
    return "" if row is None else row.patient_id


def _record_of(row: AuditRow) -> AuditRecord:
    return AuditRecord(
        id=row.id,
        event=AuditEvent(
            at=row.at,
            who=row.who,
            action=AuditAction(row.action),
            kind=row.kind,
            study_instance_uid=row.study_instance_uid,
            object=row.object,
            outcome=AuditOutcome(row.outcome),
            address=row.address,
            detail=row.detail,
        ),
    )
