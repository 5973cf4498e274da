"""Where each instance that goes out stands on its way to each destination."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.delivery import Consignment, DeliveryState, OutgoingInstance, StoreOutcome
from dicomnode.domain.derivation import DerivedInstance
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SeriesInstanceUID, SOPClassUID, SOPInstanceUID, StudyInstanceUID, TransferSyntaxUID
from dicomnode.ledger.tables import DeliveryRow, DerivationRow, InstanceRow
from dicomnode.ledger.transaction import Transaction, insert_new

ROUTE_PREFIX = "route:"
"""How the keys of routings begin; those of derivations begin with `derive:`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """How many instances wait again, and how often a person has asked for it, counted from 1."""

    instances: int
    round: int


def queue_delivery(
    tx: Transaction,
    consignment: tuple[str, str],
    destination: str,
    instances: Iterable[DerivedInstance | StoredInstance],
    now: datetime,
    *,
    round_: int = 1,
) -> None:
    """Queue the instances of a consignment (its key and study) for one destination."""
    key, study_instance_uid = consignment
    for instance in instances:
        insert_new(
            tx,
            DeliveryRow,
            derivation_key=key,
            destination=destination,
            sop_instance_uid=instance.sop_instance_uid,
            study_instance_uid=study_instance_uid,
            state=DeliveryState.QUEUED,
            comment="",
            attempts=0,
            round=round_,
            at=now,
        )


def begin_round(tx: Transaction, key: str, destination: str) -> int:
    """Say in which round a series that was just made goes to a destination, counted from 1.

    What is recorded of earlier rounds was of a series that retention has removed since; it is forgotten here.
    """
    mine = (DeliveryRow.derivation_key == key, DeliveryRow.destination == destination)
    earlier = tx.session.execute(sa.select(sa.func.max(DeliveryRow.round)).where(*mine)).scalar() or 0
    tx.session.execute(sa.delete(DeliveryRow).where(*mine))
    return earlier + 1


def find_consignment(tx: Transaction, key: str) -> Consignment:
    """Find what goes out under a key: a derivation, or a routing of which something was queued; raises NotInLedger."""
    derivation = tx.session.get(DerivationRow, key)
    if derivation is not None:
        study, priority = derivation.study_instance_uid, derivation.priority
        return Consignment(key=key, study_instance_uid=StudyInstanceUID(study), priority=priority)
    of_key = sa.select(DeliveryRow.study_instance_uid).where(DeliveryRow.derivation_key == key).limit(1)
    routed = tx.session.execute(of_key).scalar_one_or_none()
    if routed is None:
        raise NotInLedger("nothing of this key was ever to go anywhere")
    return Consignment(key=key, study_instance_uid=StudyInstanceUID(routed))


def consigned(tx: Transaction, key: str, destination: str) -> dict[SeriesInstanceUID, frozenset[SOPInstanceUID]]:
    """List what a destination is to have under a key, by series; nothing when it was withdrawn."""
    rows = tx.session.execute(
        sa.select(InstanceRow.series_instance_uid, InstanceRow.sop_instance_uid)
        .join(DeliveryRow, DeliveryRow.sop_instance_uid == InstanceRow.sop_instance_uid)
        .where(DeliveryRow.derivation_key == key, DeliveryRow.destination == destination, InstanceRow.in_use)
        .order_by(InstanceRow.series_instance_uid)
    )
    by_series: dict[SeriesInstanceUID, set[SOPInstanceUID]] = {}
    for series, instance in rows:
        by_series.setdefault(SeriesInstanceUID(series), set()).add(SOPInstanceUID(instance))
    return {series: frozenset(instances) for series, instances in by_series.items()}


def routed_before(tx: Transaction, pattern: str, destination: str) -> frozenset[str]:
    """List the instances that went to a destination, or are on their way, under keys like a pattern of SQL."""
    rows = tx.session.execute(
        sa.select(DeliveryRow.sop_instance_uid).where(
            DeliveryRow.derivation_key.like(pattern),
            DeliveryRow.destination == destination,
            DeliveryRow.state != DeliveryState.FAILED,
        )
    ).scalars()
    return frozenset(rows)


def cancel_deliveries(tx: Transaction, key: str) -> dict[str, int]:
    """Take out of the queues what was not sent yet; gives the destinations that have instances, and how many."""
    mine = DeliveryRow.derivation_key == key
    tx.session.execute(sa.delete(DeliveryRow).where(mine, DeliveryRow.state == DeliveryState.QUEUED))
    taken = tx.session.execute(
        sa.select(DeliveryRow.destination, sa.func.count())
        .where(mine, DeliveryRow.state.in_((DeliveryState.STORED, DeliveryState.VERIFIED)))
        .group_by(DeliveryRow.destination)
        .order_by(DeliveryRow.destination)
    ).all()
    return {destination: count for destination, count in taken}


def routings(tx: Transaction, study_instance_uid: str) -> dict[str, dict[str, dict[str, int]]]:
    """Count what was routed of a study as it was received: key -> destination -> state -> instances."""
    rows = tx.session.execute(
        sa.select(DeliveryRow.derivation_key, DeliveryRow.destination, DeliveryRow.state, sa.func.count())
        .where(
            DeliveryRow.study_instance_uid == study_instance_uid,
            DeliveryRow.derivation_key.startswith(ROUTE_PREFIX),
        )
        .group_by(DeliveryRow.derivation_key, DeliveryRow.destination, DeliveryRow.state)
        .order_by(DeliveryRow.derivation_key, DeliveryRow.destination)
    )
    found: dict[str, dict[str, dict[str, int]]] = {}
    for key, destination, state, count in rows:
        found.setdefault(key, {}).setdefault(destination, {})[state] = count
    return found


def outstanding(tx: Transaction, key: str, destination: str) -> tuple[OutgoingInstance, ...]:
    """List the instances the destination has not yet taken, in order; `file` is the path inside the spool."""
    rows = tx.session.execute(
        sa.select(InstanceRow)
        .join(DeliveryRow, DeliveryRow.sop_instance_uid == InstanceRow.sop_instance_uid)
        .where(
            DeliveryRow.derivation_key == key,
            DeliveryRow.destination == destination,
            DeliveryRow.state == DeliveryState.QUEUED,
            InstanceRow.in_use,
        )
        .order_by(InstanceRow.instance_number.nulls_last(), InstanceRow.sop_instance_uid)
    ).scalars()
    return tuple(
        OutgoingInstance(
            sop_instance_uid=SOPInstanceUID(row.sop_instance_uid),
            sop_class_uid=SOPClassUID(row.sop_class_uid),
            transfer_syntax_uid=TransferSyntaxUID(row.transfer_syntax_uid),
            file=row.path,
        )
        for row in rows
    )


def record_outcomes(
    tx: Transaction, key: str, destination: str, outcomes: Iterable[StoreOutcome], now: datetime
) -> None:
    """Record what the destination said about each instance."""
    for outcome in outcomes:
        state = DeliveryState.STORED if outcome.stored else DeliveryState.FAILED
        if outcome.retryable and not outcome.stored:
            state = DeliveryState.QUEUED
        tx.session.execute(
            sa.update(DeliveryRow)
            .where(
                DeliveryRow.derivation_key == key,
                DeliveryRow.destination == destination,
                DeliveryRow.sop_instance_uid == outcome.sop_instance_uid,
            )
            .values(
                state=state,
                status=outcome.status,
                comment=outcome.comment,
                attempts=DeliveryRow.attempts + 1,
                at=now,
            )
        )


def refusals(tx: Transaction, key: str, destination: str) -> tuple[int, ...]:
    """List the DIMSE statuses with which a destination refused instances for good, in whatever attempt."""
    statuses = tx.session.execute(
        sa.select(DeliveryRow.status)
        .where(
            DeliveryRow.derivation_key == key,
            DeliveryRow.destination == destination,
            DeliveryRow.state == DeliveryState.FAILED,
        )
        .order_by(DeliveryRow.sop_instance_uid)
    ).scalars()
    return tuple(status or 0 for status in statuses)


def mark_verified(tx: Transaction, key: str, destination: str, now: datetime) -> None:
    """Say that the destination lists every stored instance of this derivation when asked."""
    tx.session.execute(
        sa.update(DeliveryRow)
        .where(
            DeliveryRow.derivation_key == key,
            DeliveryRow.destination == destination,
            DeliveryRow.state == DeliveryState.STORED,
        )
        .values(state=DeliveryState.VERIFIED, at=now)
    )


def queue_again(tx: Transaction, key: str, destination: str, now: datetime) -> Requeued:
    """Put every instance of a derivation back into the queue of a destination; raises NotInLedger when none was."""
    result = tx.session.execute(
        sa.update(DeliveryRow)
        .where(DeliveryRow.derivation_key == key, DeliveryRow.destination == destination)
        .values(state=DeliveryState.QUEUED, round=DeliveryRow.round + 1, at=now)
        .returning(DeliveryRow.round)
    ).scalars()
    rounds = tuple(result)
    if not rounds:
        raise NotInLedger("nothing of this derivation was ever to go to this destination")
    return Requeued(instances=len(rounds), round=max(rounds))


def delivery_counts(tx: Transaction, key: str, destination: str) -> dict[str, int]:
    """Count a derivation's instances at one destination by state."""
    rows = tx.session.execute(
        sa.select(DeliveryRow.state, sa.func.count())
        .where(DeliveryRow.derivation_key == key, DeliveryRow.destination == destination)
        .group_by(DeliveryRow.state)
    ).all()
    return {state: count for state, count in rows}
