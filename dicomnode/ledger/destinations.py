"""What the ledger knows of destinations: pauses with what waits for their end, echoes, and how deliveries stand."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult

from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.peer import EchoOutcome
from dicomnode.ledger.destination_tables import DestinationEchoRow, DestinationPauseRow, PausedDeliveryRow
from dicomnode.ledger.tables import DeliveryRow
from dicomnode.ledger.transaction import Transaction, insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Since when a destination is paused, who did it, and why."""

    at: datetime
    by: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTally:
    """How the deliveries to one destination stand: instances that wait, since when, and how it last went."""

    waiting: int = 0
    oldest_waiting_at: datetime | None = None
    failed: int = 0
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_status: int | None = None
    last_comment: str = ""
    """What the destination said of the instance that it refused last."""


def pause_destination(tx: Transaction, destination: str, pause: Pause) -> bool:
    """Pause a destination; says whether it was not paused before."""
    return insert_new(
        tx, DestinationPauseRow, destination=destination, at=pause.at, paused_by=pause.by, reason=pause.reason
    )


def resume_destination(tx: Transaction, destination: str) -> tuple[str, ...] | None:
    """End a pause and give the keys of the derivations that waited for it; None when it was not paused."""
    ended = tx.session.execute(sa.delete(DestinationPauseRow).where(DestinationPauseRow.destination == destination))
    if not cast(CursorResult[Any], ended).rowcount:
        return None
    # After the deletion: whoever holds back a delivery has a lock on the pause, and is seen from here on.
    mine = PausedDeliveryRow.destination == destination
    in_order = sa.select(PausedDeliveryRow.derivation_key).where(mine).order_by(PausedDeliveryRow.at)
    keys = tuple(tx.session.execute(in_order).scalars())
    tx.session.execute(sa.delete(PausedDeliveryRow).where(mine))
    return keys


def hold_back(tx: Transaction, destination: str, derivation_key: str, at: datetime) -> tuple[Pause, bool] | None:
    """Keep a delivery for the end of a pause; None when the destination is not paused.

    Gives the pause, and whether the delivery was not held back already.
    """
    locked = sa.select(DestinationPauseRow).where(DestinationPauseRow.destination == destination).with_for_update()
    row = tx.session.execute(locked).scalar_one_or_none()
    if row is None:
        return None
    is_new = insert_new(tx, PausedDeliveryRow, destination=destination, derivation_key=derivation_key, at=at)
    return _pause(row), is_new


def list_pauses(tx: Transaction) -> dict[str, Pause]:
    """List the destinations that are paused."""
    return {row.destination: _pause(row) for row in tx.session.execute(sa.select(DestinationPauseRow)).scalars()}


def note_destination_echo(tx: Transaction, destination: str, outcome: EchoOutcome) -> None:
    """Record what came of a C-ECHO to a destination, in the place of the one before."""
    tx.session.merge(
        DestinationEchoRow(
            destination=destination, at=outcome.at, milliseconds=outcome.milliseconds, failure=outcome.failure
        )
    )


def list_destination_echoes(tx: Transaction) -> dict[str, EchoOutcome]:
    """List the last C-ECHO to each destination."""
    rows = tx.session.execute(sa.select(DestinationEchoRow)).scalars()
    return {row.destination: EchoOutcome(at=row.at, milliseconds=row.milliseconds, failure=row.failure) for row in rows}


def next_round(tx: Transaction, key: str, destination: str) -> int:
    """Begin another round for what is still queued of a derivation at a destination; gives its number."""
    mine = (DeliveryRow.derivation_key == key, DeliveryRow.destination == destination)
    last = tx.session.execute(sa.select(sa.func.max(DeliveryRow.round)).where(*mine)).scalar() or 0
    queued = sa.update(DeliveryRow).where(*mine, DeliveryRow.state == DeliveryState.QUEUED)
    tx.session.execute(queued.values(round=last + 1))
    return last + 1


def delivery_tally(tx: Transaction, destination: str) -> DeliveryTally:
    """Say how the deliveries to a destination stand."""
    mine = DeliveryRow.destination == destination
    taken = (DeliveryState.STORED, DeliveryState.VERIFIED)
    refused = DeliveryRow.state == DeliveryState.FAILED
    waiting, oldest = tx.session.execute(
        sa.select(sa.func.count(), sa.func.min(DeliveryRow.at)).where(mine, DeliveryRow.state == DeliveryState.QUEUED)
    ).one()
    success = tx.session.execute(sa.select(sa.func.max(DeliveryRow.at)).where(mine, DeliveryRow.state.in_(taken)))
    failed = tx.session.execute(sa.select(sa.func.count()).where(mine, refused)).scalar_one()
    last = tx.session.execute(
        sa.select(DeliveryRow).where(mine, refused).order_by(DeliveryRow.at.desc()).limit(1)
    ).scalar_one_or_none()
    return DeliveryTally(
        waiting=waiting,
        oldest_waiting_at=oldest,
        failed=failed,
        last_success_at=success.scalar(),
        last_failure_at=last.at if last else None,
        last_status=last.status if last else None,
        last_comment=last.comment if last else "",
    )


def _pause(row: DestinationPauseRow) -> Pause:
    return Pause(at=row.at, by=row.paused_by, reason=row.reason)
