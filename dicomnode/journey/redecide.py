"""Redecide: studies that no rule could look at are looked at again when other rules are in force, or at a new start."""

from dicomnode.domain.ports import Clock
from dicomnode.engine.queues import Queues
from dicomnode.journey.jobs import redecide_job
from dicomnode.ledger.rule_book import latest_publication, lock_rules
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.ledger.undecided import UndecidedRevision, undecided_revisions

_SAID = "The rules in force are others now, or can be read again: this revision is decided once more."


class Redeciding:
    """Watches which rules are in force; any number of processes may run one, each attempt is one job."""

    def __init__(self, ledger: Ledger, queues: Queues, clock: Clock) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._seen: int | None = None

    def sweep(self) -> int:
        """Enqueue the studies that wait for other rules, once after each publication; tells how many."""
        with self._ledger.transaction() as tx:
            latest = latest_publication(tx)
        if latest is None or latest.number == self._seen:
            return 0
        with self._ledger.transaction() as tx:
            lock_rules(tx, self._clock.now())
            waiting = undecided_revisions(tx)
            for one in waiting:
                self._enqueue(tx, one)
        self._seen = latest.number
        return len(waiting)

    def _enqueue(self, tx: Transaction, one: UndecidedRevision) -> None:
        self._queues.enqueue(tx, redecide_job(one.study_instance_uid, one.number, one.times + 1))
        detail = {"revision": one.number}
        now, study = self._clock.now(), one.study_instance_uid
        write_event(tx, study, at=now, step="decide", state="waiting", text=_SAID, detail=detail)
