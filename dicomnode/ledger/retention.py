"""Which studies may leave the node, what speaks against it, and which of their files are still to be unlinked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.commitment import CommitmentState
from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.mpps import StepState
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.study_facts import forget_study_facts
from dicomnode.ledger.tables import (
    CommitmentRow,
    DecisionRow,
    DeliveryRow,
    DerivationRow,
    InstanceRow,
    PerformedStepRow,
    PerformedStepStudyRow,
    RemovalRow,
    RevisionRow,
    SeriesRow,
    StudyRow,
)
from dicomnode.ledger.transaction import Transaction

_PATHS_AT_A_TIME = 500
_LOCK_COMMITMENTS = {"postgresql": "LOCK TABLE commitment IN SHARE MODE"}
"""SQLite has one writer at a time anyway."""
_OPEN = {
    DerivationState.HELD: "waits for a person to release it",
    DerivationState.WAITING: "waits to be made",
    DerivationState.RUNNING: "is being made",
    DerivationState.FAILED: "failed, and a person may try it again",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the node holds of one study: the paths of its files, their bytes, and when the last of them came."""

    study_instance_uid: StudyInstanceUID
    instances: int
    size: int
    paths: tuple[str, ...]
    changed_at: datetime


def lock_study(tx: Transaction, study_instance_uid: StudyInstanceUID) -> None:
    """Keep everybody else from changing a study, its derivations or a request for commitment until the end.

    Receptions, retries and repeated deliveries that come meanwhile find the study as this transaction leaves it.
    """
    # SQLite locks nothing for a SELECT; an UPDATE that changes nothing locks in both databases.
    tx.session.execute(
        sa.update(StudyRow)
        .where(StudyRow.study_instance_uid == study_instance_uid)
        .values(instances=StudyRow.instances)
        .execution_options(synchronize_session=False)
    )
    tx.session.execute(
        sa.select(DerivationRow.key).where(DerivationRow.study_instance_uid == study_instance_uid).with_for_update()
    )
    lock = _LOCK_COMMITMENTS.get(tx.session.get_bind().dialect.name)
    if lock is not None:
        tx.session.execute(sa.text(lock))


def studies_held(
    tx: Transaction, before: datetime, after: tuple[datetime, str] | None, limit: int
) -> tuple[tuple[datetime, StudyInstanceUID], ...]:
    """List studies that hold instances and received their last before an instant, the longest quiet first.

    Each comes with when that was; `after` is the last of the page before.
    """
    place = sa.tuple_(StudyRow.last_received_at, StudyRow.study_instance_uid)
    query = sa.select(StudyRow.last_received_at, StudyRow.study_instance_uid).where(
        StudyRow.last_received_at <= before,
        sa.exists().where(InstanceRow.study_instance_uid == StudyRow.study_instance_uid),
    )
    if after is not None:
        query = query.where(place > sa.tuple_(*map(sa.literal, after, (StudyRow.last_received_at.type, sa.Text()))))
    rows = tx.session.execute(query.order_by(StudyRow.last_received_at, StudyRow.study_instance_uid).limit(limit))
    return tuple((at, StudyInstanceUID(uid)) for at, uid in rows)


def find_holding(tx: Transaction, study_instance_uid: StudyInstanceUID) -> Holding | None:
    """Say what the node holds of a study; None when it is nothing."""
    rows = tx.session.execute(
        sa.select(InstanceRow.path, InstanceRow.size, InstanceRow.received_at).where(
            InstanceRow.study_instance_uid == study_instance_uid
        )
    ).all()
    if not rows:
        return None
    last_received_at = tx.session.execute(
        sa.select(StudyRow.last_received_at).where(StudyRow.study_instance_uid == study_instance_uid)
    ).scalar_one()
    return Holding(
        study_instance_uid=study_instance_uid,
        instances=len(rows),
        size=sum(row.size for row in rows),
        paths=tuple(sorted({row.path for row in rows})),
        changed_at=max(last_received_at, *(row.received_at for row in rows)),
    )


def obstacles(tx: Transaction, study_instance_uid: StudyInstanceUID, asked: frozenset[str]) -> tuple[str, ...]:
    """Say what must happen before a study may leave, whatever its age; nothing when all of it is done and delivered.

    `asked` are the destinations that are asked whether they list what they stored.
    """
    return (
        *_in_reception(tx, study_instance_uid),
        *_in_decision(tx, study_instance_uid),
        *_in_derivation(tx, study_instance_uid),
        *_in_delivery(tx, study_instance_uid, asked),
        *_in_commitment(tx, study_instance_uid),
    )


def _in_reception(tx: Transaction, study: StudyInstanceUID) -> list[str]:
    """Say whether a person holds the study, it still receives, or a modality still works on it."""
    row = tx.session.execute(
        sa.select(StudyRow.held, StudyRow.instances, StudyRow.complete_instances).where(
            StudyRow.study_instance_uid == study
        )
    ).one()
    found = [] if row.held is None else [f"a person holds it: {row.held}"]
    if row.instances != row.complete_instances:
        found.append("it has received instances since it was last complete")
    steps = tx.session.execute(
        sa.select(sa.func.count())
        .select_from(PerformedStepStudyRow)
        .join(PerformedStepRow, PerformedStepRow.sop_instance_uid == PerformedStepStudyRow.sop_instance_uid)
        .where(PerformedStepStudyRow.study_instance_uid == study, PerformedStepRow.state == StepState.IN_PROGRESS)
    ).scalar_one()
    return [*found, "a performed procedure step of it is in progress"] if steps else found


def _in_decision(tx: Transaction, study: StudyInstanceUID) -> list[str]:
    """Say whether the rules have still to look at the last revision, or left it to a person."""
    number = sa.select(StudyRow.revision).where(StudyRow.study_instance_uid == study).scalar_subquery()
    undecided = tx.session.execute(
        sa.select(RevisionRow.number).where(
            RevisionRow.study_instance_uid == study, RevisionRow.number == number, RevisionRow.decided_at.is_(None)
        )
    ).scalars()
    stuck = tx.session.execute(
        sa.select(DecisionRow.rule)
        .where(
            DecisionRow.study_instance_uid == study,
            DecisionRow.revision == number,
            DecisionRow.problem.is_not(None),
            ~DecisionRow.shadow,
        )
        .order_by(DecisionRow.rule)
    ).scalars()
    return [
        *(f"the rules have not decided its revision {revision}" for revision in undecided),
        *(f"rule “{rule}” matches, but a person has to look" for rule in stuck),
    ]


def _in_derivation(tx: Transaction, study: StudyInstanceUID) -> list[str]:
    """Say which derived series are still to be made."""
    rows = tx.session.execute(
        sa.select(DerivationRow.model_name, DerivationRow.state)
        .where(DerivationRow.study_instance_uid == study, DerivationRow.state.in_(_OPEN))
        .order_by(DerivationRow.decided_at, DerivationRow.key)
    )
    return [f"a series by {name} {_OPEN[DerivationState(state)]}" for name, state in rows]


def _in_delivery(tx: Transaction, study: StudyInstanceUID, asked: frozenset[str]) -> list[str]:
    """Say which destinations do not have everything yet, as far as they can be asked."""
    rows = tx.session.execute(
        sa.select(DeliveryRow.destination, DeliveryRow.state, sa.func.count())
        .where(DeliveryRow.study_instance_uid == study)
        .group_by(DeliveryRow.destination, DeliveryRow.state)
        .order_by(DeliveryRow.destination, DeliveryRow.state)
    )
    lacking = [_lacking(destination, DeliveryState(state), count, asked) for destination, state, count in rows]
    return [*(one for one in lacking if one is not None), *_never_queued(tx, study)]


def _lacking(destination: str, state: DeliveryState, count: int, asked: frozenset[str]) -> str | None:
    """Say in words why instances in this state are not delivered; None when they are."""
    match state:
        case DeliveryState.VERIFIED:
            return None
        case DeliveryState.STORED:
            return f"{destination} does not list {count} instances yet" if destination in asked else None
        case DeliveryState.QUEUED:
            return f"{count} instances wait for {destination}"
        case DeliveryState.FAILED:
            return f"{destination} refused {count} instances, and a person may send them again"


def _never_queued(tx: Transaction, study: StudyInstanceUID) -> list[str]:
    """Find derived instances that lack the row of a destination which their rule names."""
    made = tx.session.execute(
        sa.select(DerivationRow.key, DerivationRow.series_instance_uid, DerivationRow.destinations).where(
            DerivationRow.study_instance_uid == study, DerivationRow.state == DerivationState.DERIVED
        )
    )
    found = []
    for key, series, destinations in made:
        for destination in destinations:
            is_queued = sa.exists().where(
                DeliveryRow.derivation_key == key,
                DeliveryRow.destination == destination,
                DeliveryRow.sop_instance_uid == InstanceRow.sop_instance_uid,
            )
            without = tx.session.execute(
                sa.select(sa.func.count()).where(
                    InstanceRow.series_instance_uid == series, InstanceRow.in_use, ~is_queued
                )
            ).scalar_one()
            if without:
                found.append(f"{without} instances were never queued for {destination}")
    return found


def _in_commitment(tx: Transaction, study: StudyInstanceUID) -> list[str]:
    """Say whether a peer is owed an answer about instances of the study."""
    asked_about = {
        uid
        for instances in tx.session.execute(
            sa.select(CommitmentRow.instances).where(CommitmentRow.state == CommitmentState.WAITING)
        ).scalars()
        for _class, uid in instances
    }
    if not asked_about:
        return []
    held = tx.session.execute(
        sa.select(InstanceRow.sop_instance_uid).where(InstanceRow.study_instance_uid == study)
    ).scalars()
    return [] if asked_about.isdisjoint(held) else ["a peer waits for the answer to its request for commitment"]


def forget_instances(tx: Transaction, holding: Holding, at: datetime) -> None:
    """Take all instances of a study out of the ledger and put their files on the list of what is to be unlinked.

    The study, its revisions, decisions, derivations and deliveries stay as they happened; what the rules saw of it,
    which repeats its headers, goes.
    """
    study = holding.study_instance_uid
    listed = set(pending_among(tx, holding.paths))
    tx.session.add_all(
        RemovalRow(path=path, study_instance_uid=study, at=at) for path in holding.paths if path not in listed
    )
    tx.session.execute(sa.delete(InstanceRow).where(InstanceRow.study_instance_uid == study))
    forget_study_facts(tx, study)
    # A series UID may stand in two studies by a sender's mistake.
    is_used = sa.exists().where(InstanceRow.series_instance_uid == SeriesRow.series_instance_uid)
    tx.session.execute(sa.delete(SeriesRow).where(SeriesRow.study_instance_uid == study, ~is_used))
    tx.session.execute(
        sa.update(StudyRow).where(StudyRow.study_instance_uid == study).values(instances=0, complete_instances=0)
    )
    tx.session.execute(
        sa.update(DerivationRow).where(DerivationRow.study_instance_uid == study).values(state=DerivationState.REMOVED)
    )


def pending_removals(tx: Transaction, after: str, limit: int) -> tuple[str, ...]:
    """List files that are still to be unlinked, in the order of their paths, beginning after one."""
    rows = tx.session.execute(
        sa.select(RemovalRow.path).where(RemovalRow.path > after).order_by(RemovalRow.path).limit(limit)
    ).scalars()
    return tuple(rows)


def pending_among(tx: Transaction, paths: Sequence[str]) -> tuple[str, ...]:
    """Find which of these paths are still to be unlinked."""
    found: list[str] = []
    for first in range(0, len(paths), _PATHS_AT_A_TIME):
        some = paths[first : first + _PATHS_AT_A_TIME]
        found += tx.session.execute(sa.select(RemovalRow.path).where(RemovalRow.path.in_(some))).scalars()
    return tuple(found)


def count_pending(tx: Transaction) -> int:
    """Count the files that are still to be unlinked."""
    return tx.session.execute(sa.select(sa.func.count()).select_from(RemovalRow)).scalar_one()


def end_removals(tx: Transaction, paths: Sequence[str]) -> None:
    """Take files off the list: they are gone, or an instance names them again."""
    tx.session.execute(sa.delete(RemovalRow).where(RemovalRow.path.in_(paths)))


def hold_study(tx: Transaction, study_instance_uid: StudyInstanceUID, reason: str | None) -> None:
    """Keep a study from being removed for a reason, or give it free again; raises NotInLedger."""
    row = tx.session.get(StudyRow, study_instance_uid)
    if row is None:
        raise NotInLedger("no study of this UID")
    row.held = reason
