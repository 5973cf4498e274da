"""The list of what is kept in quarantine: bytes that were refused, or that nobody was told were kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.errors import NotInLedger
from dicomnode.ledger.tables import QuarantineRow
from dicomnode.ledger.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One entry: when, where the file lies in the spool, its size in bytes, what its sender said, and why it is here.

    Sender and instance are empty where the file itself does not say them.
    """

    id: int
    at: datetime
    path: str
    size: int
    calling_ae: str
    peer_address: str
    sop_instance_uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A file of the spool that no row names, as it goes into quarantine."""

    path: str
    size: int
    calling_ae: str
    sop_instance_uid: str


def list_quarantined(tx: Transaction) -> tuple[Quarantined, ...]:
    """List all entries, the oldest first."""
    rows = tx.session.execute(sa.select(QuarantineRow).order_by(QuarantineRow.id)).scalars()
    return tuple(_entry(row) for row in rows)


def find_quarantined(tx: Transaction, entry_id: int) -> Quarantined:
    """Read one entry; raises NotInLedger."""
    row = tx.session.get(QuarantineRow, entry_id)
    if row is None:
        raise NotInLedger(f"nothing of number {entry_id} is in quarantine")
    return _entry(row)


def record_strays(tx: Transaction, strays: Sequence[Stray], reason: str, at: datetime) -> None:
    """Record files that were found in the spool without a row."""
    tx.session.add_all(
        QuarantineRow(
            at=at,
            path=stray.path,
            size=stray.size,
            calling_ae=stray.calling_ae,
            peer_address="",
            sop_instance_uid=stray.sop_instance_uid,
            reason=reason,
        )
        for stray in strays
    )


def forget_quarantined(tx: Transaction, path: str) -> None:
    """Take a file off the list, however often the same bytes were refused."""
    tx.session.execute(sa.delete(QuarantineRow).where(QuarantineRow.path == path))


def _entry(row: QuarantineRow) -> Quarantined:
    return Quarantined(
        id=row.id,
        at=row.at,
        path=row.path,
        size=row.size,
        calling_ae=row.calling_ae,
        peer_address=row.peer_address,
        sop_instance_uid=row.sop_instance_uid,
        reason=row.reason,
    )
