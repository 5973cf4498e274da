"""Requests for storage commitment, and what their requestors were told."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.association import Association
from dicomnode.domain.commitment import (
    CommitmentRecord,
    CommitmentRequest,
    CommitmentState,
    FailedReference,
    FailureReason,
    InstanceReference,
    TransactionUID,
)
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID
from dicomnode.ledger.tables import CommitmentRow
from dicomnode.ledger.transaction import Transaction, insert_new


def record_commitment(tx: Transaction, request: CommitmentRequest, at: datetime) -> bool:
    """Record a request; says no when its Transaction UID is in use."""
    sender = request.association
    return insert_new(
        tx,
        CommitmentRow,
        transaction_uid=request.transaction_uid,
        calling_ae=sender.calling_ae,
        called_ae=sender.called_ae,
        peer_address=sender.peer_address,
        instances=[[one.sop_class_uid, one.sop_instance_uid] for one in request.references],
        failed=[],
        state=CommitmentState.WAITING,
        attempts=0,
        reason="",
        requested_at=at,
        changed_at=at,
    )


def find_commitment(tx: Transaction, transaction_uid: str) -> CommitmentRecord:
    """Read one request; raises NotInLedger."""
    row = tx.session.get(CommitmentRow, transaction_uid)
    if row is None:
        raise NotInLedger("no request for storage commitment of this UID")
    return CommitmentRecord(
        request=CommitmentRequest(
            transaction_uid=TransactionUID(row.transaction_uid),
            association=Association(
                calling_ae=AETitle(row.calling_ae), called_ae=AETitle(row.called_ae), peer_address=row.peer_address
            ),
            references=tuple(_reference(*pair) for pair in row.instances),
        ),
        state=CommitmentState(row.state),
        requested_at=row.requested_at,
        attempts=row.attempts,
        failed=tuple(
            FailedReference(reference=_reference(*pair), reason=FailureReason(reason)) for *pair, reason in row.failed
        ),
        reason=row.reason,
    )


def end_commitment(tx: Transaction, transaction_uid: str, failed: Iterable[FailedReference], at: datetime) -> None:
    """Record that the requestor has taken its report, and what that named as not committed."""
    named = [[one.reference.sop_class_uid, one.reference.sop_instance_uid, int(one.reason)] for one in failed]
    _change(tx, transaction_uid, state=CommitmentState.REPORTED, failed=named, reason="", changed_at=at)


def note_unreported(
    tx: Transaction, transaction_uid: str, reason: str, at: datetime, *, for_good: bool = False
) -> None:
    """Record that an attempt did not reach the requestor, and whether it was the last."""
    state = CommitmentState.FAILED if for_good else CommitmentState.WAITING
    _change(tx, transaction_uid, state=state, reason=reason, changed_at=at)


def _change(tx: Transaction, transaction_uid: str, **values: object) -> None:
    """Count one more attempt, and what came of it."""
    tx.session.execute(
        sa.update(CommitmentRow)
        .where(CommitmentRow.transaction_uid == transaction_uid)
        .values(attempts=CommitmentRow.attempts + 1, **values)
    )


def _reference(sop_class_uid: str, sop_instance_uid: str) -> InstanceReference:
    return InstanceReference(
        sop_class_uid=SOPClassUID(sop_class_uid), sop_instance_uid=SOPInstanceUID(sop_instance_uid)
    )
