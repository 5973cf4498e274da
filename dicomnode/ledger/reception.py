"""What the receive step writes: one transaction per instance, before it is acknowledged."""

from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.association import Association
from dicomnode.domain.study import Origin, ReceivedInstance
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.ledger.tables import InstanceRow, QuarantineRow, RefusalRow, SeriesRow, StudyRow
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Transaction, insert_new


def record_received(tx: Transaction, received: ReceivedInstance) -> bool:
    """Record an instance and count it in its study; says whether it was new.

    The same content again changes nothing; another content of a known SOP Instance UID is kept beside the first,
    which stays in use, and the timeline says so.
    """
    header = received.header
    # The study's row is locked first: two associations of one study must not both believe they are the first.
    _open_study(tx, received)
    known: dict[str, str] = {
        digest: origin
        for digest, origin in tx.session.execute(
            sa.select(InstanceRow.digest, InstanceRow.origin).where(
                InstanceRow.sop_instance_uid == header.sop_instance_uid
            )
        ).all()
    }
    if received.digest in known:
        return False
    is_first = not known and _insert_instance(tx, received, in_use=True)
    if not is_first:
        _insert_instance(tx, received, in_use=False)
        # An own output that comes back was re-encoded on its way; that is no conflict, and no news.
        if Origin.DERIVED in known.values():
            return False
        write_event(
            tx,
            header.study_instance_uid,
            at=received.received_at,
            step="receive",
            state="conflict",
            text=f"Instance {header.sop_instance_uid} came again with other content; "
            "both are kept, the first stays in use.",
        )
        return False
    tx.session.execute(
        sa.update(StudyRow)
        .where(StudyRow.study_instance_uid == header.study_instance_uid)
        .values(instances=StudyRow.instances + 1, last_received_at=received.received_at)
    )
    return True


def _open_study(tx: Transaction, received: ReceivedInstance) -> None:
    """Make sure that study and series have their rows, and tell the timeline when the study is new."""
    header = received.header
    is_new = insert_new(
        tx,
        StudyRow,
        study_instance_uid=header.study_instance_uid,
        patient_id=header.patient_id,
        patient_name=header.patient_name,
        accession_number=header.accession_number,
        study_date=header.study_date,
        description=header.study_description,
        first_received_at=received.received_at,
        last_received_at=received.received_at,
        instances=0,
        complete_instances=0,
        revision=0,
    )
    if is_new:
        sender = received.association
        write_event(
            tx,
            header.study_instance_uid,
            at=received.received_at,
            step="receive",
            state="running",
            text=f"First instance received from {sender.calling_ae} ({sender.peer_address}).",
        )
    insert_new(
        tx,
        SeriesRow,
        series_instance_uid=header.series_instance_uid,
        study_instance_uid=header.study_instance_uid,
        modality=header.modality,
        series_number=header.series_number,
        description=header.series_description,
        origin=Origin.RECEIVED,
    )
    tx.session.execute(
        sa.select(StudyRow.study_instance_uid)
        .where(StudyRow.study_instance_uid == header.study_instance_uid)
        .with_for_update()
    )


def _insert_instance(tx: Transaction, received: ReceivedInstance, *, in_use: bool) -> bool:
    """Insert the instance's own row; says no when another association was faster."""
    header, sender = received.header, received.association
    return insert_new(
        tx,
        InstanceRow,
        sop_instance_uid=header.sop_instance_uid,
        study_instance_uid=header.study_instance_uid,
        series_instance_uid=header.series_instance_uid,
        sop_class_uid=header.sop_class_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        instance_number=header.instance_number,
        origin=Origin.RECEIVED,
        in_use=in_use,
        digest=received.digest,
        path=received.path,
        size=received.size,
        calling_ae=sender.calling_ae,
        called_ae=sender.called_ae,
        peer_address=sender.peer_address,
        received_at=received.received_at,
    )


def record_refusal(tx: Transaction, association: Association, reason: str, at: datetime) -> None:
    """Record that an association or instance was turned away."""
    tx.session.add(
        RefusalRow(
            at=at,
            calling_ae=association.calling_ae,
            called_ae=association.called_ae,
            peer_address=association.peer_address,
            reason=reason,
        )
    )


def record_quarantined(
    tx: Transaction,
    association: Association,
    sop_instance_uid: SOPInstanceUID,
    kept: tuple[str, int],
    why: str,
    at: datetime,
) -> None:
    """Record bytes that were refused but kept: `kept` is their spool path and size."""
    tx.session.add(
        QuarantineRow(
            at=at,
            path=kept[0],
            size=kept[1],
            calling_ae=association.calling_ae,
            peer_address=association.peer_address,
            sop_instance_uid=sop_instance_uid,
            reason=why,
        )
    )
