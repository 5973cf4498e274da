"""What the models of the node have done: derivations by model and state, what made no image, and how long it took."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.derivation import DerivationState
from dicomnode.ledger.tables import DerivationRow
from dicomnode.ledger.transaction import Transaction

_MOST_TIMES = 1000
_HALF, _MOST = 0.5, 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedFor:
    """How many derivations of a model ended without an image for one cause, and what the last one said."""

    state: str
    error: str
    times: int
    last_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWork:
    """What one model has done here, over all its versions."""

    states: dict[str, int]
    ended: tuple[EndedFor, ...] = ()
    half_seconds: float | None = None
    """Half of the last thousand derivations took no longer (p50)."""
    most_seconds: float | None = None
    """All but a twentieth of them took no longer (p95)."""
    measured: int = 0
    last_at: datetime | None = None

    @property
    def total(self) -> int:
        """How many derivations were asked of it."""
        return sum(self.states.values())


def work_of_model(tx: Transaction, name: str) -> ModelWork:
    """Say what a model has done."""
    mine = DerivationRow.model_name == name
    states: dict[str, int] = {
        state: count
        for state, count in tx.session.execute(
            sa.select(DerivationRow.state, sa.func.count()).where(mine).group_by(DerivationRow.state)
        ).all()
    }
    times = _seconds(tx, mine)
    last = tx.session.execute(sa.select(sa.func.max(DerivationRow.finished_at)).where(mine)).scalar()
    return ModelWork(
        states=states,
        ended=_ended(tx, mine),
        half_seconds=_share(times, _HALF),
        most_seconds=_share(times, _MOST),
        measured=len(times),
        last_at=last,
    )


def models_with_work(tx: Transaction) -> tuple[str, ...]:
    """Name the models that ever had work here, installed or not."""
    names = tx.session.execute(sa.select(DerivationRow.model_name).distinct().order_by(DerivationRow.model_name))
    return tuple(names.scalars())


def _seconds(tx: Transaction, mine: sa.ColumnElement[bool]) -> list[float]:
    """Read how long the last derivations that made a series took, in seconds, sorted."""
    rows = tx.session.execute(
        sa.select(DerivationRow.started_at, DerivationRow.finished_at)
        .where(
            mine,
            DerivationRow.series_instance_uid.is_not(None),
            DerivationRow.started_at.is_not(None),
            DerivationRow.finished_at.is_not(None),
        )
        .order_by(DerivationRow.finished_at.desc())
        .limit(_MOST_TIMES)
    ).all()
    return sorted((ended - began).total_seconds() for began, ended in rows if began and ended)


def _share(times: list[float], share: float) -> float | None:
    """Give the time that so large a share of the derivations did not exceed (nearest rank)."""
    return times[min(int(len(times) * share), len(times) - 1)] if times else None


def _ended(tx: Transaction, mine: sa.ColumnElement[bool]) -> tuple[EndedFor, ...]:
    without = (DerivationState.REFUSED, DerivationState.FAILED)
    groups = tx.session.execute(
        sa.select(DerivationRow.state, DerivationRow.error, sa.func.count(), sa.func.max(DerivationRow.finished_at))
        .where(mine, DerivationRow.state.in_(without))
        .group_by(DerivationRow.state, DerivationRow.error)
        .order_by(sa.func.count().desc())
    ).all()
    return tuple(
        EndedFor(state=state, error=error, times=count, last_at=at, reason=_last_reason(tx, mine, state, error))
        for state, error, count, at in groups
    )


def _last_reason(tx: Transaction, mine: sa.ColumnElement[bool], state: str, error: str) -> str:
    found = tx.session.execute(
        sa.select(DerivationRow.reason)
        .where(mine, DerivationRow.state == state, DerivationRow.error == error)
        .order_by(DerivationRow.finished_at.desc())
        .limit(1)
    )
    return found.scalar() or ""
