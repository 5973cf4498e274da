"""What the receive step writes: one transaction per instance, before it is acknowledged."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.domain.association import Association
from dicomnode.domain.study import Origin, ReceivedInstance
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.ledger.tables import InstanceRow, QuarantineRow, RefusalRow, SeriesRow, StudyRow
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Transaction, insert_new

# Built once: for every instance received, building them would cost more than the database needs to run them.
_LOCK_STUDY = (
    sa.select(StudyRow.study_instance_uid).where(StudyRow.study_instance_uid == sa.bindparam("study")).with_for_update()
)
_KNOWN_CONTENTS = sa.select(InstanceRow.digest, InstanceRow.origin).where(
    InstanceRow.sop_instance_uid == sa.bindparam("instance")
)
_studies: Any = StudyRow.__table__
_COUNT_INSTANCE = (
    sa.update(_studies)
    .where(_studies.c.study_instance_uid == sa.bindparam("study"))
    .values(instances=_studies.c.instances + 1, last_received_at=sa.bindparam("at"))
)


def record_received(tx: Transaction, received: ReceivedInstance) -> bool:
    """Record an instance and count it in its study; says whether it was new.

    The same content again changes nothing; another content of a known SOP Instance UID is kept beside the first,
    which stays in use, and the timeline says so.
    """
    header = received.header
    # The study's row is locked first: two associations of one study must not both believe they are the first.
    _open_study(tx, received)
    _open_series(tx, received)
    known: dict[str, str] = {
        digest: origin
        for digest, origin in tx.session.execute(_KNOWN_CONTENTS, {"instance": header.sop_instance_uid}).all()
    }
    if received.digest in known:
        return False
    if known or not _insert_instance(tx, received, in_use=True):
        _keep_beside(tx, received, set(known.values()))
        return False
    counted = {"study": header.study_instance_uid, "at": received.received_at}
    tx.session.execute(_COUNT_INSTANCE, counted)
    return True


def _keep_beside(tx: Transaction, received: ReceivedInstance, origins: set[str]) -> None:
    """Keep another content of a known UID, and tell, unless it is an own output that was re-encoded on its way back."""
    _insert_instance(tx, received, in_use=False)
    if Origin.DERIVED in origins:
        return
    write_event(
        tx,
        received.header.study_instance_uid,
        at=received.received_at,
        step="receive",
        state="conflict",
        text=f"Instance {received.header.sop_instance_uid} came again with other content; "
        "both are kept, the first stays in use.",
    )


def _open_study(tx: Transaction, received: ReceivedInstance) -> None:
    """Lock the study's row; make it, and tell the timeline, when the study is new."""
    study = {"study": received.header.study_instance_uid}
    if tx.session.execute(_LOCK_STUDY, study).first() is not None:
        return
    if _insert_study(tx, received):
        sender = received.association
        write_event(
            tx,
            received.header.study_instance_uid,
            at=received.received_at,
            step="receive",
            state="running",
            text=f"First instance received from {sender.calling_ae} ({sender.peer_address}).",
        )
    tx.session.execute(_LOCK_STUDY, study)


def _insert_study(tx: Transaction, received: ReceivedInstance) -> bool:
    """Insert the study's row; says no when another association was faster."""
    header = received.header
    return insert_new(
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


def _open_series(tx: Transaction, received: ReceivedInstance) -> None:
    """Make sure that the series has its row."""
    header = received.header
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
