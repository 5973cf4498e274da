"""Evidence on a real ledger: what modalities, peers, archives, people and headers say begins or delays a revision."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicomnode.domain.association import Association, numbered
from dicomnode.domain.commitment import CommitmentRequest, InstanceReference, TransactionUID
from dicomnode.domain.completion import CompletionPolicies, CompletionPolicy, Waiting
from dicomnode.domain.errors import NothingNew, NotInLedger
from dicomnode.domain.mpps import PerformedSeries, PerformedStep, StepChange, StepState
from dicomnode.domain.peer import Peer
from dicomnode.domain.study import StudyRevision
from dicomnode.domain.uids import AETitle, SeriesInstanceUID, SOPClassUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.journey.commit import CommitmentIntake
from dicomnode.journey.complete import Completion, waiting_for
from dicomnode.journey.index import Indexing
from dicomnode.journey.perform import Performing
from dicomnode.journey.sendings import Sendings
from dicomnode.ledger.completion import note_archive_count
from dicomnode.ledger.peers import add_peer
from tests.builders import a_series
from tests.journey.bench import SENDER, STUDY, Bench, offered, sqlite_only
from tests.journey.bench import data_set as encoded

STEP = SOPInstanceUID("1.2.826.1.9")
POLICIES = CompletionPolicies(default=CompletionPolicy(study_quiet=timedelta(seconds=60)))
SETTLED = POLICIES.default.settled.total_seconds()
MISSING = POLICIES.default.missing.total_seconds()
QUIET = "nothing received for 60 s"


class Watch:
    """One completion that sweeps again and again, as in a node."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._completion = bench.completion(policies=POLICIES)

    def after(self, seconds: float) -> StudyRevision | None:
        """Let time pass, sweep, and give the revision that began."""
        self._bench.clock.advance(seconds)
        return next(iter(self._completion.sweep()), None)

    def evidence(self, seconds: float) -> tuple[str, ...]:
        """Let time pass and sweep; the study must be complete now. Gives why."""
        revision = self.after(seconds)
        assert revision is not None
        return revision.evidence


@pytest.fixture
def watch(bench: Bench) -> Watch:
    return Watch(bench)


def _mr(slices: int = 6, **attributes: Any) -> list[Dataset]:
    return a_series(series="t2", slices=slices, shape=(4, 4), **attributes)


def _made(*series: Sequence[Dataset]) -> tuple[PerformedSeries, ...]:
    return tuple(
        PerformedSeries(
            series_instance_uid=SeriesInstanceUID(one[0].SeriesInstanceUID),
            sop_instance_uids=tuple(SOPInstanceUID(dataset.SOPInstanceUID) for dataset in one),
        )
        for one in series
    )


def _begin_step(bench: Bench, uid: SOPInstanceUID = STEP) -> None:
    step = PerformedStep(
        sop_instance_uid=uid,
        state=StepState.IN_PROGRESS,
        study_instance_uids=(STUDY,),
        series=(),
        attributes={},
        association=SENDER,
    )
    Performing(bench.ledger, bench.clock).begin(step)


def _end_step(
    bench: Bench, made: tuple[PerformedSeries, ...], state: StepState = StepState.COMPLETED, uid: SOPInstanceUID = STEP
) -> None:
    change = StepChange(sop_instance_uid=uid, state=state, series=made, attributes={})
    Performing(bench.ledger, bench.clock).change(change)


def test_a_completed_step_of_which_all_is_here_begins_the_revision_at_once(bench: Bench, watch: Watch) -> None:
    series = _mr()
    _begin_step(bench)
    bench.receive(series[:-1])
    _end_step(bench, _made(series))
    assert watch.after(SETTLED) is None
    bench.receive(series[-1:])
    assert watch.after(SETTLED - 0.01) is None
    said = "SCANNER completed its performed procedure step, and all 6 instances that were made are here"
    assert watch.evidence(0.01) == (said,)


def test_a_step_in_progress_holds_a_study_that_is_quiet(bench: Bench, watch: Watch) -> None:
    bench.receive(_mr())
    _begin_step(bench)
    assert watch.after(61) is None
    assert watch.after(MISSING - 62) is None
    told = "waited 600 s; a performed procedure step of SCANNER is in progress"
    assert watch.evidence(1) == (told, QUIET)


def test_another_step_in_progress_outweighs_a_completed_one(bench: Bench, watch: Watch) -> None:
    series, other = _mr(), SOPInstanceUID("1.2.826.1.10")
    bench.receive(series)
    _begin_step(bench)
    _begin_step(bench, other)
    _end_step(bench, _made(series))
    assert watch.after(300) is None
    _end_step(bench, _made(series), uid=other)
    assert watch.evidence(0)[0].startswith("SCANNER completed 2 performed procedure steps, and all 12 instances")


def test_instances_that_a_step_lists_are_waited_for(bench: Bench, watch: Watch) -> None:
    series = _mr()
    _begin_step(bench)
    bench.receive(series[:4])
    _end_step(bench, _made(series))
    assert watch.after(100) is None
    missing = "2 of 6 instances that SCANNER lists in its performed procedure step are not here"
    waiting = waiting_for(bench.ledger, STUDY)
    assert waiting is not None
    assert waiting.why == (missing,)
    assert watch.evidence(MISSING) == (f"waited 600 s; {missing}", QUIET)
    told = bench.events("complete")[-1].text
    assert (
        told == f"Begun with 4 instances as revision 1 although something is missing: waited 600 s; {missing}; {QUIET}."
    )
    bench.receive(series[4:])
    assert watch.evidence(SETTLED)[0].startswith("SCANNER completed its performed procedure step")


@sqlite_only
def test_a_discontinued_step_and_an_empty_one_are_no_proof(bench: Bench, watch: Watch) -> None:
    series = _mr()
    bench.receive(series)
    _begin_step(bench)
    _end_step(bench, _made(series), StepState.DISCONTINUED)
    assert watch.after(30) is None
    _begin_step(bench, SOPInstanceUID("1.2.826.1.10"))
    _end_step(bench, (), uid=SOPInstanceUID("1.2.826.1.10"))
    assert watch.after(29) is None
    assert watch.evidence(1) == (QUIET,)


@sqlite_only
def test_a_series_that_no_step_lists_waits_for_its_quiet_time(bench: Bench, watch: Watch) -> None:
    series = _mr()
    bench.receive(series, a_series(series="scanned elsewhere", slices=2, shape=(4, 4)))
    _begin_step(bench)
    _end_step(bench, _made(series))
    assert watch.after(59) is None
    assert watch.evidence(1) == (QUIET,)


@pytest.fixture
def sendings(bench: Bench) -> Iterator[Sendings]:
    bench.receiving.sendings = Sendings(bench.ledger, bench.clock)
    yield bench.receiving.sendings
    bench.receiving.sendings.close()


def _send(bench: Bench, sender: Association, datasets: Sequence[Dataset]) -> None:
    for dataset in datasets:
        sink = bench.receiving.open(offered(dataset, association=sender))
        sink.write(encoded(dataset))
        sink.accept()


def test_a_released_association_shortens_the_wait(bench: Bench, watch: Watch, sendings: Sendings) -> None:
    sender = numbered(SENDER)
    _send(bench, sender, _mr())
    sendings.flush()
    assert watch.after(10) is None
    sendings.ended(sender, is_released=True)
    sendings.flush()
    assert watch.after(4.9) is None
    assert watch.evidence(0.1) == ("SCANNER released every association that brought it",)


def test_only_when_the_last_association_is_released(bench: Bench, watch: Watch, sendings: Sendings) -> None:
    first, second, series = numbered(SENDER), numbered(SENDER), _mr()
    _send(bench, first, series[:3])
    _send(bench, second, series[3:])
    sendings.ended(first, is_released=True)
    sendings.flush()
    assert watch.after(30) is None
    sendings.ended(second, is_released=True)
    sendings.flush()
    assert watch.evidence(5)[0] == "SCANNER released every association that brought it"


@sqlite_only
def test_an_association_that_broke_off_shortens_nothing(bench: Bench, watch: Watch, sendings: Sendings) -> None:
    sender = numbered(SENDER)
    _send(bench, sender, _mr())
    sendings.ended(sender, is_released=False)
    sendings.flush()
    assert watch.after(59) is None
    assert watch.evidence(1) == (QUIET,)


@sqlite_only
def test_a_release_before_the_last_instance_came_by_another_way_says_nothing(
    bench: Bench, watch: Watch, sendings: Sendings
) -> None:
    sender, series = numbered(SENDER), _mr()
    _send(bench, sender, series[:5])
    sendings.ended(sender, is_released=True)
    sendings.flush()
    bench.clock.advance(1)
    bench.receive(series[5:])
    assert watch.after(59) is None
    assert watch.evidence(1) == (QUIET,)


@pytest.fixture
def commitments(bench: Bench) -> CommitmentIntake:
    with bench.ledger.transaction() as tx:
        add_peer(tx, Peer(ae_title=AETitle("SCANNER"), host="127.0.0.1", port=104), bench.clock.now())
    return CommitmentIntake(bench.ledger, bench.queues, bench.clock)


def _ask(commitments: CommitmentIntake, datasets: Sequence[Dataset], transaction: str = "1.2.826.1.77") -> None:
    commitments.accept(
        CommitmentRequest(
            transaction_uid=TransactionUID(transaction),
            association=SENDER,
            references=tuple(
                InstanceReference(
                    sop_class_uid=SOPClassUID(one.SOPClassUID), sop_instance_uid=SOPInstanceUID(one.SOPInstanceUID)
                )
                for one in datasets
            ),
        )
    )


def test_a_request_for_commitment_of_all_of_it_is_proof(
    bench: Bench, watch: Watch, commitments: CommitmentIntake
) -> None:
    series = _mr()
    bench.receive(series)
    _ask(commitments, series)
    assert watch.after(SETTLED) is None
    assert watch.evidence(0.7) == ("SCANNER asked storage commitment for all 6 instances",)


def test_instances_that_a_request_names_and_that_are_not_here_are_waited_for(
    bench: Bench, watch: Watch, commitments: CommitmentIntake
) -> None:
    series = _mr()
    bench.receive(series[:4])
    _ask(commitments, series)
    assert watch.after(100) is None
    bench.receive(series[4:])
    assert watch.evidence(1) == ("SCANNER asked storage commitment for all 6 instances",)


@sqlite_only
def test_requests_image_by_image_prove_nothing(bench: Bench, watch: Watch, commitments: CommitmentIntake) -> None:
    for number, dataset in enumerate(_mr(3)):
        bench.receive([dataset])
        _ask(commitments, [dataset], f"1.2.826.1.77.{number}")
        assert watch.after(2) is None
    assert watch.after(57.9) is None
    assert watch.evidence(0.1) == (QUIET,)


def _archive_says(bench: Bench, instances: int) -> None:
    with bench.ledger.transaction() as tx:
        note_archive_count(tx, STUDY, "pacs", instances, bench.clock.now())


def test_an_archive_that_says_the_same_number_twice_is_proof(bench: Bench, watch: Watch) -> None:
    bench.receive(_mr())
    bench.clock.advance(1)
    _archive_says(bench, 6)
    assert watch.after(3) is None
    _archive_says(bench, 6)
    assert watch.evidence(0) == ("pacs has the same number of instances, 6",)


def test_an_archive_that_has_more_is_waited_for(bench: Bench, watch: Watch) -> None:
    series = _mr()
    bench.receive(series[:5])
    bench.clock.advance(1)
    for _ in range(2):
        _archive_says(bench, 6)
    assert watch.after(90) is None
    bench.receive(series[5:])
    bench.clock.advance(1)
    _archive_says(bench, 6)
    assert watch.evidence(0)[0] == "pacs has the same number of instances, 6"


def test_a_person_can_say_that_a_study_is_complete(bench: Bench, watch: Watch) -> None:
    bench.receive(_mr())
    _begin_step(bench)
    assert watch.after(1) is None
    said = bench.operator.complete_now(STUDY, "anna")
    assert said == "anna asked to take the study as complete now."
    assert watch.evidence(0) == ("anna asked for it", "although a performed procedure step of SCANNER is in progress")
    assert [event.state for event in bench.events("complete")] == ["waiting", "done"]
    with pytest.raises(NothingNew):
        bench.operator.complete_now(STUDY, "anna")
    with pytest.raises(NotInLedger):
        bench.operator.complete_now(StudyInstanceUID("1.2.3"), "anna")


@sqlite_only
def test_headers_that_say_that_all_is_here_shorten_the_wait(bench: Bench, watch: Watch) -> None:
    bench.receive(_mr(ImagesInAcquisition=6))
    assert watch.after(4.9) is None
    assert watch.evidence(0.1) == ("all 6 images by ImagesInAcquisition of series 1",)


@sqlite_only
def test_a_slice_that_headers_say_is_missing_is_waited_for(bench: Bench, watch: Watch) -> None:
    series = _mr(20)
    bench.receive(series[:7], series[9:])
    assert watch.after(60) is None
    missing = "2 slices are missing between others by position and instance number (series 1)"
    assert waiting_for(bench.ledger, STUDY) == Waiting(until=bench.clock.now() + timedelta(seconds=540), why=(missing,))
    bench.receive(series[7:9])
    assert watch.after(59) is None
    assert watch.evidence(1) == (QUIET,)


@sqlite_only
def test_headers_are_read_once_and_kept_for_the_index(bench: Bench, watch: Watch) -> None:
    bench.receive(_mr(30))
    assert watch.after(1) is None
    assert Indexing(bench.ledger, bench.spool, bench.clock).sweep() == 0


@sqlite_only
def test_a_header_that_cannot_be_read_does_not_hold_a_study(bench: Bench, watch: Watch) -> None:
    bench.receive(_mr())
    bench.spool.locate(bench.instances()[0].path).unlink()
    assert watch.after(59) is None
    assert watch.evidence(1) == (QUIET,)


@sqlite_only
def test_what_is_waited_for_is_told_until_the_revision_begins(bench: Bench, watch: Watch) -> None:
    assert waiting_for(bench.ledger, STUDY) is None
    bench.receive(_mr())
    coming = waiting_for(bench.ledger, STUDY)
    assert coming == Waiting(until=bench.clock.now(), why=("instances are still coming in",))
    until = bench.clock.now() + timedelta(seconds=60)
    assert watch.after(1) is None
    assert waiting_for(bench.ledger, STUDY) == Waiting(until=until, why=("complete when nothing received for 60 s",))
    assert watch.evidence(59) == (QUIET,)
    assert waiting_for(bench.ledger, STUDY) is None


@sqlite_only
def test_each_sender_has_its_policy(bench: Bench) -> None:
    slow = replace(POLICIES.default, study_quiet=timedelta(seconds=300))
    policies = CompletionPolicies(default=POLICIES.default, by_ae={"SCANNER": slow})
    bench.receive(_mr())
    bench.clock.advance(299)
    assert bench.completion(policies=policies).sweep() == ()
    bench.clock.advance(1)
    (revision,) = bench.completion(policies=policies).sweep()
    assert revision.evidence == ("nothing received for 300 s",)


@sqlite_only
def test_old_associations_are_forgotten(bench: Bench, watch: Watch, sendings: Sendings) -> None:
    _send(bench, numbered(SENDER), _mr())
    sendings.flush()
    completion: Completion = bench.completion(policies=POLICIES)
    bench.clock.advance(23 * 3600)
    completion.forget()
    with bench.ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sending").scalar_one() == 1
    bench.clock.advance(2 * 3600)
    completion.forget()
    with bench.ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM sending").scalar_one() == 0
