"""The jobs of the journey: which step runs on which queue under which id, and how long it pauses between attempts."""

from dicomnode.domain.commitment import TransactionUID
from dicomnode.domain.delivery import Consignment
from dicomnode.domain.derivation import Derivation
from dicomnode.domain.study import StudyRevision
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import Job

DECIDE, DERIVE, DELIVER, COMMIT = "decide", "derive", "deliver", "commit"
ORCHESTRATE_QUEUE, GPU_QUEUE, COMMIT_QUEUE = "orchestrate", "gpu", "commit"
_DOUBLINGS = 16
"""More than any pause needs; a job may be tried so often that a power of two would be too large for a float."""


def decide_job(revision: StudyRevision) -> Job:
    """Decide one revision of a study."""
    return Job(
        step=DECIDE,
        id=f"study:{revision.study_instance_uid}:{revision.number}",
        queue=ORCHESTRATE_QUEUE,
        arguments=(revision.study_instance_uid, revision.number),
    )


def redecide_job(study_instance_uid: StudyInstanceUID, revision: int, round_: int) -> Job:
    """Decide a revision once more that was left to a person; each round is one job."""
    return Job(
        step=DECIDE,
        id=_in_round(f"study:{study_instance_uid}:{revision}", round_),
        queue=ORCHESTRATE_QUEUE,
        arguments=(study_instance_uid, revision),
    )


def derive_job(derivation: Derivation, round_: int = 1) -> Job:
    """Synthesise; the id is the derivation's key, so that the same work is one job in each round a person asks for."""
    return Job(
        step=DERIVE,
        id=_in_round(derivation.key, round_),
        queue=GPU_QUEUE,
        arguments=(derivation.key,),
        priority=derivation.priority,
    )


def deliver_job(consignment: Derivation | Consignment, destination: str, round_: int = 1) -> Job:
    """Send a derived or routed series to one destination; each destination has a queue of its own."""
    return Job(
        step=DELIVER,
        id=_in_round(f"deliver:{consignment.key}:{destination}", round_),
        queue=deliver_queue(destination),
        arguments=(consignment.key, destination),
        priority=consignment.priority,
    )


def commit_job(transaction_uid: TransactionUID) -> Job:
    """Answer a request for storage commitment, on a queue of its own: a peer that is silent holds up no decision."""
    return Job(step=COMMIT, id=f"commit:{transaction_uid}", queue=COMMIT_QUEUE, arguments=(transaction_uid,))


def deliver_queue(destination: str) -> str:
    """Name the queue of one destination, so that a slow one holds up no other."""
    return f"deliver.{destination}"


def pause(attempt: int, longest_seconds: float) -> float:
    """Say how many seconds to wait after an attempt failed: twice as long after each, up to the longest."""
    return min(2.0 ** min(attempt, _DOUBLINGS), longest_seconds)


def _in_round(job_id: str, round_: int) -> str:
    """Give a job that a person asked for again an id of its own; its attempts count from 1 again."""
    return job_id if round_ == 1 else f"{job_id}:round{round_}"
