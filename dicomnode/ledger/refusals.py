"""Who was turned away, for which cause and how often: what a scanner that retries for days leaves is one row."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.door import Cause, Visitor
from dicomnode.ledger.tables import RefusalRow
from dicomnode.ledger.transaction import Transaction, insert_new

MOST_ROWS = 10_000
"""A program that comes under ever new titles must not fill the database: the oldest rows make room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRecord:
    """One visitor that was turned away for one cause: how often, when first and last, and what happened last."""

    visitor: Visitor
    cause: Cause
    said: str
    times: int
    first_at: datetime
    last_at: datetime


def record_refusals(tx: Transaction, refusals: Iterable[RefusalRecord], keep: int = MOST_ROWS) -> None:
    """Add refusals to what is known of their visitors; of more than so many rows, the latest are kept."""
    # Always in the same order, so that two processes that record the same visitors do not wait for each other.
    in_order = sorted(refusals, key=_key)
    if any([_record(tx, refusal) for refusal in in_order]):
        _make_room(tx, keep)


def list_refusals(tx: Transaction, limit: int = 100) -> tuple[RefusalRecord, ...]:
    """List who was turned away, the latest first."""
    rows = tx.session.execute(sa.select(RefusalRow).order_by(RefusalRow.last_at.desc()).limit(limit)).scalars()
    return tuple(
        RefusalRecord(
            visitor=Visitor(peer_address=row.peer_address, calling_ae=row.calling_ae, called_ae=row.called_ae),
            cause=Cause(row.cause),
            said=row.said,
            times=row.times,
            first_at=row.first_at,
            last_at=row.last_at,
        )
        for row in rows
    )


def _key(refusal: RefusalRecord) -> tuple[str, str, str, str]:
    visitor = refusal.visitor
    return visitor.calling_ae, visitor.called_ae, visitor.peer_address, refusal.cause


def _record(tx: Transaction, refusal: RefusalRecord) -> bool:
    """Insert or add to one row; says whether it is new."""
    calling, called, address, cause = _key(refusal)
    key = {"calling_ae": calling, "called_ae": called, "peer_address": address, "cause": cause}
    if insert_new(
        tx,
        RefusalRow,
        **key,
        said=refusal.said,
        times=refusal.times,
        first_at=refusal.first_at,
        last_at=refusal.last_at,
    ):
        return True
    tx.session.execute(
        sa.update(RefusalRow)
        .filter_by(**key)
        .values(said=refusal.said, times=RefusalRow.times + refusal.times, last_at=refusal.last_at)
    )
    return False


def _make_room(tx: Transaction, keep: int) -> None:
    """Delete what is older than the latest so many rows."""
    oldest_kept = tx.session.execute(
        sa.select(RefusalRow.last_at).order_by(RefusalRow.last_at.desc()).offset(keep - 1).limit(1)
    ).scalar()
    if oldest_kept is not None:
        tx.session.execute(sa.delete(RefusalRow).where(RefusalRow.last_at < oldest_kept))
