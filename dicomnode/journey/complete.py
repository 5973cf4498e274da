"""Complete: a study that has news and has gone quiet is closed into its next revision and handed to decide."""

from datetime import timedelta

from dicomnode.domain.ports import Clock
from dicomnode.domain.study import StudyRevision
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import Queues
from dicomnode.journey.jobs import decide_job
from dicomnode.ledger.revisions import begin_revision, quiet_studies
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger


class Completion:
    """Looks for studies that are complete; any number of processes may run one, each revision begins once."""

    def __init__(self, ledger: Ledger, queues: Queues, clock: Clock, quiet: timedelta) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._quiet = quiet

    def sweep(self) -> tuple[StudyRevision, ...]:
        """Close every quiet study with news and give the revisions that this call began."""
        with self._ledger.transaction() as tx:
            quiet = quiet_studies(tx, self._clock.now(), self._quiet)
        begun = (self._complete(uid) for uid in quiet)
        return tuple(revision for revision in begun if revision is not None)

    def _complete(self, study_instance_uid: StudyInstanceUID) -> StudyRevision | None:
        """Begin the revision and enqueue its decision in one transaction.

        None when another process was faster, or when the study received again since it was found quiet.
        """
        now = self._clock.now()
        evidence = (f"nothing received for {self._quiet.total_seconds():g} s",)
        with self._ledger.transaction() as tx:
            if study_instance_uid not in quiet_studies(tx, now, self._quiet):
                return None
            revision = begin_revision(tx, study_instance_uid, evidence, now)
            if revision is None:
                return None
            write_event(
                tx,
                study_instance_uid,
                at=now,
                step="complete",
                state="done",
                text=f"Complete with {revision.instances} instances as revision {revision.number}, "
                f"because {evidence[0]}.",
                detail={"revision": revision.number, "evidence": list(evidence)},
            )
            self._queues.enqueue(tx, decide_job(revision))
        return revision
