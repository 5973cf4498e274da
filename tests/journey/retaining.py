"""Studies that are done with, and a retention over the bench, for tests of what may go and what must stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydicom.dataset import Dataset

from dicomnode.domain.capacity import DiskLevel, DiskState
from dicomnode.domain.derivation import Derivation
from dicomnode.journey.retain import Retention, RetentionPolicy
from dicomnode.ledger.deliveries import record_outcomes
from dicomnode.ledger.retention import pending_removals
from dicomnode.spool.inventory import INSTANCES, kept_files
from tests.builders import uid
from tests.journey.bench import Bench, t2
from tests.ledger.values import outcomes
from tests.web.holdings import Holdings, a_synthetic_series

KEEP = timedelta(days=30)


@dataclass
class Disk:
    """A disk whose level a test sets (domain.capacity.Capacity)."""

    level: DiskLevel = DiskLevel.OK

    def state(self) -> DiskState:
        return DiskState(level=self.level, free=0, total=0)

    def congestion(self) -> str | None:
        return None


def retention(
    bench: Bench,
    disk: Disk | None = None,
    *,
    keep: timedelta | None = KEEP,
    make_room: bool = False,
    asked: frozenset[str] = frozenset(),
) -> Retention:
    policy = RetentionPolicy(keep=keep, make_room=make_room, asked=asked)
    return Retention(bench.ledger, bench.spool, bench.clock, disk or Disk(), policy)


def a_delivered_study(bench: Bench) -> tuple[Derivation, Sequence[Dataset]]:
    """Take the study from its arrival to the delivery of what was made of it; gives also what was received."""
    received = t2()
    derivation = bench.ask(received)
    made = a_synthetic_series("study", "derived", slices=3, shape=(16, 12))
    Holdings(bench.ledger, bench.spool, bench.clock).derive(derivation, made)
    deliver(bench, derivation)
    return derivation, received


def deliver(bench: Bench, derivation: Derivation) -> None:
    """Let the destination say that it has everything."""
    with bench.ledger.transaction() as tx:
        sent = bench.instances(uid("study", "derived"))
        record_outcomes(tx, derivation.key, "pacs", outcomes(sent), bench.clock.now())  # type: ignore[arg-type]


def files(bench: Bench) -> list[str]:
    return list(kept_files(bench.spool, INSTANCES))


def pending(bench: Bench) -> tuple[str, ...]:
    with bench.ledger.transaction() as tx:
        return pending_removals(tx, "", 1000)
