"""A worker process for the engine's tests, to be watched by the notes it writes and killed at will."""

import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

from dicomnode.domain.steps import Done, NeedsOperator, RetryLater, StepResult
from dicomnode.engine.leases import Reaper, end_lease, renew_lease
from dicomnode.engine.queues import Argument, Job
from dicomnode.engine.ticker import Ticker
from dicomnode.engine.worker import QueueLimit, Worker
from dicomnode.ledger.transaction import Ledger

QUEUES = (QueueLimit(name="one", concurrency=1), QueueLimit(name="many", concurrency=8))


class Notes:
    """Steps that write down what they do."""

    def __init__(self, folder: Path, executor_id: str) -> None:
        self.folder = folder
        self.executor_id = executor_id

    def write(self, kind: str, name: object, **more: object) -> None:
        line = json.dumps({"kind": kind, "name": name, "by": self.executor_id, "pid": os.getpid(), **more}) + "\n"
        with (self.folder / "notes").open("a") as file:
            file.write(line)

    def quick(self, *arguments: Argument, attempt: int) -> StepResult:
        self.write("quick", arguments[0], arguments=arguments, attempt=attempt)
        return Done(said="done")

    def flaky(self, *arguments: Argument, attempt: int) -> StepResult:
        """Fail until the attempt that the second argument names; the third says how many seconds to wait."""
        self.write("flaky", arguments[0], attempt=attempt, at=time.monotonic())
        if attempt < int(arguments[1]):
            return RetryLater(reason="not yet", seconds=float(arguments[2]))
        return Done(said="at last")

    def slow(self, *arguments: Argument, attempt: int) -> StepResult:
        """Work until a file of the job's name appears."""
        self.write("begun", arguments[0], attempt=attempt)
        while not (self.folder / str(arguments[0])).exists():
            time.sleep(0.02)
        self.write("ended", arguments[0])
        return Done(said="slow but done")

    def poison(self, *arguments: Argument, attempt: int) -> StepResult:
        """Kill the process it runs in."""
        self.write("poison", arguments[0], attempt=attempt)
        os._exit(9)

    def broken(self, *arguments: Argument, attempt: int) -> StepResult:
        """Raise what no step may raise."""
        self.write("broken", arguments[0], attempt=attempt)
        raise ZeroDivisionError("a defect")

    def operator(self, *arguments: Argument, attempt: int) -> StepResult:
        self.write("operator", arguments[0], attempt=attempt)
        return NeedsOperator(reason="cannot go on", help="look at it")

    def parked(self, job: Job, why: str) -> None:
        self.write("parked", job.arguments[0], why=why, step=job.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOrder:
    """What one worker process is to be."""

    url: str
    executor_id: str
    folder: Path
    lease: timedelta
    """How long its lease runs; zero: this process renews none and runs no reaper."""
    further_steps: tuple[str, ...] = ()


def work(order: WorkerOrder, ready: Event, stop: Event) -> None:
    """Be a worker until told to stop, or killed."""
    with (order.folder / f"{order.executor_id}.log").open("w") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    notes = Notes(order.folder, order.executor_id)
    names = ("quick", "flaky", "slow", "poison", "broken", "operator")
    steps = {name: getattr(notes, name) for name in names} | dict.fromkeys(order.further_steps, notes.quick)
    ledger = Ledger(order.url)
    _renew(ledger, order.executor_id)
    worker = Worker(ledger, order.executor_id, steps, QUEUES)
    worker.start()
    tickers = _tickers(ledger, notes, order) if order.lease else []
    for ticker in tickers:
        ticker.start()
    ready.set()
    stop.wait()
    for ticker in tickers:
        ticker.stop()
    worker.stop()
    with ledger.transaction() as tx:
        end_lease(tx, order.executor_id)
    ledger.close()


def _tickers(ledger: Ledger, notes: Notes, order: WorkerOrder) -> list[Ticker]:
    reaper = Reaper(ledger, order.lease, notes.parked)
    return [
        Ticker("lease", order.lease.total_seconds() / 4, lambda: _renew(ledger, order.executor_id)),
        Ticker("reaper", 0.1, lambda: _reap(reaper, notes)),
    ]


def _renew(ledger: Ledger, executor_id: str) -> None:
    with ledger.transaction() as tx:
        renew_lease(tx, executor_id, datetime.now(UTC))


def _reap(reaper: Reaper, notes: Notes) -> None:
    found = reaper.reap(datetime.now(UTC))
    for job in found.resumed:
        notes.write("resumed", job)
    reaper.report_broken(datetime.now(UTC))
