"""Performed procedure steps: what modalities said of their work, by step and by study."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.domain.association import Association
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.mpps import PerformedSeries, PerformedStep, StepChange, StepRecord, StepState
from dicomnode.domain.uids import AETitle, SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.ledger.tables import PerformedStepRow, PerformedStepStudyRow
from dicomnode.ledger.transaction import Transaction, insert_new


def record_step(tx: Transaction, step: PerformedStep, at: datetime) -> bool:
    """Record a step that begins; says no when one of its UID was begun before."""
    sender = step.association
    is_new = insert_new(
        tx,
        PerformedStepRow,
        sop_instance_uid=step.sop_instance_uid,
        state=step.state,
        series=_written(step.series),
        attributes=dict(step.attributes),
        calling_ae=sender.calling_ae,
        called_ae=sender.called_ae,
        peer_address=sender.peer_address,
        begun_at=at,
        changed_at=at,
    )
    if is_new:
        for place, study_instance_uid in enumerate(step.study_instance_uids):
            tx.session.add(
                PerformedStepStudyRow(
                    sop_instance_uid=step.sop_instance_uid, study_instance_uid=study_instance_uid, place=place
                )
            )
    return is_new


def find_step(tx: Transaction, sop_instance_uid: str) -> StepRecord:
    """Read one step; raises NotInLedger."""
    row = tx.session.get(PerformedStepRow, sop_instance_uid)
    if row is None:
        raise NotInLedger("no performed procedure step of this UID")
    return _record(tx, row)


def lock_step(tx: Transaction, sop_instance_uid: str) -> StepRecord:
    """Read one step that this transaction alone may change until it ends; raises NotInLedger."""
    # SQLite locks nothing for a SELECT; an UPDATE that changes nothing locks in both databases.
    tx.session.execute(
        sa.update(PerformedStepRow)
        .where(PerformedStepRow.sop_instance_uid == sop_instance_uid)
        .values(state=PerformedStepRow.state)
    )
    return find_step(tx, sop_instance_uid)


def change_step(tx: Transaction, step: PerformedStep, change: StepChange, at: datetime) -> PerformedStep:
    """Lay what is said anew over a step, attribute by attribute, and give the step as it stands then."""
    changed = replace(
        step,
        state=change.state or step.state,
        series=step.series if change.series is None else change.series,
        attributes={**step.attributes, **change.attributes},
    )
    tx.session.execute(
        sa.update(PerformedStepRow)
        .where(PerformedStepRow.sop_instance_uid == step.sop_instance_uid)
        .values(
            state=changed.state,
            series=_written(changed.series),
            attributes=dict(changed.attributes),
            changed_at=at,
        )
    )
    return changed


def list_steps(tx: Transaction, study_instance_uid: str) -> tuple[StepRecord, ...]:
    """List the steps that modalities performed for a study, oldest first."""
    rows = tx.session.execute(
        sa.select(PerformedStepRow)
        .join(
            PerformedStepStudyRow,
            PerformedStepStudyRow.sop_instance_uid == PerformedStepRow.sop_instance_uid,
        )
        .where(PerformedStepStudyRow.study_instance_uid == study_instance_uid)
        .order_by(PerformedStepRow.begun_at, PerformedStepRow.sop_instance_uid)
    ).scalars()
    return tuple(_record(tx, row) for row in rows.all())


def _record(tx: Transaction, row: PerformedStepRow) -> StepRecord:
    studies = tx.session.execute(
        sa.select(PerformedStepStudyRow.study_instance_uid)
        .where(PerformedStepStudyRow.sop_instance_uid == row.sop_instance_uid)
        .order_by(PerformedStepStudyRow.place)
    ).scalars()
    step = PerformedStep(
        sop_instance_uid=SOPInstanceUID(row.sop_instance_uid),
        state=StepState(row.state),
        study_instance_uids=tuple(StudyInstanceUID(uid) for uid in studies),
        series=tuple(
            PerformedSeries(
                series_instance_uid=SeriesInstanceUID(uid),
                sop_instance_uids=tuple(SOPInstanceUID(made) for made in instances),
            )
            for uid, instances in row.series
        ),
        attributes=row.attributes,
        association=Association(
            calling_ae=AETitle(row.calling_ae), called_ae=AETitle(row.called_ae), peer_address=row.peer_address
        ),
    )
    return StepRecord(step=step, begun_at=row.begun_at, changed_at=row.changed_at)


def _written(series: Sequence[PerformedSeries]) -> list[Any]:
    return [[one.series_instance_uid, list(one.sop_instance_uids)] for one in series]
