"""Putting work into the durable queues; the only place that knows how a job becomes a DBOS workflow.

A job's row is inserted inside the caller's ledger transaction, so a fact and the work that follows from it become true
together. The same job id again is the same job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from dbos import DBOSClient, EnqueueOptions
from dbos import DBOSPortableJSONSerializer as JSONSerializer

from dicomnode.ledger.transaction import Ledger, Transaction

APPLICATION = "dicomnode"
APPLICATION_VERSION = "1"
"""Pinned for ever: rows of another version would never be picked up. A workflow changes its shape under a new name."""
FINISHED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
ROUTINE = 10

Argument = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work for a worker: which step, on which queue, with ids as arguments (never patient data)."""

    step: str
    id: str
    queue: str
    arguments: tuple[Argument, ...]
    priority: int = ROUTINE
    attempt: int = 1
    delay_seconds: float = 0

    @property
    def workflow_id(self) -> str:
        """The name under which the engine knows this attempt."""
        return f"{self.id}:{self.attempt}"

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Job":
        """Read back what the engine stored."""
        return cls(**{**value, "arguments": tuple(value["arguments"])})

    def next_attempt(self, delay_seconds: float) -> "Job":
        """Build the row for the next try."""
        return replace(self, attempt=self.attempt + 1, delay_seconds=delay_seconds)


class Queues:
    """Enqueues and forgets jobs; usable from every process, also from those that run none."""

    def __init__(self, ledger: Ledger) -> None:
        self._client = DBOSClient(
            system_database_url=ledger.url,
            system_database_engine=ledger.engine,
            serializer=JSONSerializer(),
            application_name=APPLICATION,
            lazy=True,
        )

    def enqueue(self, tx: Transaction, job: Job) -> None:
        """Add a job in the caller's transaction; it starts after the commit, by priority, not before its delay."""
        self._client.enqueue_in_transaction(tx.session, enqueue_options(job), asdict(job))

    def forget_finished(self, before: datetime, limit: int = 1000) -> int:
        """Delete the engine's rows of jobs that ended before an instant, and say how many; the ledger keeps its own."""
        ids = [
            found.workflow_id
            for found in self._client.list_workflows(
                status=list(FINISHED),
                completed_before=before.isoformat(),
                limit=limit,
                load_input=False,
                load_output=False,
            )
        ]
        if ids:
            self._client.delete_workflows(ids)
        return len(ids)

    def unfinished(self) -> Sequence[str]:
        """List the ids of all jobs that wait or run."""
        found = self._client.list_workflows(
            status=["ENQUEUED", "PENDING", "DELAYED"], load_input=False, load_output=False
        )
        return [workflow.workflow_id for workflow in found]

    def close(self) -> None:
        """Give back what the client holds."""
        self._client.destroy()


def enqueue_options(job: Job) -> EnqueueOptions:
    """Describe a job in the engine's own terms."""
    options: EnqueueOptions = {
        "workflow_name": job.step,
        "queue_name": job.queue,
        "workflow_id": job.workflow_id,
        "app_version": APPLICATION_VERSION,
        "application_name": APPLICATION,
        "priority": job.priority,
    }
    if job.delay_seconds > 0:
        options["delay_seconds"] = job.delay_seconds
    return options
