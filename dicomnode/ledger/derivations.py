"""Synthesis work: asked for once, done once, with its inputs, state and report."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.derivation import (
    Alignment,
    Derivation,
    DerivationInput,
    DerivationReport,
    DerivationState,
    DerivedInstance,
    LabelLanguage,
    ModelIdentity,
    Preparation,
    SupersedePolicy,
)
from dicomnode.domain.errors import DicomnodeError, NotInLedger
from dicomnode.domain.study import Origin
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.ledger.tables import DerivationRow, InstanceRow, SeriesRow
from dicomnode.ledger.transaction import Transaction, insert_new

_ASKED_FOR = (DerivationState.WAITING, DerivationState.RUNNING, DerivationState.DERIVED)
_WITHDRAWN = ", and this one was withdrawn"


def request_derivation(tx: Transaction, derivation: Derivation) -> bool:
    """Ask for a derivation, or put it down as held; says whether it is new (the same key again is the same work)."""
    return insert_new(
        tx,
        DerivationRow,
        key=derivation.key,
        study_instance_uid=derivation.study_instance_uid,
        revision=derivation.revision,
        rule=derivation.rule,
        model_name=derivation.model.name,
        model_version=derivation.model.version,
        weights_digest=derivation.model.weights_digest,
        target_role=derivation.target_role,
        inputs=[
            {"role": bound.role, "series": bound.series_instance_uid, "instances": list(bound.sop_instance_uids)}
            for bound in derivation.inputs
        ],
        preparation=asdict(derivation.preparation),
        destinations=list(derivation.destinations),
        priority=derivation.priority,
        shadow=derivation.shadow,
        label_language=derivation.label_language,
        superseded=derivation.superseded,
        state=derivation.state,
        round=1,
        error="",
        reason=derivation.reason,
        decided_at=derivation.decided_at,
    )


def revive_derivation(tx: Transaction, derivation: Derivation) -> int | None:
    """Ask again for work whose study was removed and has come again; gives its round, counted from 1.

    None where nothing was removed: the work is under way, or what it made is still here.
    """
    row = tx.session.get(DerivationRow, derivation.key)
    if row is None or row.state != DerivationState.REMOVED:
        return None
    row.state, row.round, row.error, row.reason = derivation.state, row.round + 1, "", derivation.reason
    row.revision, row.decided_at = derivation.revision, derivation.decided_at
    row.destinations, row.priority = list(derivation.destinations), derivation.priority
    row.started_at = row.finished_at = row.series_instance_uid = row.report = None
    tx.session.flush()
    return row.round


def lock_derivation(tx: Transaction, key: str) -> Derivation:
    """Read a derivation that this transaction alone may change until it ends; raises NotInLedger."""
    # SQLite locks nothing for a SELECT; an UPDATE that changes nothing locks in both databases.
    tx.session.execute(sa.update(DerivationRow).where(DerivationRow.key == key).values(state=DerivationRow.state))
    return find_derivation(tx, key)


def find_derivation(tx: Transaction, key: str) -> Derivation:
    """Read a derivation; raises NotInLedger."""
    row = tx.session.get(DerivationRow, key)
    if row is None:
        raise NotInLedger("no derivation of this key")
    return derivation_of(row)


def derivation_of(row: DerivationRow) -> Derivation:
    """Turn a row into the domain's value."""
    return Derivation(
        key=row.key,
        study_instance_uid=StudyInstanceUID(row.study_instance_uid),
        revision=row.revision,
        rule=row.rule,
        model=ModelIdentity(name=row.model_name, version=row.model_version, weights_digest=row.weights_digest),
        target_role=row.target_role,
        inputs=tuple(
            DerivationInput(
                role=bound["role"],
                series_instance_uid=SeriesInstanceUID(bound["series"]),
                sop_instance_uids=tuple(SOPInstanceUID(uid) for uid in bound["instances"]),
            )
            for bound in row.inputs
        ),
        preparation=preparation_of(row),
        destinations=tuple(row.destinations),
        priority=row.priority,
        decided_at=row.decided_at,
        state=DerivationState(row.state),
        reason=row.reason,
        shadow=row.shadow,
        label_language=LabelLanguage(row.label_language),
        superseded=SupersedePolicy(row.superseded),
    )


def preparation_of(row: DerivationRow) -> Preparation:
    """Read what the rule allowed to be done to the inputs."""
    return Preparation(
        alignment=Alignment(row.preparation["alignment"]), missing_slices=row.preparation["missing_slices"]
    )


def start_derivation(tx: Transaction, key: str, now: datetime) -> None:
    """Say that the work has begun (again, after a crash)."""
    tx.session.execute(
        sa.update(DerivationRow).where(DerivationRow.key == key).values(state=DerivationState.RUNNING, started_at=now)
    )


def finish_derivation(
    tx: Transaction,
    derivation: Derivation,
    instances: Sequence[DerivedInstance],
    report: DerivationReport,
    now: datetime,
) -> tuple[Derivation, ...]:
    """Record the derived series and its instances; gives what an earlier revision of the same rule made, superseded.

    A rule may ask for several models, and names each of them once.
    """
    series_uid = instances[0].series_instance_uid
    insert_new(
        tx,
        SeriesRow,
        series_instance_uid=series_uid,
        study_instance_uid=derivation.study_instance_uid,
        modality=report.labels["Modality"],
        series_number=int(report.labels["SeriesNumber"]),
        description=report.series_description,
        origin=Origin.DERIVED,
    )
    for instance in instances:
        _keep_derived(tx, derivation, instance, now)
    tx.session.execute(
        sa.update(DerivationRow)
        .where(DerivationRow.key == derivation.key)
        .values(
            state=DerivationState.DERIVED,
            finished_at=now,
            error="",
            reason="",
            series_instance_uid=series_uid,
            report=asdict(report),
        )
    )
    return _supersede(tx, derivation)


def _supersede(tx: Transaction, derivation: Derivation) -> tuple[Derivation, ...]:
    """Mark what earlier revisions made as superseded, or withdraw it."""
    rows = tx.session.execute(
        sa.select(DerivationRow)
        .where(
            *_of_same_work(derivation),
            DerivationRow.revision < derivation.revision,
            DerivationRow.state == DerivationState.DERIVED,
        )
        .order_by(DerivationRow.revision)
    ).scalars()
    superseded = tuple(rows)
    is_withdrawn = derivation.superseded is SupersedePolicy.WITHDRAW
    for row in superseded:
        row.state = DerivationState.SUPERSEDED
        row.reason = f"Revision {derivation.revision} made a newer series{_WITHDRAWN if is_withdrawn else ''}."
    tx.session.flush()
    return tuple(derivation_of(row) for row in superseded)


def withdraw_series(tx: Transaction, key: str) -> None:
    """List the series of a derivation no more: its instances stay in the spool, and are nowhere offered."""
    series = sa.select(DerivationRow.series_instance_uid).where(DerivationRow.key == key).scalar_subquery()
    tx.session.execute(
        sa.update(InstanceRow)
        .where(InstanceRow.series_instance_uid == series, InstanceRow.origin == Origin.DERIVED)
        .values(in_use=False)
        .execution_options(synchronize_session=False)
    )


def release_derivation(tx: Transaction, key: str) -> int | None:
    """Let work that was held begin, and give its round; None when it was not held."""
    lock_derivation(tx, key)
    row = tx.session.get_one(DerivationRow, key)
    tx.session.refresh(row)
    if row.state != DerivationState.HELD:
        return None
    row.state, row.reason = DerivationState.WAITING, ""
    tx.session.flush()
    return row.round


def held_derivations(tx: Transaction, study_instance_uid: str) -> tuple[Derivation, ...]:
    """List the work on a study that waits for a person to release it, oldest first."""
    rows = tx.session.execute(
        sa.select(DerivationRow)
        .where(DerivationRow.study_instance_uid == study_instance_uid, DerivationRow.state == DerivationState.HELD)
        .order_by(DerivationRow.decided_at, DerivationRow.key)
    ).scalars()
    return tuple(derivation_of(row) for row in rows)


def earlier_work(tx: Transaction, derivation: Derivation) -> Derivation | None:
    """Find what an earlier revision of the study made, or is to make, of the same by the same rule; the newest."""
    row = tx.session.execute(
        sa.select(DerivationRow)
        .where(
            *_of_same_work(derivation),
            DerivationRow.revision < derivation.revision,
            DerivationRow.key != derivation.key,
            DerivationRow.state.in_((*_ASKED_FOR, DerivationState.HELD)),
        )
        .order_by(DerivationRow.revision.desc())
        .limit(1)
    ).scalar_one_or_none()
    return None if row is None else derivation_of(row)


def _of_same_work(derivation: Derivation) -> tuple[sa.ColumnElement[bool], ...]:
    """Tell the work of one model for one rule on one study, whichever its revision."""
    return (
        DerivationRow.study_instance_uid == derivation.study_instance_uid,
        DerivationRow.rule == derivation.rule,
        DerivationRow.model_name == derivation.model.name,
        DerivationRow.shadow == derivation.shadow,
    )


def _keep_derived(tx: Transaction, derivation: Derivation, instance: DerivedInstance, now: datetime) -> None:
    """Insert the row of one derived instance; a rerun of the same work changes nothing."""
    insert_new(
        tx,
        InstanceRow,
        sop_instance_uid=instance.sop_instance_uid,
        study_instance_uid=derivation.study_instance_uid,
        series_instance_uid=instance.series_instance_uid,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        instance_number=instance.instance_number,
        origin=Origin.DERIVED,
        in_use=True,
        digest=instance.digest,
        path=instance.path,
        size=instance.size,
        calling_ae="",
        called_ae="",
        peer_address="",
        received_at=now,
    )


def end_derivation(tx: Transaction, key: str, state: DerivationState, error: DicomnodeError, now: datetime) -> None:
    """Say that there will be no image (refused) or that something broke (failed), with the reason."""
    tx.session.execute(
        sa.update(DerivationRow)
        .where(DerivationRow.key == key)
        .values(state=state, finished_at=now, error=type(error).__name__, reason=error.reason)
    )


def retry_derivation(tx: Transaction, key: str) -> int:
    """Put a failed or refused derivation back to waiting, and say how often it was begun by now, counted from 1."""
    lock_derivation(tx, key)
    row = tx.session.get_one(DerivationRow, key)
    if row.state not in (DerivationState.FAILED, DerivationState.REFUSED):
        raise NotInLedger("no failed derivation of this key")
    row.state, row.round, row.error, row.reason = DerivationState.WAITING, row.round + 1, "", ""
    tx.session.flush()
    return row.round


def is_overtaken(tx: Transaction, derivation: Derivation) -> bool:
    """Say whether a later revision of the study asks for the same by the same rule."""
    later = tx.session.execute(
        sa.select(sa.func.count()).where(
            *_of_same_work(derivation),
            DerivationRow.revision > derivation.revision,
            DerivationRow.state.in_(_ASKED_FOR),
        )
    ).scalar()
    return bool(later)
