"""The lines that tell a study's story, written in the same transaction as what they tell."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.ledger.tables import EventRow
from dicomnode.ledger.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a timeline: when, which step, its state word, what happened, and how long it took in seconds."""

    at: datetime
    step: str
    state: str
    text: str
    seconds: float | None = None
    detail: dict[str, Any] | None = None


def write_event(  # noqa: PLR0913  one argument for each column
    tx: Transaction,
    study_instance_uid: str,
    *,
    at: datetime,
    step: str,
    state: str,
    text: str,
    seconds: float | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Add a line to a study's timeline."""
    tx.session.add(
        EventRow(
            study_instance_uid=study_instance_uid,
            at=at,
            step=step,
            state=state,
            text=text,
            seconds=seconds,
            detail=detail,
        )
    )


def timeline(tx: Transaction, study_instance_uid: str) -> tuple[Event, ...]:
    """List a study's events, oldest first."""
    rows = tx.session.execute(
        sa.select(EventRow).where(EventRow.study_instance_uid == study_instance_uid).order_by(EventRow.id)
    ).scalars()
    return tuple(
        Event(at=row.at, step=row.step, state=row.state, text=row.text, seconds=row.seconds, detail=row.detail)
        for row in rows
    )
