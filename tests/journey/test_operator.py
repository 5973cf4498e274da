"""What a person asks for is really put into the queue under a name of its own, and each verb leaves a line."""

from dataclasses import replace

import pytest

from dicomnode.domain.derivation import Derivation, DerivationState
from dicomnode.domain.errors import ContractViolation, ModelFailed, NotInLedger
from dicomnode.journey.jobs import decide_job, deliver_job, derive_job
from dicomnode.ledger.deliveries import delivery_counts, record_outcomes
from dicomnode.ledger.derivations import end_derivation, start_derivation
from dicomnode.spool.store import Spool
from tests.builders import a_series, uid
from tests.journey.bench import STUDY, Bench, sqlite_only, t2
from tests.ledger.values import outcomes
from tests.web.holdings import Holdings, a_synthetic_series


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """One spool for all tests of this module: files are named by their content and not in each other's way."""
    return Spool(tmp_path_factory.mktemp("module") / "spool")


@pytest.fixture
def derivation(bench: Bench) -> Derivation:
    """A derivation that was asked for, with its job."""
    return bench.ask(t2())


@pytest.fixture
def derived(bench: Bench) -> Derivation:
    """A derivation whose series was sent, but for its last instance that was refused."""
    holdings = Holdings(bench.ledger, bench.spool, bench.clock)
    asked = holdings.ask(holdings.receive(a_series(slices=3, shape=(4, 4))))
    holdings.derive(asked, a_synthetic_series("study", "derived", slices=3, shape=(4, 4)))
    with bench.ledger.transaction() as tx:
        bench.queues.enqueue(tx, deliver_job(asked, "pacs"))
        for number, stored in enumerate((True, True, False)):
            sent = bench.instances(uid("study", "derived"))[number]
            answer = outcomes([sent], 0 if stored else 0xC000, stored=stored)  # type: ignore[list-item]
            record_outcomes(tx, asked.key, "pacs", answer, bench.clock.now())
    return asked


def _end(bench: Bench, derivation: Derivation, state: DerivationState) -> None:
    error = ModelFailed("it hung") if state is DerivationState.FAILED else ContractViolation("no brain")
    with bench.ledger.transaction() as tx:
        end_derivation(tx, derivation.key, state, error, bench.clock.now())


@pytest.mark.parametrize("state", [DerivationState.FAILED, DerivationState.REFUSED])
def test_work_that_ended_without_an_image_is_tried_again_as_a_job_of_its_own(
    bench: Bench, derivation: Derivation, state: DerivationState
) -> None:
    bench.clock.advance(60)
    for round_ in (2, 3):
        _end(bench, derivation, state)
        assert bench.operator.retry(derivation.key) == "An operator asked to try identity again."
        (record,) = bench.derivations()
        assert (record.state, record.error, record.reason, record.round) == ("waiting", "", "", round_)
    waiting = [f"{derivation.key}:{job}" for job in ("1", "round2:1", "round3:1")]
    assert bench.jobs("derive") == sorted(waiting)
    assert [(event.state, event.at) for event in bench.events("derive")] == [("waiting", bench.clock.now())] * 2
    assert bench.events("derive")[0].detail == {"derivation": derivation.key}


@pytest.mark.parametrize("state", [DerivationState.WAITING, DerivationState.RUNNING])
def test_work_that_has_not_ended_is_not_tried_again(
    bench: Bench, derivation: Derivation, state: DerivationState
) -> None:
    if state is DerivationState.RUNNING:
        with bench.ledger.transaction() as tx:
            start_derivation(tx, derivation.key, bench.clock.now())
    with pytest.raises(NotInLedger):
        bench.operator.retry(derivation.key)
    assert bench.events("derive") == ()
    assert bench.jobs("derive") == [f"{derivation.key}:1"]


@sqlite_only
def test_what_is_derived_already_or_unknown_is_not_tried_again(bench: Bench, derived: Derivation) -> None:
    for key in (derived.key, "derive:unknown"):
        with pytest.raises(NotInLedger):
            bench.operator.retry(key)
    assert bench.jobs("derive") == []
    assert [event.step for event in bench.events()] == ["receive", "derive"]


def test_a_series_is_sent_again_whole_as_a_job_of_its_own(bench: Bench, derived: Derivation) -> None:
    bench.clock.advance(60)
    for _ in range(2):
        assert bench.operator.resend(derived.key, "pacs") == "An operator asked to send 3 instances to pacs again."
    with bench.ledger.transaction() as tx:
        assert delivery_counts(tx, derived.key, "pacs") == {"queued": 3}
    waiting = [f"deliver:{derived.key}:pacs:{job}" for job in ("1", "round2:1", "round3:1")]
    assert bench.jobs("deliver") == sorted(waiting)
    assert [(event.state, event.at) for event in bench.events("deliver")] == [("waiting", bench.clock.now())] * 2
    assert bench.events("deliver")[0].detail == {"derivation": derived.key, "destination": "pacs"}


@sqlite_only
def test_nothing_is_sent_where_it_was_never_to_go(bench: Bench, derived: Derivation) -> None:
    waiting = bench.request(replace(derived, key="derive:waiting"))
    for key, destination in ((derived.key, "archive"), (waiting.key, "pacs"), ("derive:unknown", "pacs")):
        with pytest.raises(NotInLedger):
            bench.operator.resend(key, destination)
    assert bench.events("deliver") == ()
    assert bench.jobs("deliver") == [f"deliver:{derived.key}:pacs:1"]


@sqlite_only
def test_a_derivation_that_keeps_killing_its_workers_fails_and_can_be_tried_again(
    bench: Bench, derivation: Derivation
) -> None:
    with bench.ledger.transaction() as tx:
        start_derivation(tx, derivation.key, bench.clock.now())
    bench.operator.park(derive_job(derivation), "its worker died 3 times while it ran")
    (record,) = bench.derivations()
    assert (record.state, record.error) == ("failed", "ModelFailed")
    assert record.reason == "its worker died 3 times while it ran"
    (event,) = bench.events("derive")
    assert event.state == "needs operator"
    assert event.text == (
        "The step was stopped for good: its worker died 3 times while it ran. "
        "Report this as a defect. A person can try it again."
    )
    assert event.detail == {"job": f"{derivation.key}:1"}
    bench.operator.retry(derivation.key)


@sqlite_only
def test_a_parked_job_changes_nothing_of_work_that_was_recorded(bench: Bench, derived: Derivation) -> None:
    bench.operator.park(derive_job(derived), "its worker died 3 times while it ran")
    assert [one.state for one in bench.derivations()] == ["derived"]
    assert bench.events()[-1].state == "needs operator"


@sqlite_only
def test_a_parked_delivery_is_told_and_leaves_the_series_as_it_is(bench: Bench, derived: Derivation) -> None:
    bench.operator.park(deliver_job(derived, "pacs"), "the step broke with KeyError")
    assert [one.state for one in bench.derivations()] == ["derived"]
    (event,) = bench.events("deliver")
    assert (event.state, event.detail) == ("needs operator", {"job": f"deliver:{derived.key}:pacs:1"})
    assert event.text.endswith("the step broke with KeyError. Report this as a defect. A person can send it again.")


@sqlite_only
def test_a_parked_decision_is_told_in_its_study(bench: Bench) -> None:
    bench.receive(t2())
    revision = bench.complete()
    bench.operator.park(decide_job(revision), "the step broke with KeyError")
    (event,) = bench.events("decide")
    assert (event.state, event.detail) == ("needs operator", {"job": f"study:{STUDY}:1:1"})
    assert bench.derivations() == ()


def test_the_timeline_keeps_who_asked(bench: Bench, derivation: Derivation) -> None:
    _end(bench, derivation, DerivationState.FAILED)
    bench.operator.retry(derivation.key, "olga")
    (event,) = bench.events("derive")
    assert event.detail == {"derivation": derivation.key, "by": "olga"}


def test_the_timeline_keeps_who_sent_again(bench: Bench, derived: Derivation) -> None:
    bench.operator.resend(derived.key, "pacs", "olga")
    (event,) = [event for event in bench.events("deliver") if event.state == "waiting"]
    assert event.detail == {"derivation": derived.key, "destination": "pacs", "by": "olga"}
