"""What a person can ask for when the node cannot go on by itself."""

from datetime import datetime

from dicomnode.domain.delivery import Consignment
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import ModelFailed, NothingNew, NotInLedger
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import Job, Queues
from dicomnode.journey.jobs import COMMIT, DECIDE, DELIVER, DERIVE, deliver_job, derive_job
from dicomnode.ledger.commitments import note_unreported
from dicomnode.ledger.completion import ask_completion, find_news
from dicomnode.ledger.deliveries import ROUTE_PREFIX, consigned, find_consignment, queue_again
from dicomnode.ledger.derivations import (
    end_derivation,
    find_derivation,
    held_derivations,
    lock_derivation,
    release_derivation,
    retry_derivation,
)
from dicomnode.ledger.retention import lock_study
from dicomnode.ledger.studies import find_study
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

    def retry(self, derivation_key: str, by: str = "") -> str:
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
                detail={"derivation": derivation_key, **_person(by)},
            )
        return said

    def resend(self, derivation_key: str, destination: str, by: str = "") -> str:
        """Send a derived or routed series to a destination once more; raises NotInLedger when there is nothing."""
        with self._ledger.transaction() as tx:
            consignment = _sendable(tx, derivation_key, destination)
            again = queue_again(tx, derivation_key, destination, self._clock.now())
            self._queues.enqueue(tx, deliver_job(consignment, destination, again.round))
            said = f"An operator asked to send {again.instances} instances to {destination} again."
            write_event(
                tx,
                consignment.study_instance_uid,
                at=self._clock.now(),
                step="deliver",
                state="waiting",
                text=said,
                detail={"derivation": derivation_key, "destination": destination, **_person(by)},
            )
        return said

    def release_hold(self, study_instance_uid: StudyInstanceUID, by: str = "an operator") -> str:
        """Let the syntheses of a study begin that a rule holds; raises NotInLedger when none is held."""
        with self._ledger.transaction() as tx:
            held = held_derivations(tx, study_instance_uid)
            if not held:
                raise NotInLedger("nothing of this study is held")
            for derivation in held:
                round_ = release_derivation(tx, derivation.key)
                if round_ is not None:
                    self._queues.enqueue(tx, derive_job(derivation, round_))
            said = f"Released by {by}: {', '.join(sorted({one.model.name for one in held}))} may begin."
            detail = {"derivations": [one.key for one in held]}
            write_event(
                tx, study_instance_uid, at=self._clock.now(), step="decide", state="done", text=said, detail=detail
            )
        return said

    def complete_now(self, study_instance_uid: StudyInstanceUID, by: str) -> str:
        """Take a study as complete at the next sweep, whatever is still missing; raises NotInLedger, NothingNew."""
        now, said = self._clock.now(), f"{by} asked to take the study as complete now."
        with self._ledger.transaction() as tx:
            find_study(tx, study_instance_uid)
            if find_news(tx, study_instance_uid) is None:
                raise NothingNew("the study received nothing since its last revision")
            ask_completion(tx, study_instance_uid, by, now)
            write_event(tx, study_instance_uid, at=now, step="complete", state="waiting", text=said)
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


def _sendable(tx: Transaction, key: str, destination: str) -> Consignment:
    """Find what can go to a destination again; a derivation is locked against retention. Raises NotInLedger."""
    if key.startswith(ROUTE_PREFIX):
        consignment = find_consignment(tx, key)
        lock_study(tx, consignment.study_instance_uid)
    else:
        derivation = lock_derivation(tx, key)
        if derivation.state is DerivationState.REMOVED:
            raise NotInLedger("the series was removed from this node by retention; send its study again")
        consignment = find_consignment(tx, key)
    if not consigned(tx, key, destination):
        raise NotInLedger("nothing of it is here that could go to this destination")
    return consignment


def _person(by: str) -> dict[str, str]:
    """Say in an event who asked, where that is known."""
    return {"by": by} if by else {}


def _give_up(tx: Transaction, job: Job, why: str, now: datetime) -> StudyInstanceUID:
    """End a derivation whose job is parked, unless its end was recorded before the job broke; gives its study."""
    if job.step == DELIVER:
        return find_consignment(tx, str(job.arguments[0])).study_instance_uid
    derivation = find_derivation(tx, str(job.arguments[0]))
    if job.step == DERIVE and derivation.state in _UNFINISHED:
        end_derivation(tx, derivation.key, DerivationState.FAILED, ModelFailed(why), now)
    return derivation.study_instance_uid
