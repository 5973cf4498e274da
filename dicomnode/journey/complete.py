"""Complete: a study that has news and is complete by evidence is closed into its next revision and handed to decide."""

from datetime import datetime, timedelta

from dicomnode.domain.completion import Complete, CompletionPolicies, Evidence, EvidenceKind, Waiting
from dicomnode.domain.ports import Clock
from dicomnode.domain.study import StudyRevision
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import Queues
from dicomnode.journey.index import HeaderIndex
from dicomnode.journey.jobs import decide_job
from dicomnode.journey.judging import Judging
from dicomnode.ledger.completion import (
    StudyNews,
    find_news,
    find_waiting,
    forget_evidence,
    forget_sendings,
    keep_waiting,
    signals,
    studies_with_news,
)
from dicomnode.ledger.revisions import begin_revision
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger

_TOLD_EVERY = timedelta(seconds=1)
_SENDINGS_KEPT = timedelta(days=1)
_STILL_COMING = "instances are still coming in"


class Completion:
    """Looks for studies that are complete; any number of processes may run one, each revision begins once."""

    def __init__(
        self, ledger: Ledger, queues: Queues, clock: Clock, policies: CompletionPolicies, index: HeaderIndex
    ) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._judging = Judging(ledger, policies, index)
        self._told: dict[StudyInstanceUID, Waiting] = {}
        self._told_at: datetime | None = None

    def sweep(self) -> tuple[StudyRevision, ...]:
        """Judge every study with news, close those that are complete, and give the revisions that this call began."""
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            news = studies_with_news(tx)
            around = signals(tx, [one.study_instance_uid for one in news])
        self._judging.begin_sweep(frozenset(around))
        begun = []
        for one in news:
            verdict = self._judging.judge(one, around[one.study_instance_uid], now)
            if isinstance(verdict, Complete):
                begun.append(self._begin(one, verdict.evidence))
        self._tell(now)
        return tuple(revision for revision in begun if revision is not None)

    def forget(self) -> None:
        """Forget associations of long ago that no revision has forgotten."""
        with self._ledger.transaction() as tx:
            forget_sendings(tx, self._clock.now() - _SENDINGS_KEPT)

    def _begin(self, news: StudyNews, evidence: tuple[Evidence, ...]) -> StudyRevision | None:
        """Begin the revision and enqueue its decision in one transaction.

        None when another process was faster, or when the study received again since it was judged.
        """
        now, study = self._clock.now(), news.study_instance_uid
        told = tuple(one.text for one in evidence)
        with self._ledger.transaction() as tx:
            if find_news(tx, study, lock=True) != news:
                return None
            revision = begin_revision(tx, study, told, now)
            if revision is None:
                return None
            forget_evidence(tx, study)
            write_event(
                tx,
                study,
                at=now,
                step="complete",
                state="done",
                text=_in_words(revision, evidence),
                detail={"revision": revision.number, "evidence": list(told)},
            )
            self._queues.enqueue(tx, decide_job(revision))
        return revision

    def _tell(self, now: datetime) -> None:
        """Record what is waited for, where that changed; not at every sweep, because each record costs a commit."""
        if self._told_at is not None and timedelta(0) <= now - self._told_at < _TOLD_EVERY:
            return
        waiting = self._judging.waiting()
        changed = [(study, one) for study, one in waiting.items() if self._told.get(study) != one]
        self._told, self._told_at = waiting, now
        if changed:
            with self._ledger.transaction() as tx:
                keep_waiting(tx, changed)


def _in_words(revision: StudyRevision, evidence: tuple[Evidence, ...]) -> str:
    """Say why the revision begins; where only the wait has ended, that something is missing is said first."""
    begun = f"with {revision.instances} instances as revision {revision.number}"
    told = "; ".join(one.text for one in evidence)
    if evidence[0].kind is EvidenceKind.WAITED:
        return f"Begun {begun} although something is missing: {told}."
    return f"Complete {begun}, because {told}."


def waiting_for(ledger: Ledger, study_instance_uid: StudyInstanceUID) -> Waiting | None:
    """Say what is waited for before a study is taken to be complete; None where it has no news."""
    with ledger.transaction() as tx:
        news, waiting = find_news(tx, study_instance_uid), find_waiting(tx, study_instance_uid)
    if news is None:
        return None
    return waiting or Waiting(until=news.last_received_at, why=(_STILL_COMING,))
