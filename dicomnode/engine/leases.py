"""Who is alive, and who takes over the jobs of the dead.

Each worker has an id of its own at every start and renews its lease; jobs of a worker whose lease ran out are put back
into their queue. A job that was taken over twice already has killed its workers: it is parked for a person.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from dbos import DBOS, WorkflowStatus

from dicomnode.engine.queues import Job
from dicomnode.ledger.tables import ExecutorRow, TakeOverRow
from dicomnode.ledger.transaction import Ledger, Transaction, insert_new

TAKE_OVERS_BEFORE_PARKING = 2
_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """What one look around found: jobs put back into their queues, and jobs parked."""

    resumed: tuple[str, ...]
    parked: tuple[str, ...]


def renew_lease(tx: Transaction, executor_id: str, now: datetime) -> None:
    """Say that a worker is alive."""
    if not insert_new(tx, ExecutorRow, executor_id=executor_id, beat_at=now):
        tx.session.execute(sa.update(ExecutorRow).where(ExecutorRow.executor_id == executor_id).values(beat_at=now))


def end_lease(tx: Transaction, executor_id: str) -> None:
    """Let a lease run out at once: the worker is known to be dead, or stops in good order."""
    tx.session.execute(sa.update(ExecutorRow).where(ExecutorRow.executor_id == executor_id).values(beat_at=_LONG_AGO))


def dead_executors(tx: Transaction, now: datetime, lease: timedelta) -> tuple[str, ...]:
    """List the workers whose lease ran out."""
    rows = tx.session.execute(sa.select(ExecutorRow.executor_id).where(ExecutorRow.beat_at < now - lease)).scalars()
    return tuple(rows)


def declare_all_dead(tx: Transaction, survivor: str) -> int:
    """End every lease but one: used when an exclusive lock on the data folder proves that nobody else lives."""
    result = tx.session.execute(
        sa.update(ExecutorRow).where(ExecutorRow.executor_id != survivor).values(beat_at=_LONG_AGO)
    )
    return int(getattr(result, "rowcount", 0))


def claim_dead(tx: Transaction, executor_id: str, now: datetime, lease: timedelta) -> bool:
    """Become the one who takes over from a dead worker, for the time of a lease; says no when another was faster."""
    result = tx.session.execute(
        sa.update(ExecutorRow)
        .where(ExecutorRow.executor_id == executor_id, ExecutorRow.beat_at < now - lease)
        .values(beat_at=now)
    )
    return bool(getattr(result, "rowcount", 0))


class Reaper:
    """Takes over the jobs of dead workers; any number of processes may run one."""

    def __init__(self, ledger: Ledger, lease: timedelta, on_parked: Callable[[Job, str], None]) -> None:
        self._ledger = ledger
        self._lease = lease
        self._on_parked = on_parked

    def reap(self, now: datetime) -> Reaped:
        """Look once: put the jobs of the dead back into their queues, or park those that keep killing workers."""
        with self._ledger.transaction() as tx:
            dead = dead_executors(tx, now, self._lease)
        resumed: list[str] = []
        parked: list[str] = []
        for executor_id in dead:
            # A process that stood still for longer than its lease (a laptop asleep) is alive all the same.
            if executor_id == DBOS.executor_id:
                continue
            with self._ledger.transaction() as tx:
                if not claim_dead(tx, executor_id, now, self._lease):
                    continue
            for job in DBOS.list_workflows(status="PENDING", executor_id=executor_id, load_output=False):
                (resumed if self._take_over(job, now) else parked).append(job.workflow_id)
            with self._ledger.transaction() as tx:
                tx.session.execute(sa.delete(ExecutorRow).where(ExecutorRow.executor_id == executor_id))
        return Reaped(resumed=tuple(resumed), parked=tuple(parked))

    def report_broken(self, now: datetime, within: timedelta = timedelta(days=1)) -> int:
        """Tell about each job that ended with an error nobody foresaw, and say how many were new."""
        told = 0
        for found in DBOS.list_workflows(status="ERROR", completed_after=(now - within).isoformat()):
            with self._ledger.transaction() as tx:
                if _is_parked(tx, found.workflow_id):
                    continue
            # Told first and noted after: a crash between the two tells twice, which is better than never.
            self._on_parked(_job(found), f"the step broke with {type(found.error).__name__}")
            with self._ledger.transaction() as tx:
                _note_parked(tx, found.workflow_id, now)
            told += 1
        return told

    def _take_over(self, job: WorkflowStatus, now: datetime) -> bool:
        """Resume a job, or cancel it when it was taken over too often; says whether it goes on."""
        with self._ledger.transaction() as tx:
            times = _count_take_over(tx, job.workflow_id, now)
        if times <= TAKE_OVERS_BEFORE_PARKING:
            DBOS.resume_workflows([job.workflow_id], queue_name=job.queue_name)
            return True
        self._on_parked(_job(job), f"its worker died {times} times while it ran")
        DBOS.cancel_workflows([job.workflow_id])
        return False


def _count_take_over(tx: Transaction, workflow_id: str, now: datetime) -> int:
    """Count one more take-over of a job and say how many there were."""
    if insert_new(tx, TakeOverRow, workflow_id=workflow_id, times=1, parked=False, at=now):
        return 1
    row = tx.session.execute(sa.select(TakeOverRow).where(TakeOverRow.workflow_id == workflow_id)).scalar_one()
    row.times, row.at = row.times + 1, now
    row.parked = row.times > TAKE_OVERS_BEFORE_PARKING
    return row.times


def _is_parked(tx: Transaction, workflow_id: str) -> bool:
    """Whether a person was told about this job."""
    row = tx.session.get(TakeOverRow, workflow_id)
    return row is not None and row.parked


def _note_parked(tx: Transaction, workflow_id: str, now: datetime) -> None:
    """Note that a person was told about this job."""
    if not insert_new(tx, TakeOverRow, workflow_id=workflow_id, times=0, parked=True, at=now):
        tx.session.execute(sa.update(TakeOverRow).where(TakeOverRow.workflow_id == workflow_id).values(parked=True))


def _job(found: WorkflowStatus) -> Job:
    """Read the job a workflow was enqueued for."""
    given = found.input["args"][0] if found.input else {}
    return Job.from_json(given)
