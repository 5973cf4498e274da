"""The steps of the journey over a real ledger, spool and queues, and studies to take through them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.completion import CompletionPolicies, CompletionPolicy
from dicomnode.domain.derivation import Derivation
from dicomnode.domain.ports import Clock, InstanceSink
from dicomnode.domain.study import StoredInstance, StudyRevision
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, StudyInstanceUID, TransferSyntaxUID
from dicomnode.engine.children import Children
from dicomnode.engine.queues import Queues
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.journey.complete import Completion
from dicomnode.journey.decide import Deciding
from dicomnode.journey.derive import Deriving, SynthesisPlace
from dicomnode.journey.index import HeaderIndex
from dicomnode.journey.operator import Operator
from dicomnode.journey.receive import Receiving
from dicomnode.ledger.derivations import find_derivation, request_derivation
from dicomnode.ledger.studies import (
    DecisionRecord,
    DerivationRecord,
    list_decisions,
    list_derivations,
    list_instances,
    list_revisions,
)
from dicomnode.ledger.timeline import Event, timeline
from dicomnode.ledger.transaction import Ledger
from dicomnode.rules.ruleset import RuleSet, load_rule_set
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import Registry
from tests.builders import T2, a_series, uid
from tests.conftest import FakeClock
from tests.databases import SQLITE
from tests.nodes import COPY_RULE

sqlite_only = pytest.mark.parametrize("database_url", [SQLITE], indirect=True)
"""For what does not depend on the database."""

SENDER = Association(calling_ae=AETitle("SCANNER"), called_ae=AETitle("DICOMNODE"), peer_address="10.1.2.3")
STUDY = StudyInstanceUID(uid("study"))
QUIET = timedelta(seconds=10)
POLICIES = CompletionPolicies(default=CompletionPolicy(study_quiet=QUIET))
PLACE = SynthesisPlace(device="cpu", timeout_seconds=60, node_version="0.1.0")


@dataclass(frozen=True)
class Bench:
    """All parts of a node but its listeners and its worker: a test takes each step itself."""

    ledger: Ledger
    spool: Spool
    queues: Queues
    clock: FakeClock

    @cached_property
    def receiving(self) -> Receiving:
        return Receiving(self.ledger, self.spool, self.clock)

    @property
    def operator(self) -> Operator:
        return Operator(self.ledger, self.queues, self.clock)

    def completion(self, clock: Clock | None = None, policies: CompletionPolicies | None = None) -> Completion:
        index = HeaderIndex(self.ledger, self.spool)
        return Completion(self.ledger, self.queues, clock or self.clock, policies or POLICIES, index)

    def deciding(self, rules: str = COPY_RULE, registry: Registry | None = None) -> Deciding:
        found = registry or Registry.discover()
        return Deciding(self.ledger, self.spool, self.queues, self.clock, lambda: rule_set(rules), found)

    def deriving(self, children: Children) -> Deriving:
        return Deriving(self.ledger, self.spool, self.queues, self.clock, children, PLACE)

    def receive(self, *series: Sequence[Dataset]) -> None:
        """Take instances as a listener does."""
        for dataset in chain.from_iterable(series):
            self.offer(dataset).accept()

    def offer(self, dataset: Dataset) -> InstanceSink:
        """Hand over an instance's bytes, not yet accepted."""
        sink = self.receiving.open(offered(dataset))
        sink.write(data_set(dataset))
        return sink

    def complete(self) -> StudyRevision:
        """Let the one study with news go quiet, and close it."""
        self.clock.advance(QUIET.total_seconds())
        (revision,) = self.completion().sweep()
        return revision

    def ask(self, *series: Sequence[Dataset], rules: str = COPY_RULE) -> Derivation:
        """Take series up to the one derivation that the rules ask for of the newest revision."""
        self.receive(*series)
        revision = self.complete()
        self.deciding(rules)(revision.study_instance_uid, revision.number, attempt=1)
        (record,) = (one for one in self.derivations() if one.revision == revision.number)
        return self.derivation(record.key)

    def request(self, derivation: Derivation) -> Derivation:
        """Put a derivation of the test's own into the ledger."""
        with self.ledger.transaction() as tx:
            request_derivation(tx, derivation)
        return derivation

    def derivation(self, key: str) -> Derivation:
        with self.ledger.transaction() as tx:
            return find_derivation(tx, key)

    def derivations(self) -> tuple[DerivationRecord, ...]:
        with self.ledger.transaction() as tx:
            return list_derivations(tx, STUDY)

    def decisions(self) -> tuple[DecisionRecord, ...]:
        with self.ledger.transaction() as tx:
            return list_decisions(tx, STUDY)

    def revisions(self) -> tuple[StudyRevision, ...]:
        with self.ledger.transaction() as tx:
            return list_revisions(tx, STUDY)

    def instances(self, series: str | None = None) -> tuple[StoredInstance, ...]:
        with self.ledger.transaction() as tx:
            return list_instances(tx, STUDY, series)

    def events(self, step: str = "", study: str = STUDY) -> tuple[Event, ...]:
        """Read the timeline, or what one step wrote into it."""
        with self.ledger.transaction() as tx:
            return tuple(event for event in timeline(tx, study) if step in ("", event.step))

    def jobs(self, step: str = "") -> list[str]:
        """List the jobs that wait, by the first part of their ids."""
        return sorted(job for job in self.queues.unfinished() if step in ("", job.split(":")[0]))


def offered(dataset: Dataset, **announced: Any) -> OfferedInstance:
    """Announce an instance as its sender does."""
    said: dict[str, Any] = {
        "sop_class_uid": SOPClassUID(dataset.SOPClassUID),
        "sop_instance_uid": SOPInstanceUID(dataset.SOPInstanceUID),
        "transfer_syntax_uid": TransferSyntaxUID(dataset.file_meta.TransferSyntaxUID),
        "association": SENDER,
    }
    return OfferedInstance(**{**said, **announced})


def data_set(dataset: Dataset) -> bytes:
    """Encode an instance as it travels: without file meta information."""
    syntax = dataset.file_meta.TransferSyntaxUID
    encoded = encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian)
    assert encoded is not None
    return encoded


def t2(**attributes: Any) -> list[Dataset]:
    """Build the series that the rule of most tests copies: three small slices."""
    return a_series(**{"series": "t2", "slices": 3, "shape": (16, 12), "SeriesNumber": 3, **T2, **attributes})


def rule_set(rules: str) -> RuleSet:
    return load_rule_set(yaml.safe_load(rules), fact_catalogue())


@contextmanager
def without_table(ledger: Ledger, name: str) -> Iterator[None]:
    """Take a table of an SQLite database away: whatever needs it fails as in a damaged one."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE {name} RENAME TO away"))
    yield
    with ledger.engine.begin() as connection:
        connection.execute(sa.text(f"ALTER TABLE away RENAME TO {name}"))


class InterruptingClock:
    """A clock at whose second question something happens: what else goes on between two moments of a step."""

    def __init__(self, clock: FakeClock, happening: Callable[[], None]) -> None:
        self._clock = clock
        self._happening = happening
        self._asked = 0

    def now(self) -> datetime:
        self._asked += 1
        if self._asked == 2:
            self._happening()
        return self._clock.now()
