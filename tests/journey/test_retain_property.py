"""Whatever state a study is in: it leaves exactly when all is done and delivered and it is old enough."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from dicomnode.domain.capacity import DiskLevel
from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.derivation import DerivationState, DerivedInstance
from dicomnode.domain.mpps import StepState
from dicomnode.domain.rule import Decision, Explanation
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.journey.retain import Retention, RetentionPolicy
from dicomnode.ledger.commitments import end_commitment, record_commitment
from dicomnode.ledger.deliveries import queue_delivery
from dicomnode.ledger.derivations import finish_derivation, request_derivation
from dicomnode.ledger.performed_steps import record_step
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.retention import hold_study
from dicomnode.ledger.revisions import begin_revision, mark_decided, record_decision
from dicomnode.ledger.studies import list_derivations, list_instances
from dicomnode.ledger.tables import DeliveryRow, DerivationRow
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.spool.store import Spool
from tests.conftest import FakeClock
from tests.journey.retaining import Disk
from tests.ledger.test_commitments import TRANSACTION, a_request
from tests.ledger.test_performed_steps import a_step
from tests.ledger.values import REPORT, STUDY, a_derivation, derived, received

START = datetime(2026, 3, 1, tzinfo=UTC)
KEEP_DAYS = 30
DESTINATIONS = ("archive", "pacs")
MADE = (DerivationState.DERIVED, DerivationState.SUPERSEDED)
_UNFINISHED = (DerivationState.WAITING, DerivationState.RUNNING, DerivationState.FAILED, DerivationState.HELD)


@dataclass(frozen=True)
class Work:
    """One derivation: its state, and where each of its two instances stands on the way to each destination."""

    state: DerivationState
    deliveries: dict[str, tuple[DeliveryState, DeliveryState]]

    def is_done_with(self, asked: frozenset[str]) -> bool:
        if self.state in _UNFINISHED:
            return False
        return all(
            one is DeliveryState.VERIFIED or (one is DeliveryState.STORED and destination not in asked)
            for destination, states in self.deliveries.items()
            for one in states
        )


@dataclass(frozen=True)
class Scene:
    """All that may speak for or against the removal of a study."""

    is_complete: bool
    is_late: bool
    is_decided: bool
    has_problem: bool
    is_held: bool
    commitment: str
    step: StepState | None
    works: tuple[Work, ...]
    asked: frozenset[str]
    days: int
    keeps: bool
    makes_room: bool
    level: DiskLevel

    @property
    def is_done_with(self) -> bool:
        return (
            self.is_complete
            and not self.is_late
            and self.is_decided
            and not self.has_problem
            and not self.is_held
            and self.commitment != "waiting"
            and self.step is not StepState.IN_PROGRESS
            and all(work.is_done_with(self.asked) for work in self.works)
        )

    @property
    def is_old_enough(self) -> bool:
        if self.makes_room and self.level is not DiskLevel.OK:
            return self.days >= 1
        return self.keeps and self.days >= KEEP_DAYS


def _works() -> st.SearchStrategy[Work]:
    states = st.sampled_from(DeliveryState)
    sent = st.dictionaries(st.sampled_from(DESTINATIONS), st.tuples(states, states))
    made = st.builds(Work, st.sampled_from(MADE), sent)
    others = [state for state in DerivationState if state not in (*MADE, DerivationState.REMOVED)]
    return made | st.builds(Work, st.sampled_from(others), st.just({}))


def _mostly(value: object, *others: object) -> st.SearchStrategy[object]:
    """Draw what does not speak against it more often, or nothing would ever leave."""
    return st.sampled_from([value] * 12 + list(others))


SCENES = st.builds(
    Scene,
    is_complete=_mostly(True, False),
    is_late=_mostly(False, True),
    is_decided=_mostly(True, False),
    has_problem=_mostly(False, True),
    is_held=_mostly(False, True),
    commitment=_mostly("none", "waiting", "reported", "of others"),
    step=_mostly(None, *StepState),
    works=st.lists(_works(), max_size=2).map(tuple),
    asked=st.frozensets(st.sampled_from(DESTINATIONS)),
    days=st.integers(0, 60),
    keeps=_mostly(True, False),
    makes_room=st.booleans(),
    level=st.sampled_from(DiskLevel),
)


@pytest.fixture(scope="module")
def shared_spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    return Spool(tmp_path_factory.mktemp("property") / "spool")


def _set_up(tx: Transaction, scene: Scene) -> None:
    record_received(tx, received(1, at=START))
    if scene.is_complete:
        begin_revision(tx, STUDY, ("quiet",), START)
    if scene.is_decided:
        mark_decided(tx, (STUDY, 1), START)
    if scene.has_problem:
        explanation = Explanation(holds=True, text="all of these")
        decision = Decision(rule="FLAIR", rule_set_version="1", fired=True, problem="two fit", explanation=explanation)
        record_decision(tx, (STUDY, 1), decision, None, START)
    if scene.is_late:
        record_received(tx, received(2, at=START))
    if scene.is_held:
        hold_study(tx, STUDY, "a teaching case")
    if scene.step is not None:
        record_step(tx, replace(a_step(), state=scene.step), START)
    _ask_for_commitment(tx, scene.commitment)
    for number, work in enumerate(scene.works):
        _do(tx, work, number)


def _ask_for_commitment(tx: Transaction, how: str) -> None:
    request = a_request(2)
    if how == "of others":
        request = replace(request, references=request.references[:1])
    if how != "none":
        record_commitment(tx, request, START)
    if how == "reported":
        end_commitment(tx, TRANSACTION, (), START)


def _do(tx: Transaction, work: Work, number: int) -> None:
    asked = replace(a_derivation(f"derive:{number}", rule=f"rule {number}"), destinations=tuple(work.deliveries))
    request_derivation(tx, asked)
    if work.state in MADE:
        instances = derived(2, series=SeriesInstanceUID(f"2.25.{number + 1}"))
        finish_derivation(tx, asked, [_own(one, number) for one in instances], REPORT, START)
        for destination, states in work.deliveries.items():
            queue_delivery(tx, (asked.key, STUDY), destination, instances, START)
            for instance, state in zip(instances, states, strict=True):
                tx.session.execute(
                    sa.update(DeliveryRow)
                    .where(
                        DeliveryRow.derivation_key == asked.key,
                        DeliveryRow.destination == destination,
                        DeliveryRow.sop_instance_uid == instance.sop_instance_uid,
                    )
                    .values(state=state)
                )
    tx.session.execute(sa.update(DerivationRow).where(DerivationRow.key == asked.key).values(state=work.state))


def _own(instance: DerivedInstance, number: int) -> DerivedInstance:
    """Give a derived instance a file of its own."""
    digest = f"{number + 1}{instance.digest[1:]}"
    return replace(instance, digest=digest, path=f"instances/{digest[:2]}/{digest}.dcm")


@pytest.fixture
def new_ledger(sqlite_template: Path, tmp_path: Path) -> Callable[[], Ledger]:
    numbers = iter(range(10**6))

    def copy() -> Ledger:
        file = tmp_path / f"{next(numbers)}.db"
        shutil.copyfile(sqlite_template, file)
        return Ledger(f"sqlite:///{file}")

    return copy


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scene=SCENES)
def test_a_study_leaves_exactly_when_all_is_delivered_and_it_is_old_enough(
    new_ledger: Callable[[], Ledger], shared_spool: Spool, scene: Scene
) -> None:
    ledger = new_ledger()
    with ledger.transaction() as tx:
        _set_up(tx, scene)
        before = _undelivered(tx, scene.asked)
    clock = FakeClock(START + timedelta(days=scene.days, seconds=30))
    policy = RetentionPolicy(
        keep=timedelta(days=KEEP_DAYS) if scene.keeps else None, make_room=scene.makes_room, asked=scene.asked
    )
    retaining = Retention(ledger, shared_spool, clock, Disk(scene.level), policy)
    told = [verdict.may_go for verdict in retaining.verdicts()]
    retaining.step()
    with ledger.transaction() as tx:
        has_left = not list_instances(tx, STUDY)
    assert has_left == (scene.is_done_with and scene.is_old_enough)
    assert told == [has_left]
    assert not (has_left and before)
    event(f"left: {has_left}")
    ledger.close()


def _undelivered(tx: Transaction, asked: frozenset[str]) -> Sequence[tuple[str, str]]:
    """Name the destinations that lack instances, by what the pages show."""
    return [
        (one.key, destination)
        for one in list_derivations(tx, STUDY)
        for destination, counts in one.deliveries.items()
        if set(counts) - {DeliveryState.VERIFIED} - (set() if destination in asked else {DeliveryState.STORED})
    ]
