"""Who sent which series of a study, from where, and between which times."""

import sqlalchemy as sa

from dicomnode.domain.association import Association
from dicomnode.domain.study import Arrival, Origin
from dicomnode.domain.uids import AETitle, SeriesInstanceUID, StudyInstanceUID
from dicomnode.ledger.tables import InstanceRow
from dicomnode.ledger.transaction import Transaction


def list_arrivals(tx: Transaction, study_instance_uid: StudyInstanceUID) -> tuple[Arrival, ...]:
    """List each peer that sent instances in use of a series, with the first and the last of them, in UTC."""
    sent_by = (InstanceRow.series_instance_uid, InstanceRow.calling_ae, InstanceRow.called_ae, InstanceRow.peer_address)
    rows = tx.session.execute(
        sa.select(*sent_by, sa.func.min(InstanceRow.received_at), sa.func.max(InstanceRow.received_at))
        .where(
            InstanceRow.study_instance_uid == study_instance_uid,
            InstanceRow.origin == Origin.RECEIVED,
            InstanceRow.in_use,
            # What stood in quarantine may have been kept before its sender said who it is.
            InstanceRow.calling_ae != "",
            InstanceRow.called_ae != "",
        )
        .group_by(*sent_by)
        .order_by(*sent_by)
    )
    return tuple(
        Arrival(
            series_instance_uid=SeriesInstanceUID(series),
            association=Association(calling_ae=AETitle(calling), called_ae=AETitle(called), peer_address=address),
            first_received_at=first,
            last_received_at=last,
        )
        for series, calling, called, address, first, last in rows
    )
