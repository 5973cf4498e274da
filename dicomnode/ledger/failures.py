"""What went wrong since an instant, gathered by cause, for the first page and its buttons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.derivation import DerivationState
from dicomnode.ledger.tables import DeliveryRow, DerivationRow, EventRow, InstanceRow, QuarantineRow
from dicomnode.ledger.transaction import Transaction

_MOST_EVENTS = 2000
_NEEDS_OPERATOR = "needs operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedDerivations:
    """Derivations that ended without an image for one cause: `error` is the name of its class."""

    state: DerivationState
    error: str
    keys: tuple[str, ...]
    reason: str
    """What the last of them said."""
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedStep:
    """A step that was left to a person: in how many studies, and of which derivations at which destination."""

    step: str
    destination: str
    studies: int
    keys: tuple[str, ...]
    said: str
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedFrom:
    """What came into quarantine from one sender."""

    calling_ae: str
    entries: int
    reason: str
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDelivery:
    """Instances of a derivation that a destination refused with one status and comment."""

    derivation_key: str
    destination: str
    status: int
    comment: str
    instances: int
    last_at: datetime


def ended_derivations(tx: Transaction, since: datetime) -> tuple[EndedDerivations, ...]:
    """Gather the derivations that were refused or failed and stand so still, the latest first."""
    ended = (DerivationState.FAILED, DerivationState.REFUSED)
    rows = tx.session.execute(
        sa.select(
            DerivationRow.state,
            DerivationRow.error,
            DerivationRow.key,
            DerivationRow.reason,
            DerivationRow.finished_at,
        )
        .where(DerivationRow.state.in_(ended), DerivationRow.finished_at >= since)
        .order_by(DerivationRow.finished_at.desc())
    ).all()
    groups: dict[tuple[str, str], list[sa.Row[str, str, str, str, datetime | None]]] = {}
    for row in rows:
        groups.setdefault((row.state, row.error), []).append(row)
    return tuple(
        EndedDerivations(
            state=DerivationState(state),
            error=error,
            keys=tuple(row.key for row in found),
            reason=found[0].reason,
            last_at=found[0].finished_at or since,
        )
        for (state, error), found in groups.items()
    )


def stopped_steps(tx: Transaction, since: datetime) -> tuple[StoppedStep, ...]:
    """Gather the events that leave a study to a person, by step and destination, the latest first."""
    rows = tx.session.execute(
        sa.select(EventRow)
        .where(EventRow.at >= since, EventRow.state == _NEEDS_OPERATOR)
        .order_by(EventRow.id.desc())
        .limit(_MOST_EVENTS)
    ).scalars()
    groups: dict[tuple[str, str], list[EventRow]] = {}
    for row in rows:
        groups.setdefault((row.step, str((row.detail or {}).get("destination", ""))), []).append(row)
    return tuple(_stopped(step, destination, found) for (step, destination), found in groups.items())


def quarantined_since(tx: Transaction, since: datetime) -> tuple[QuarantinedFrom, ...]:
    """Gather what came into quarantine and is there still, by sender."""
    rows = tx.session.execute(
        sa.select(QuarantineRow).where(QuarantineRow.at >= since).order_by(QuarantineRow.id.desc())
    ).scalars()
    groups: dict[str, list[QuarantineRow]] = {}
    for row in rows:
        groups.setdefault(row.calling_ae, []).append(row)
    return tuple(
        QuarantinedFrom(calling_ae=title, entries=len(found), reason=found[0].reason, last_at=found[0].at)
        for title, found in groups.items()
    )


def bytes_received_since(tx: Transaction, since: datetime) -> tuple[int, datetime | None]:
    """Say how many bytes came since an instant and are here still, and when the first of them came."""
    total, first = tx.session.execute(
        sa.select(sa.func.sum(InstanceRow.size), sa.func.min(InstanceRow.received_at)).where(
            InstanceRow.received_at >= since
        )
    ).one()
    return int(total or 0), first


def refused_deliveries(tx: Transaction, study_instance_uid: str) -> tuple[RefusedDelivery, ...]:
    """Gather the instances of a study that a destination refused for good, by what it said."""
    said = (DeliveryRow.derivation_key, DeliveryRow.destination, DeliveryRow.status, DeliveryRow.comment)
    rows = tx.session.execute(
        sa.select(*said, sa.func.count(), sa.func.max(DeliveryRow.at))
        .where(DeliveryRow.study_instance_uid == study_instance_uid, DeliveryRow.state == DeliveryState.FAILED)
        .group_by(*said)
        .order_by(*said)
    ).all()
    return tuple(
        RefusedDelivery(
            derivation_key=key,
            destination=destination,
            status=status or 0,
            comment=comment,
            instances=count,
            last_at=at,
        )
        for key, destination, status, comment, count, at in rows
    )


def _stopped(step: str, destination: str, found: Sequence[EventRow]) -> StoppedStep:
    keys = (str((row.detail or {}).get("derivation", "")) for row in found)
    return StoppedStep(
        step=step,
        destination=destination,
        studies=len({row.study_instance_uid for row in found}),
        keys=tuple(dict.fromkeys(key for key in keys if key)),
        said=found[0].text,
        last_at=found[0].at,
    )
