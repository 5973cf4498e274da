"""Commit: a request is recorded with its job, and answered with what ledger and spool really hold."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from dicomnode.dimse.commitment import CommitmentReportSender
from dicomnode.domain.association import Association
from dicomnode.domain.commitment import CommitmentRequest, CommitmentState, InstanceReference, TransactionUID
from dicomnode.domain.errors import DuplicateTransaction, PeerUnknown
from dicomnode.domain.peer import Peer
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID
from dicomnode.engine.queues import Job
from dicomnode.journey.commit import CommitmentIntake, Committing, Reporting
from dicomnode.journey.jobs import COMMIT, commit_job
from dicomnode.ledger.commitments import find_commitment
from dicomnode.ledger.peers import add_peer, change_peer, list_peers, remove_peer
from tests.builders import T2, a_series
from tests.dimse.commitment_peer import Modality, named
from tests.dimse.instances import MR_IMAGE_STORAGE
from tests.journey.bench import SENDER, STUDY, Bench, sqlite_only, without_table
from tests.nodes import free_port

TRANSACTION = TransactionUID("1.2.826.1.77")
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
GIVE_UP_AFTER = 3
SCANNER = AETitle("SCANNER")


@pytest.fixture
def modality() -> Iterator[Modality]:
    with Modality().listening() as modality:
        yield modality


def _series(**attributes: str) -> list[Dataset]:
    return a_series(series="t2", slices=5, shape=(8, 8), **{**T2, **attributes})


def _listens(bench: Bench, port: int | None) -> None:
    """Let the ledger know where the scanner listens, or not know it."""
    with bench.ledger.transaction() as tx:
        known = {record.peer.ae_title for record in list_peers(tx)}
        if port is None:
            remove_peer(tx, SCANNER)
            return
        peer = Peer(ae_title=SCANNER, host="127.0.0.1", port=port)
        if SCANNER in known:
            change_peer(tx, peer, bench.clock.now())
        else:
            add_peer(tx, peer, bench.clock.now())


def _request(datasets: list[Dataset], sender: Association = SENDER) -> CommitmentRequest:
    return CommitmentRequest(
        transaction_uid=TRANSACTION,
        association=sender,
        references=tuple(_reference(dataset.SOPInstanceUID) for dataset in datasets),
    )


def _reference(instance: str, sop_class: str = MR_IMAGE_STORAGE) -> InstanceReference:
    return InstanceReference(sop_class_uid=SOPClassUID(sop_class), sop_instance_uid=SOPInstanceUID(instance))


def _accept(bench: Bench, request: CommitmentRequest) -> None:
    _listens(bench, 104)
    CommitmentIntake(bench.ledger, bench.queues, bench.clock).accept(request)


def _committing(bench: Bench, port: int | None) -> Committing:
    _listens(bench, port)
    reporting = Reporting(reporter=CommitmentReportSender(AETitle("DICOMNODE"), 5), give_up_after=GIVE_UP_AFTER)
    return Committing(bench.ledger, bench.spool, bench.clock, reporting)


def _state(bench: Bench) -> tuple[CommitmentState, int]:
    with bench.ledger.transaction() as tx:
        record = find_commitment(tx, TRANSACTION)
    return record.state, record.attempts


def test_a_request_is_recorded_together_with_its_job(bench: Bench) -> None:
    _accept(bench, _request(_series()))
    assert _state(bench) == (CommitmentState.WAITING, 0)
    assert bench.jobs(COMMIT) == [f"commit:{TRANSACTION}:1"]


def test_a_transaction_uid_in_use_is_refused(bench: Bench) -> None:
    _accept(bench, _request(_series()))
    with pytest.raises(DuplicateTransaction):
        _accept(bench, _request(_series()[:1]))
    assert bench.jobs(COMMIT) == [f"commit:{TRANSACTION}:1"]


@sqlite_only
def test_a_peer_whose_address_nobody_knows_is_refused(bench: Bench) -> None:
    stranger = replace(SENDER, calling_ae=AETitle("STRANGER"))
    with pytest.raises(PeerUnknown, match="STRANGER"):
        _accept(bench, _request(_series(), stranger))
    assert bench.jobs() == []


def test_what_was_received_is_committed(bench: Bench, modality: Modality) -> None:
    bench.receive(_series())
    _accept(bench, _request(_series()))

    assert isinstance(_committing(bench, modality.port)(TRANSACTION, attempt=1), Done)
    event_type, information = modality.report()
    assert (event_type, information.TransactionUID) == (1, TRANSACTION)
    assert named(information.ReferencedSOPSequence) == [dataset.SOPInstanceUID for dataset in _series()]
    assert _state(bench) == (CommitmentState.REPORTED, 1)
    (event,) = bench.events("commit")
    assert (event.state, event.text) == ("done", "SCANNER was told that 5 of 5 instances are kept safely.")


def test_what_is_not_held_whole_fails_with_the_reason(bench: Bench, modality: Modality) -> None:
    series = _series()
    bench.receive(series)
    by_uid = {one.sop_instance_uid: bench.spool.locate(one.path) for one in bench.instances()}
    files = [by_uid[SOPInstanceUID(dataset.SOPInstanceUID)] for dataset in series]
    files[1].unlink()
    files[2].write_bytes(files[2].read_bytes()[:-1])
    changed = bytearray(files[3].read_bytes())
    changed[-1] ^= 1
    files[3].write_bytes(changed)
    request = _request(series)
    other_class = _reference(series[4].SOPInstanceUID, CT_IMAGE_STORAGE)
    _accept(bench, replace(request, references=(*request.references[:4], other_class, _reference("1.2.3"))))

    assert isinstance(_committing(bench, modality.port)(TRANSACTION, attempt=1), Done)
    event_type, information = modality.report()
    assert event_type == 2
    assert named(information.ReferencedSOPSequence) == [series[0].SOPInstanceUID]
    assert named(information.FailedSOPSequence) == [*(dataset.SOPInstanceUID for dataset in series[1:]), "1.2.3"]
    reasons = [item.FailureReason for item in information.FailedSOPSequence]
    assert reasons == [0x0110, 0x0110, 0x0110, 0x0119, 0x0112]
    (event,) = bench.events("commit")
    assert (event.state, event.text) == ("failed", "SCANNER was told that 1 of 5 instances are kept safely.")


def test_of_two_contents_the_one_in_use_counts(bench: Bench, modality: Modality) -> None:
    bench.receive(_series(), _series(SeriesDescription="again"))
    _accept(bench, _request(_series()))
    assert isinstance(_committing(bench, modality.port)(TRANSACTION, attempt=1), Done)
    assert modality.report()[0] == 1


def test_nothing_held_is_told_as_such(bench: Bench, modality: Modality) -> None:
    _accept(bench, _request(_series()))
    assert isinstance(_committing(bench, modality.port)(TRANSACTION, attempt=1), Done)
    event_type, information = modality.report()
    assert event_type == 2
    assert "ReferencedSOPSequence" not in information
    assert bench.events() == ()


@sqlite_only
def test_a_peer_that_does_not_listen_is_told_later_what_is_true_then(bench: Bench) -> None:
    _accept(bench, _request(_series()))
    port = free_port()
    committing = _committing(bench, port)
    waits = [committing(TRANSACTION, attempt=attempt) for attempt in (1, 2)]
    assert all(isinstance(wait, RetryLater) for wait in waits)
    assert _state(bench) == (CommitmentState.WAITING, 2)

    bench.receive(_series())
    with Modality().listening(port) as modality:
        assert isinstance(committing(TRANSACTION, attempt=3), Done)
    assert modality.report()[0] == 1
    assert _state(bench) == (CommitmentState.REPORTED, 3)


@sqlite_only
def test_after_many_attempts_a_person_has_to_look(bench: Bench) -> None:
    bench.receive(_series())
    _accept(bench, _request(_series()))
    assert isinstance(_committing(bench, free_port())(TRANSACTION, attempt=GIVE_UP_AFTER), NeedsOperator)
    assert _state(bench) == (CommitmentState.FAILED, 1)
    (event,) = bench.events("commit")
    assert event.state == "needs operator"
    assert "given up after 3 attempts" in event.text


@sqlite_only
def test_a_peer_that_refuses_or_is_a_peer_no_longer_needs_a_person(bench: Bench, modality: Modality) -> None:
    _accept(bench, _request(_series()))
    modality.status = 0x0112
    assert isinstance(_committing(bench, modality.port)(TRANSACTION, attempt=1), NeedsOperator)
    assert isinstance(_committing(bench, None)(TRANSACTION, attempt=1), NeedsOperator)
    assert _state(bench) == (CommitmentState.FAILED, 2)


@sqlite_only
def test_a_request_that_nobody_made_needs_a_person(bench: Bench) -> None:
    assert isinstance(_committing(bench, 104)(TRANSACTION, attempt=1), NeedsOperator)


@sqlite_only
def test_a_database_that_is_away_is_tried_again(bench: Bench, modality: Modality) -> None:
    _accept(bench, _request(_series()))
    with without_table(bench.ledger, "commitment"):
        assert isinstance(_committing(bench, modality.port)(TRANSACTION, attempt=1), RetryLater)
    assert modality.reports == []


@sqlite_only
def test_a_job_that_keeps_breaking_ends_its_request(bench: Bench) -> None:
    _accept(bench, _request(_series()))
    job: Job = commit_job(TRANSACTION)
    bench.operator.park(job, "its worker died 3 times while it ran")
    assert _state(bench) == (CommitmentState.FAILED, 1)
    assert bench.events("commit", STUDY) == ()
