"""Running jobs durably: one DBOS executor per process, each step recorded once, the next attempt a row of its own."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from dbos import DBOS, DBOSConfig
from dbos import DBOSPortableJSONSerializer as JSONSerializer

from dicomnode.domain.steps import Done, NeedsOperator, RetryLater, StepResult
from dicomnode.engine.queues import APPLICATION, APPLICATION_VERSION, Argument, Job, enqueue_options
from dicomnode.ledger.transaction import Ledger

_POLL_SECONDS = 0.2
_PARK_AFTER_CRASHES = 1000
"""DBOS's own limit; it never decides here, because the reaper counts the take-overs itself."""


class Step(Protocol):
    """A verb of the journey: takes the job's arguments and the attempt's number, and says how it went."""

    def __call__(self, *arguments: Argument, attempt: int) -> StepResult:
        """Do the work; must be safe to run again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLimit:
    """How many jobs of a queue one worker runs at a time."""

    name: str
    concurrency: int


class Worker:
    """One process that takes jobs from some queues; only one may live in a process (DBOS is a singleton)."""

    def __init__(
        self, ledger: Ledger, executor_id: str, steps: Mapping[str, Step], queues: tuple[QueueLimit, ...]
    ) -> None:
        self.executor_id = executor_id
        self._ledger = ledger
        self._steps = steps
        self._queues = queues

    def start(self) -> None:
        """Register the steps, migrate the engine's own tables and begin to take jobs."""
        config: DBOSConfig = {
            "name": APPLICATION,
            "system_database_url": self._ledger.url,
            "system_database_engine": self._ledger.engine,
            "executor_id": self.executor_id,
            "application_version": APPLICATION_VERSION,
            "serializer": JSONSerializer(),
            "log_level": "WARNING",
            "use_listen_notify": False,
        }
        DBOS(config=config)
        for name, step in self._steps.items():
            _register(name, step)
        DBOS.listen_queues([queue.name for queue in self._queues])
        DBOS.launch()
        for queue in self._queues:
            DBOS.register_queue(
                queue.name,
                worker_concurrency=queue.concurrency,
                polling_interval_sec=_POLL_SECONDS,
                on_conflict="always_update",
            )

    def stop(self) -> None:
        """Stop taking jobs and let those that run come to their end of step; unfinished ones are taken over later."""
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0)


def migrate_engine(ledger: Ledger) -> None:
    """Create or migrate the engine's own tables, so that processes which run no jobs can enqueue at once."""
    logging.getLogger("dbos").setLevel(logging.WARNING)
    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": ledger.url,
            "system_database_engine": ledger.engine,
            "application_version": APPLICATION_VERSION,
            "log_level": "WARNING",
            "use_listen_notify": False,
        }
    )
    DBOS.listen_queues([])
    DBOS.launch()
    DBOS.destroy(destroy_registry=True)


def _register(name: str, step: Step) -> None:
    """Make a durable workflow of a step: its result is stored once; a retry is enqueued as a delayed row."""

    @DBOS.step(name=f"{name}.step")
    def run(stored: dict[str, Any]) -> dict[str, Any]:
        job = Job.from_json(stored)
        return _to_json(step(*job.arguments, attempt=job.attempt))

    @DBOS.workflow(name=name, max_recovery_attempts=_PARK_AFTER_CRASHES)
    def workflow(stored: dict[str, Any]) -> dict[str, Any]:
        result = run(stored)
        if result["answer"] == "retry":
            again = Job.from_json(stored).next_attempt(max(float(result["seconds"]), 0.01))
            DBOS.enqueue_workflow_with_options(enqueue_options(again), asdict(again))
        return result


def _to_json(result: StepResult) -> dict[str, Any]:
    """Turn a step's answer into what the engine stores."""
    match result:
        case Done():
            return {"answer": "done", "text": result.said}
        case RetryLater():
            return {"answer": "retry", "text": result.reason, "seconds": result.seconds}
        case NeedsOperator():
            return {"answer": "operator", "text": result.reason}
