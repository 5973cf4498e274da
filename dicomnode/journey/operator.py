"""What a person can ask for when the node cannot go on by itself."""

from datetime import datetime

from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import ModelFailed, NotInLedger
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import Job, Queues
from dicomnode.journey.jobs import COMMIT, DECIDE, DELIVER, DERIVE, deliver_job, derive_job
from dicomnode.ledger.commitments import note_unreported
from dicomnode.ledger.deliveries import queue_again
from dicomnode.ledger.derivations import end_derivation, find_derivation, lock_derivation, retry_derivation
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction

_UNFINISHED = (DerivationState.WAITING, DerivationState.RUNNING)
_NEXT = {
    DECIDE: "The rules look at the study again when it has received more.",
    DERIVE: "A person can try it again.",
    DELIVER: "A person can send it again.",
}


class Operator:
    """The operator's verbs; each leaves a line in the timeline."""

    def __init__(self, ledger: Ledger, queues: Queues, clock: Clock) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock

    def retry(self, derivation_key: str) -> str:
        """Try a failed or refused derivation once more; raises NotInLedger when there is none to retry."""
        with self._ledger.transaction() as tx:
            round_ = retry_derivation(tx, derivation_key)
            derivation = find_derivation(tx, derivation_key)
            self._queues.enqueue(tx, derive_job(derivation, round_))
            said = f"An operator asked to try {derivation.model.name} again."
            write_event(
                tx,
                derivation.study_instance_uid,
                at=self._clock.now(),
                step="derive",
                state="waiting",
                text=said,
                detail={"derivation": derivation_key},
            )
        return said

    def resend(self, derivation_key: str, destination: str) -> str:
        """Send a derived series to a destination once more; raises NotInLedger when there is nothing to send."""
        with self._ledger.transaction() as tx:
            derivation = lock_derivation(tx, derivation_key)
            if derivation.state is DerivationState.REMOVED:
                raise NotInLedger("the series was removed from this node by retention; send its study again")
            again = queue_again(tx, derivation_key, destination, self._clock.now())
            self._queues.enqueue(tx, deliver_job(derivation, destination, again.round))
            said = f"An operator asked to send {again.instances} instances to {destination} again."
            write_event(
                tx,
                derivation.study_instance_uid,
                at=self._clock.now(),
                step="deliver",
                state="waiting",
                text=said,
                detail={"derivation": derivation_key, "destination": destination},
            )
        return said

    def park(self, job: Job, why: str) -> None:
        """Leave a job that keeps breaking to a person: say so in its study's timeline (callee of the reaper)."""
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            subject = str(job.arguments[0])
            if job.step == COMMIT:
                note_unreported(tx, subject, f"the step was stopped for good: {why}", now, for_good=True)
                return
            study = StudyInstanceUID(subject) if job.step == DECIDE else _give_up(tx, job, why, now)
            write_event(
                tx,
                study,
                at=now,
                step=job.step,
                state="needs operator",
                text=f"The step was stopped for good: {why}. Report this as a defect. {_NEXT[job.step]}",
                detail={"job": job.workflow_id},
            )


def _give_up(tx: Transaction, job: Job, why: str, now: datetime) -> StudyInstanceUID:
    """End a derivation whose job is parked, unless its end was recorded before the job broke; gives its study."""
    derivation = find_derivation(tx, str(job.arguments[0]))
    if job.step == DERIVE and derivation.state in _UNFINISHED:
        end_derivation(tx, derivation.key, DerivationState.FAILED, ModelFailed(why), now)
    return derivation.study_instance_uid
