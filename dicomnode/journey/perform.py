"""Perform: what a modality says of its steps is recorded, and an ended step is told in its studies' timelines."""

from dicomnode.domain.errors import DuplicateStep, StepIsFinal
from dicomnode.domain.mpps import PerformedStep, StepChange, StepState
from dicomnode.domain.ports import Clock
from dicomnode.ledger.performed_steps import change_step, lock_step, record_step
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction


class Performing:
    """Takes what a listener is told of steps (domain.mpps.PerformedSteps)."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def begin(self, step: PerformedStep) -> None:
        """Record a new step; raises DuplicateStep or LedgerUnavailable."""
        with self._ledger.transaction() as tx:
            if not record_step(tx, step, self._clock.now()):
                raise DuplicateStep("a performed procedure step of this UID was begun already")

    def change(self, change: StepChange) -> None:
        """Change a step in progress; raises NotInLedger, StepIsFinal or LedgerUnavailable."""
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            step = lock_step(tx, change.sop_instance_uid).step
            if step.state.is_final:
                # The wording that PS3.4 section F.7.2.2.3 gives to this error.
                raise StepIsFinal("Performed Procedure Step Object may no longer be updated")
            changed = change_step(tx, step, change, now)
            if changed.state.is_final:
                self._tell(tx, changed)

    def _tell(self, tx: Transaction, step: PerformedStep) -> None:
        """Say in the timelines how the step ended and what the modality says it made."""
        is_complete = step.state is StepState.COMPLETED
        ended = "completed" if is_complete else "discontinued"
        for study in step.study_instance_uids:
            write_event(
                tx,
                study,
                at=self._clock.now(),
                step="perform",
                state="done" if is_complete else "discontinued",
                text=f"{step.association.calling_ae} {ended} its performed procedure step and says that it made "
                f"{step.instances} instances in {len(step.series)} series.",
                detail={"performed_step": step.sop_instance_uid, "instances": step.instances},
            )
