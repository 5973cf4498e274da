"""The state of each link and queue, as the first page shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from dicomnode.domain.commitment import CommitmentState
from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.study import Origin
from dicomnode.ledger.destinations import Pause, list_pauses
from dicomnode.ledger.tables import (
    CommitmentRow,
    DeliveryRow,
    DerivationRow,
    ExecutorRow,
    InstanceRow,
    QuarantineRow,
    RefusalRow,
    RevisionRow,
    StudyRow,
)
from dicomnode.ledger.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """One line of the page: a link or queue, its state word, how much waits since when, and the last success."""

    name: str
    state: str
    waiting: int
    oldest_waiting_at: datetime | None
    last_success_at: datetime | None
    note: str = ""


def link_states(
    tx: Transaction, now: datetime, lease: timedelta, destinations: Sequence[str] = ()
) -> tuple[LinkState, ...]:
    """Describe receive, complete, derive, each destination (those named, and whatever was sent to) and the workers."""
    return (
        _receive(tx),
        _complete(tx),
        _derive(tx),
        *_destinations(tx, destinations),
        *_commit(tx),
        _workers(tx, now, lease),
    )


def _receive(tx: Transaction) -> LinkState:
    last = tx.session.execute(
        sa.select(sa.func.max(InstanceRow.received_at)).where(InstanceRow.origin == Origin.RECEIVED)
    ).scalar()
    kept = tx.session.execute(sa.select(sa.func.count(QuarantineRow.id))).scalar() or 0
    return LinkState(
        name="receive",
        state="listening" if last is None else "ok",
        waiting=0,
        oldest_waiting_at=None,
        last_success_at=last,
        note=f"{_refused(tx)}, {kept} in quarantine",
    )


def _refused(tx: Transaction) -> str:
    """Say how often somebody was turned away, and who was the last."""
    refused = tx.session.execute(sa.select(sa.func.sum(RefusalRow.times))).scalar() or 0
    if not refused:
        return "0 refused"
    last = tx.session.execute(sa.select(RefusalRow).order_by(RefusalRow.last_at.desc()).limit(1)).scalar_one()
    return f"{refused} refused (last: {last.calling_ae or 'somebody'} from {last.peer_address}, {last.cause})"


def _complete(tx: Transaction) -> LinkState:
    waiting, oldest = tx.session.execute(
        sa.select(sa.func.count(), sa.func.min(StudyRow.last_received_at)).where(
            StudyRow.instances > StudyRow.complete_instances
        )
    ).one()
    return LinkState(
        name="complete",
        state="waiting" if waiting else "ok",
        waiting=waiting,
        oldest_waiting_at=oldest,
        last_success_at=tx.session.execute(sa.select(sa.func.max(RevisionRow.at))).scalar(),
        note="studies that still receive" if waiting else "",
    )


def _derive(tx: Transaction) -> LinkState:
    counts: dict[str, int] = {
        state: count
        for state, count in tx.session.execute(
            sa.select(DerivationRow.state, sa.func.count()).group_by(DerivationRow.state)
        ).all()
    }
    unfinished = (DerivationState.WAITING, DerivationState.RUNNING)
    oldest = tx.session.execute(
        sa.select(sa.func.min(DerivationRow.decided_at)).where(DerivationRow.state.in_(unfinished))
    ).scalar()
    last = tx.session.execute(
        sa.select(sa.func.max(DerivationRow.finished_at)).where(DerivationRow.state == DerivationState.DERIVED)
    ).scalar()
    failed = counts.get(DerivationState.FAILED, 0)
    waiting = sum(counts.get(state, 0) for state in unfinished)
    return LinkState(
        name="derive",
        state="failed"
        if failed
        else "running"
        if counts.get(DerivationState.RUNNING)
        else "waiting"
        if waiting
        else "ok",
        waiting=waiting,
        oldest_waiting_at=oldest,
        last_success_at=last,
        note=f"{failed} failed, {counts.get(DerivationState.REFUSED, 0)} refused",
    )


def _destinations(tx: Transaction, named: Sequence[str]) -> tuple[LinkState, ...]:
    sent_to = tx.session.execute(
        sa.select(DeliveryRow.destination).distinct().order_by(DeliveryRow.destination)
    ).scalars()
    pauses = list_pauses(tx)
    return tuple(_destination(tx, name, pauses.get(name)) for name in dict.fromkeys((*named, *sent_to)))


def _destination(tx: Transaction, name: str, pause: Pause | None) -> LinkState:
    mine = DeliveryRow.destination == name
    waiting, oldest = tx.session.execute(
        sa.select(sa.func.count(), sa.func.min(DeliveryRow.at)).where(mine, DeliveryRow.state == DeliveryState.QUEUED)
    ).one()
    taken = (DeliveryState.STORED, DeliveryState.VERIFIED)
    last = tx.session.execute(sa.select(sa.func.max(DeliveryRow.at)).where(mine, DeliveryRow.state.in_(taken))).scalar()
    failed = tx.session.execute(
        sa.select(sa.func.count()).where(mine, DeliveryRow.state == DeliveryState.FAILED)
    ).scalar()
    return LinkState(
        name=f"deliver to {name}",
        state="paused" if pause else "failed" if failed else "waiting" if waiting else "ok",
        waiting=waiting,
        oldest_waiting_at=oldest,
        last_success_at=last,
        note=_refused_there(failed or 0, pause),
    )


def _commit(tx: Transaction) -> tuple[LinkState, ...]:
    """Describe the reports of storage commitment that this node owes; nothing while nobody ever asked for one."""
    counts: dict[str, int] = {
        state: count
        for state, count in tx.session.execute(
            sa.select(CommitmentRow.state, sa.func.count()).group_by(CommitmentRow.state)
        ).all()
    }
    if not counts:
        return ()
    waiting, failed = counts.get(CommitmentState.WAITING, 0), counts.get(CommitmentState.FAILED, 0)
    owed = CommitmentRow.state == CommitmentState.WAITING
    told = CommitmentRow.state == CommitmentState.REPORTED
    link = LinkState(
        name="commit",
        state="failed" if failed else "waiting" if waiting else "ok",
        waiting=waiting,
        oldest_waiting_at=tx.session.execute(sa.select(sa.func.min(CommitmentRow.requested_at)).where(owed)).scalar(),
        last_success_at=tx.session.execute(sa.select(sa.func.max(CommitmentRow.changed_at)).where(told)).scalar(),
        note=f"reports of storage commitment to senders, {failed} could not be told",
    )
    return (link,)


def _refused_there(failed: int, pause: Pause | None) -> str:
    """Say how many instances a destination refused, and who paused it."""
    said = f"{failed} instance{'' if failed == 1 else 's'} refused"
    return f"{said}; paused by {pause.by}: {pause.reason}" if pause else said


def _workers(tx: Transaction, now: datetime, lease: timedelta) -> LinkState:
    alive, last = tx.session.execute(
        sa.select(sa.func.count(), sa.func.max(ExecutorRow.beat_at)).where(ExecutorRow.beat_at >= now - lease)
    ).one()
    return LinkState(
        name="workers",
        state="ok" if alive else "down",
        waiting=0,
        oldest_waiting_at=None,
        last_success_at=last,
        note=f"{alive} alive",
    )
