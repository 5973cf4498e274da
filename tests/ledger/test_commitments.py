from dataclasses import replace

import pytest

from dicomnode.domain.commitment import (
    CommitmentRequest,
    CommitmentState,
    FailedReference,
    FailureReason,
    InstanceReference,
    TransactionUID,
)
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.uids import AETitle, SOPInstanceUID
from dicomnode.ledger.commitments import end_commitment, find_commitment, note_unreported, record_commitment
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import MR_IMAGE_STORAGE, NOW, SENDER, SERIES, later

TRANSACTION = TransactionUID("1.2.826.1.77")


def a_request(instances: int = 2) -> CommitmentRequest:
    return CommitmentRequest(
        transaction_uid=TRANSACTION,
        association=SENDER,
        references=tuple(
            InstanceReference(sop_class_uid=MR_IMAGE_STORAGE, sop_instance_uid=SOPInstanceUID(f"{SERIES}.{number}"))
            for number in range(instances)
        ),
    )


def test_a_request_is_read_back_as_it_was_recorded(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert record_commitment(tx, a_request(2500), NOW)
    with ledger.transaction() as tx:
        record = find_commitment(tx, TRANSACTION)

    assert record.request == a_request(2500)
    assert (record.state, record.requested_at, record.attempts) == (CommitmentState.WAITING, NOW, 0)
    assert (record.failed, record.reason) == ((), "")


def test_a_transaction_uid_is_used_once_whoever_asks(ledger: Ledger) -> None:
    other = replace(a_request(1), association=replace(SENDER, calling_ae=AETitle("OTHER")))
    with ledger.transaction() as tx:
        assert record_commitment(tx, a_request(), NOW)
        assert not record_commitment(tx, other, later(5))
    with ledger.transaction() as tx:
        assert find_commitment(tx, TRANSACTION).request == a_request()


def test_a_request_that_was_never_made_is_not_found(ledger: Ledger) -> None:
    with ledger.transaction() as tx, pytest.raises(NotInLedger):
        find_commitment(tx, TRANSACTION)


def test_each_attempt_counts_until_the_report_is_taken(ledger: Ledger) -> None:
    failed = (FailedReference(reference=a_request().references[1], reason=FailureReason.NO_SUCH_INSTANCE),)
    with ledger.transaction() as tx:
        record_commitment(tx, a_request(), NOW)
        note_unreported(tx, TRANSACTION, "does not answer", later(1))
    with ledger.transaction() as tx:
        waiting = find_commitment(tx, TRANSACTION)
        end_commitment(tx, TRANSACTION, failed, later(2))
    with ledger.transaction() as tx:
        ended = find_commitment(tx, TRANSACTION)

    assert (waiting.state, waiting.attempts, waiting.reason) == (CommitmentState.WAITING, 1, "does not answer")
    assert (ended.state, ended.attempts, ended.reason) == (CommitmentState.REPORTED, 2, "")
    assert ended.failed == failed


def test_a_request_can_fail_for_good(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_commitment(tx, a_request(), NOW)
        note_unreported(tx, TRANSACTION, "refused", later(1), for_good=True)
    with ledger.transaction() as tx:
        record = find_commitment(tx, TRANSACTION)
    assert (record.state, record.reason) == (CommitmentState.FAILED, "refused")
