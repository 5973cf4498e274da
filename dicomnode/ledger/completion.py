"""What tells that studies with news are complete: who sends, what people and archives say, what is waited for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.domain.completion import Waiting
from dicomnode.domain.study import Origin
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.ledger.completion_tables import (
    ArchiveCountRow,
    CommitmentStudyRow,
    CompletionRequestRow,
    SendingRow,
    WaitingRow,
)
from dicomnode.ledger.tables import CommitmentRow, InstanceRow, PerformedStepRow, PerformedStepStudyRow, StudyRow
from dicomnode.ledger.transaction import Transaction, insert_into, insert_new

_UIDS_PER_QUERY = 500
"""Databases take only so many parameters in a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyNews:
    """A study that received something which no revision has seen yet."""

    study_instance_uid: StudyInstanceUID
    instances: int
    last_received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """The associations of one receiver over which a study came: how many are open, and how the others ended."""

    study_instance_uid: StudyInstanceUID
    open_associations: int
    calling_ae: str
    is_released: bool
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCount:
    """What an archive says it has of a study, and how often in a row it said so."""

    archive: str
    instances: int
    times: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What happened around a study besides its instances; as long as it is equal, no new judgement is needed."""

    sendings: tuple[Sending, ...] = ()
    asked_by: str | None = None
    archive: ArchiveCount | None = None
    steps: tuple[tuple[str, datetime], ...] = ()
    """The performed procedure steps and when each was last changed."""
    commitments: tuple[str, ...] = ()
    """The Transaction UIDs of requests for storage commitment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldInstance:
    """One received instance in use, as far as its arrival goes."""

    sop_instance_uid: SOPInstanceUID
    series_instance_uid: SeriesInstanceUID
    calling_ae: str
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentScope:
    """What one request for storage commitment is about: SOP Instance UIDs, and the studies of those that are here."""

    calling_ae: str
    named: frozenset[str]
    studies: tuple[str, ...]


_HAS_NEWS = StudyRow.instances > StudyRow.complete_instances


def studies_with_news(tx: Transaction) -> tuple[StudyNews, ...]:
    """List the studies that received something since their last revision."""
    columns = (StudyRow.study_instance_uid, StudyRow.instances, StudyRow.last_received_at)
    return tuple(_news(row) for row in tx.session.execute(sa.select(*columns).where(_HAS_NEWS)))


def find_news(tx: Transaction, study_instance_uid: str, *, lock: bool = False) -> StudyNews | None:
    """Read whether one study has news, and with `lock` keep its news as they are until the transaction ends.

    None when it has none, or is not known at all.
    """
    columns = (StudyRow.study_instance_uid, StudyRow.instances, StudyRow.last_received_at)
    query = sa.select(*columns).where(StudyRow.study_instance_uid == study_instance_uid, _HAS_NEWS)
    row = tx.session.execute(query.with_for_update() if lock else query).first()
    return None if row is None else _news(row)


def _news(row: sa.Row[*tuple[Any, ...]]) -> StudyNews:
    return StudyNews(
        study_instance_uid=StudyInstanceUID(row.study_instance_uid),
        instances=row.instances,
        last_received_at=row.last_received_at,
    )


def received_instances(tx: Transaction, study_instance_uid: str) -> tuple[HeldInstance, ...]:
    """List the received instances in use of a study."""
    columns = (
        *(InstanceRow.sop_instance_uid, InstanceRow.series_instance_uid),
        *(InstanceRow.calling_ae, InstanceRow.received_at),
    )
    rows = tx.session.execute(
        sa.select(*columns).where(
            InstanceRow.study_instance_uid == study_instance_uid,
            InstanceRow.in_use,
            InstanceRow.origin == Origin.RECEIVED,
        )
    )
    return tuple(
        HeldInstance(
            sop_instance_uid=SOPInstanceUID(uid),
            series_instance_uid=SeriesInstanceUID(series),
            calling_ae=calling_ae,
            received_at=at,
        )
        for uid, series, calling_ae, at in rows
    )


def senders(tx: Transaction, study_instance_uid: str) -> frozenset[str]:
    """List the calling AE titles that a study came from."""
    titles = tx.session.execute(
        sa.select(InstanceRow.calling_ae)
        .where(
            InstanceRow.study_instance_uid == study_instance_uid,
            InstanceRow.in_use,
            InstanceRow.origin == Origin.RECEIVED,
        )
        .distinct()
    ).scalars()
    return frozenset(titles)


def derived_instances(tx: Transaction, study_instance_uid: str) -> int:
    """Count what this node added to a study."""
    return tx.session.execute(
        sa.select(sa.func.count()).where(
            InstanceRow.study_instance_uid == study_instance_uid,
            InstanceRow.in_use,
            InstanceRow.origin == Origin.DERIVED,
        )
    ).scalar_one()


def signals(tx: Transaction, studies: Sequence[StudyInstanceUID]) -> dict[StudyInstanceUID, Signals]:
    """Read what happened around these studies."""
    found: dict[StudyInstanceUID, Signals] = {}
    for first in range(0, len(studies), _UIDS_PER_QUERY):
        found |= _signals(tx, studies[first : first + _UIDS_PER_QUERY])
    return found


def _signals(tx: Transaction, studies: Sequence[StudyInstanceUID]) -> dict[StudyInstanceUID, Signals]:
    sendings: dict[str, list[Sending]] = {}
    for row in tx.session.execute(
        sa.select(SendingRow).where(SendingRow.study_instance_uid.in_(studies)).order_by(SendingRow.receiver)
    ).scalars():
        sendings.setdefault(row.study_instance_uid, []).append(_sending(row))
    asked = {
        row.study_instance_uid: row.asked_by
        for row in tx.session.execute(
            sa.select(CompletionRequestRow).where(CompletionRequestRow.study_instance_uid.in_(studies))
        ).scalars()
    }
    counts = {
        row.study_instance_uid: ArchiveCount(archive=row.archive, instances=row.instances, times=row.times, at=row.at)
        for row in tx.session.execute(
            sa.select(ArchiveCountRow).where(ArchiveCountRow.study_instance_uid.in_(studies))
        ).scalars()
    }
    steps, commitments = _steps(tx, studies), _commitments(tx, studies)
    return {
        uid: Signals(
            sendings=tuple(sendings.get(uid, ())),
            asked_by=asked.get(uid),
            archive=counts.get(uid),
            steps=tuple(steps.get(uid, ())),
            commitments=tuple(commitments.get(uid, ())),
        )
        for uid in studies
    }


def _sending(row: SendingRow) -> Sending:
    return Sending(
        study_instance_uid=StudyInstanceUID(row.study_instance_uid),
        open_associations=row.open_associations,
        calling_ae=row.calling_ae,
        is_released=row.is_released,
        changed_at=row.changed_at,
    )


def _steps(tx: Transaction, studies: Sequence[StudyInstanceUID]) -> dict[str, list[tuple[str, datetime]]]:
    """Find the steps of studies and when each was changed, without what they list."""
    found: dict[str, list[tuple[str, datetime]]] = {}
    rows = tx.session.execute(
        sa.select(
            PerformedStepStudyRow.study_instance_uid, PerformedStepRow.sop_instance_uid, PerformedStepRow.changed_at
        )
        .join(PerformedStepRow, PerformedStepRow.sop_instance_uid == PerformedStepStudyRow.sop_instance_uid)
        .where(PerformedStepStudyRow.study_instance_uid.in_(studies))
        .order_by(PerformedStepRow.sop_instance_uid)
    )
    for study, step, changed_at in rows:
        found.setdefault(study, []).append((step, changed_at))
    return found


def _commitments(tx: Transaction, studies: Sequence[StudyInstanceUID]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    rows = tx.session.execute(
        sa.select(CommitmentStudyRow.study_instance_uid, CommitmentStudyRow.transaction_uid)
        .where(CommitmentStudyRow.study_instance_uid.in_(studies))
        .order_by(CommitmentStudyRow.transaction_uid)
    )
    for study, transaction_uid in rows:
        found.setdefault(study, []).append(transaction_uid)
    return found


def link_commitment(tx: Transaction, transaction_uid: str, studies: Iterable[StudyInstanceUID]) -> None:
    """Record which studies a request for storage commitment is about."""
    for study in sorted(studies):
        insert_new(tx, CommitmentStudyRow, transaction_uid=transaction_uid, study_instance_uid=study)


def committed_references(tx: Transaction, transaction_uid: str) -> CommitmentScope:
    """Read what a request for storage commitment names, and the studies that it is about."""
    named, calling_ae = tx.session.execute(
        sa.select(CommitmentRow.instances, CommitmentRow.calling_ae).where(
            CommitmentRow.transaction_uid == transaction_uid
        )
    ).one()
    studies = tx.session.execute(
        sa.select(CommitmentStudyRow.study_instance_uid).where(CommitmentStudyRow.transaction_uid == transaction_uid)
    ).scalars()
    return CommitmentScope(
        calling_ae=calling_ae, named=frozenset(uid for _sop_class, uid in named), studies=tuple(studies)
    )


def note_sendings(tx: Transaction, receiver: str, sendings: Iterable[Sending]) -> None:
    """Record how the associations of a receiver stand, study by study."""
    values = [
        {
            "study_instance_uid": one.study_instance_uid,
            "receiver": receiver,
            "open_associations": one.open_associations,
            "calling_ae": one.calling_ae,
            "is_released": one.is_released,
            "changed_at": one.changed_at,
        }
        for one in sorted(sendings, key=lambda one: one.study_instance_uid)
    ]
    if values:
        _upsert(tx, SendingRow, ("study_instance_uid", "receiver"), values)


def ask_completion(tx: Transaction, study_instance_uid: str, by: str, at: datetime) -> None:
    """Record that a person wants a study to be taken as complete."""
    values = {"study_instance_uid": study_instance_uid, "asked_by": by, "at": at}
    _upsert(tx, CompletionRequestRow, ("study_instance_uid",), [values])


def note_archive_count(tx: Transaction, study_instance_uid: str, archive: str, instances: int, at: datetime) -> None:
    """Record what an archive says it has of a study; the same answer again is counted."""
    known = tx.session.get(ArchiveCountRow, study_instance_uid)
    is_same = known is not None and (known.archive, known.instances) == (archive, instances)
    times = known.times + 1 if known is not None and is_same else 1
    values = {"study_instance_uid": study_instance_uid, "archive": archive, "instances": instances}
    _upsert(tx, ArchiveCountRow, ("study_instance_uid",), [{**values, "times": times, "at": at}])


def keep_waiting(tx: Transaction, waiting: Iterable[tuple[StudyInstanceUID, Waiting]]) -> None:
    """Record what is waited for, study by study."""
    values = [
        {"study_instance_uid": study, "until": one.until, "why": list(one.why)}
        for study, one in sorted(waiting, key=lambda pair: pair[0])
    ]
    if values:
        _upsert(tx, WaitingRow, ("study_instance_uid",), values)


def find_waiting(tx: Transaction, study_instance_uid: str) -> Waiting | None:
    """Read what is waited for, as it was last recorded."""
    row = tx.session.get(WaitingRow, study_instance_uid)
    return None if row is None else Waiting(until=row.until, why=tuple(row.why))


def forget_evidence(tx: Transaction, study_instance_uid: str) -> None:
    """Forget what has done its service when a revision begins; associations that are still open stay."""
    for table in (CompletionRequestRow, ArchiveCountRow, WaitingRow):
        tx.session.execute(sa.delete(table).where(table.study_instance_uid == study_instance_uid))
    tx.session.execute(
        sa.delete(SendingRow).where(
            SendingRow.study_instance_uid == study_instance_uid, SendingRow.open_associations == 0
        )
    )


def forget_sendings(tx: Transaction, before: datetime) -> None:
    """Forget associations that nothing was heard of since a moment: of studies without news, and of dead receivers."""
    tx.session.execute(sa.delete(SendingRow).where(SendingRow.changed_at < before))


def _upsert(tx: Transaction, table: type, keys: Sequence[str], values: Sequence[dict[str, object]]) -> None:
    """Insert rows, or lay them over those of the same key."""
    statement = insert_into(tx.session.get_bind().dialect.name, table)
    changed = {name: statement.excluded[name] for name in values[0] if name not in keys}
    tx.session.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed), list(values))
