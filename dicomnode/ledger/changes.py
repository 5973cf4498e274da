"""How far the ledger has come, so that an open page can be told that something changed and of which studies."""

from dataclasses import dataclass

import sqlalchemy as sa

from dicomnode.ledger.tables import EventRow, InstanceRow, QuarantineRow, RefusalRow
from dicomnode.ledger.transaction import Transaction

_MOST_STUDIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The last rows of the tables that grow whenever something happens, and a count of who was turned away."""

    event: int = 0
    instance: int = 0
    quarantined: int = 0
    refusals: int = 0


def progress(tx: Transaction) -> Progress:
    """Read how far the ledger has come."""
    event = tx.session.execute(sa.select(sa.func.max(EventRow.id))).scalar()
    instance = tx.session.execute(sa.select(sa.func.max(InstanceRow.id))).scalar()
    quarantined = tx.session.execute(sa.select(sa.func.max(QuarantineRow.id))).scalar()
    refusals = tx.session.execute(sa.select(sa.func.sum(RefusalRow.times))).scalar()
    return Progress(event=event or 0, instance=instance or 0, quarantined=quarantined or 0, refusals=int(refusals or 0))


def studies_since(tx: Transaction, before: Progress) -> tuple[str, ...]:
    """Name the studies that something happened to since then; of very many, some."""
    touched = (
        sa.select(EventRow.study_instance_uid).where(EventRow.id > before.event),
        sa.select(InstanceRow.study_instance_uid).where(InstanceRow.id > before.instance),
    )
    found = tx.session.execute(sa.union(*touched).limit(_MOST_STUDIES)).scalars()
    return tuple(uid for uid in found if uid)
