"""The list of studies as the pages and the API show it: filtered, sorted and counted by the database."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.study import Origin
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.tables import (
    DecisionRow,
    DeliveryRow,
    DerivationRow,
    InstanceRow,
    PeerRow,
    SeriesRow,
    StudyRow,
)
from dicomnode.ledger.transaction import Transaction

_UIDS_PER_QUERY = 500
_UID_FORM = re.compile(r"[0-9]+(\.[0-9]+)+")


class StudyState(StrEnum):
    """Where a study stands as a whole: of several that are true, the first one here."""

    FAILED = "failed"
    REFUSED = "refused"
    NEEDS_OPERATOR = "needs operator"
    HELD = "held"
    """A rule wants a person to release the synthesis."""
    RECEIVING = "receiving"
    RUNNING = "running"
    WAITING = "waiting"
    SENT = "sent"
    """Every derived instance was taken by its destination."""
    DERIVED = "derived"
    """There is a derived series that goes nowhere."""
    DONE = "done"
    """Complete, and no synthesis was asked for."""


class StudyOrder(StrEnum):
    """By what the list is sorted."""

    RECEIVED = "received"
    PATIENT = "patient"
    ACCESSION = "accession"
    DATE = "date"
    INSTANCES = "instances"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFilter:
    """Which studies are asked for; what is left empty restricts nothing."""

    search: str = ""
    """Accession number, patient ID or name in part; or the UID of a study, series or instance."""
    by_patient: bool = True
    """Whether `search` looks at names and patient IDs; not for a visitor who may not see them."""
    state: StudyState | None = None
    source: str = ""
    """Calling AE title that an instance came from."""
    destination: str = ""
    modality: str = ""
    model: str = ""
    received_from: datetime | None = None
    received_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyListing:
    """One row of the list."""

    study_instance_uid: StudyInstanceUID
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    description: str
    instances: int
    state: StudyState
    source: str
    modalities: tuple[str, ...]
    models: tuple[str, ...]
    destinations: tuple[str, ...]
    first_received_at: datetime
    last_received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPage:
    """Some rows of the list, and how many rows the whole list has."""

    rows: tuple[StudyListing, ...]
    total: int


def page_of_studies(
    tx: Transaction,
    asked: StudyFilter,
    *,
    order: StudyOrder = StudyOrder.RECEIVED,
    descending: bool = True,
    limit: int = 50,
    offset: int = 0,
) -> StudyPage:
    """List the studies that a filter lets through."""
    state = _state()
    conditions = _conditions(asked, state)
    total = tx.session.execute(sa.select(sa.func.count()).select_from(StudyRow).where(*conditions)).scalar_one()
    column = _ORDERS[order]
    found = tx.session.execute(
        sa.select(StudyRow, state, _source())
        .where(*conditions)
        .order_by(column.desc() if descending else column.asc(), StudyRow.study_instance_uid)
        .limit(limit)
        .offset(offset)
    ).all()
    return StudyPage(rows=_listings(tx, found), total=total)


def listing_of(tx: Transaction, study_instance_uid: StudyInstanceUID) -> StudyListing:
    """Read the row of one study; raises NotInLedger."""
    mine = sa.select(StudyRow, _state(), _source()).where(StudyRow.study_instance_uid == study_instance_uid)
    found = _listings(tx, tx.session.execute(mine).all())
    if not found:
        raise NotInLedger("no study of this UID")
    return found[0]


def sources_of_studies(tx: Transaction) -> tuple[str, ...]:
    """List the titles that studies may have come from, for a choice: the peers."""
    return tuple(tx.session.execute(sa.select(PeerRow.ae_title).order_by(PeerRow.ae_title)).scalars())


def modalities_of_studies(tx: Transaction) -> tuple[str, ...]:
    """List the modalities of the series that are here, for a choice."""
    found = tx.session.execute(
        sa.select(SeriesRow.modality).where(SeriesRow.modality != "").distinct().order_by(SeriesRow.modality)
    )
    return tuple(found.scalars())


_ORDERS: dict[StudyOrder, sa.orm.InstrumentedAttribute[Any]] = {
    StudyOrder.RECEIVED: StudyRow.last_received_at,
    StudyOrder.PATIENT: StudyRow.patient_name,
    StudyOrder.ACCESSION: StudyRow.accession_number,
    StudyOrder.DATE: StudyRow.study_date,
    StudyOrder.INSTANCES: StudyRow.instances,
}


def _exists(table: Any, *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:  # noqa: ANN401  a table's class
    """Whether a table has a row of the study with these properties."""
    mine = table.study_instance_uid == StudyRow.study_instance_uid
    return sa.exists().where(mine, *conditions).correlate(StudyRow)


def _state() -> sa.ColumnElement[str]:
    """Word the state of a study in the database, so that a filter by it pages and counts rightly."""

    def derivation(state: DerivationState) -> sa.ColumnElement[bool]:
        return _exists(DerivationRow, DerivationRow.state == state)

    def delivery(*states: DeliveryState) -> sa.ColumnElement[bool]:
        return _exists(DeliveryRow, DeliveryRow.state.in_(states))

    unclear = _exists(
        DecisionRow,
        DecisionRow.problem.is_not(None),
        ~DecisionRow.shadow,
        DecisionRow.revision == StudyRow.revision,
    )
    return sa.case(
        (derivation(DerivationState.FAILED) | delivery(DeliveryState.FAILED), StudyState.FAILED.value),
        (derivation(DerivationState.REFUSED), StudyState.REFUSED.value),
        (unclear | derivation(DerivationState.HELD), StudyState.NEEDS_OPERATOR.value),
        (StudyRow.instances > StudyRow.complete_instances, StudyState.RECEIVING.value),
        (derivation(DerivationState.RUNNING), StudyState.RUNNING.value),
        (derivation(DerivationState.WAITING) | delivery(DeliveryState.QUEUED), StudyState.WAITING.value),
        (delivery(DeliveryState.STORED, DeliveryState.VERIFIED), StudyState.SENT.value),
        (derivation(DerivationState.DERIVED), StudyState.DERIVED.value),
        else_=StudyState.DONE.value,
    )


def _conditions(asked: StudyFilter, state: sa.ColumnElement[str]) -> list[sa.ColumnElement[bool]]:
    conditions = [_found_by(asked)] if asked.search else []
    if asked.state is not None:
        conditions.append(state == asked.state.value)
    if asked.received_from is not None:
        conditions.append(StudyRow.last_received_at >= asked.received_from)
    if asked.received_before is not None:
        conditions.append(StudyRow.last_received_at < asked.received_before)
    related = (
        (InstanceRow, InstanceRow.calling_ae, asked.source),
        (DeliveryRow, DeliveryRow.destination, asked.destination),
        (SeriesRow, SeriesRow.modality, asked.modality),
        (DerivationRow, DerivationRow.model_name, asked.model),
    )
    return conditions + [_exists(table, column == value) for table, column, value in related if value]


def _found_by(asked: StudyFilter) -> sa.ColumnElement[bool]:
    """Whether what was typed names a study: by a UID of it, or by a part of a text."""
    texts = [StudyRow.accession_number]
    if asked.by_patient:
        texts += [StudyRow.patient_id, StudyRow.patient_name]
    ways = [text.icontains(asked.search, autoescape=True) for text in texts]
    if _UID_FORM.fullmatch(asked.search):
        ways += [
            StudyRow.study_instance_uid == asked.search,
            _exists(SeriesRow, SeriesRow.series_instance_uid == asked.search),
            _exists(InstanceRow, InstanceRow.sop_instance_uid == asked.search),
        ]
    return sa.or_(*ways)


def _source() -> sa.ColumnElement[str | None]:
    """Read from which title an instance of the study came."""
    received = InstanceRow.study_instance_uid == StudyRow.study_instance_uid, InstanceRow.origin == Origin.RECEIVED
    return sa.select(InstanceRow.calling_ae).where(*received).limit(1).correlate(StudyRow).scalar_subquery()


def _listings(tx: Transaction, found: Sequence[sa.Row[StudyRow, str, str | None]]) -> tuple[StudyListing, ...]:
    """Add to each row what other tables have of it, with one query for each of them."""
    uids = [row.study_instance_uid for row, _state, _source in found]
    modalities = _named(tx, SeriesRow, SeriesRow.modality, uids)
    models = _named(tx, DerivationRow, DerivationRow.model_name, uids)
    destinations = _named(tx, DeliveryRow, DeliveryRow.destination, uids)
    return tuple(
        StudyListing(
            study_instance_uid=StudyInstanceUID(row.study_instance_uid),
            patient_id=row.patient_id,
            patient_name=row.patient_name,
            accession_number=row.accession_number,
            study_date=row.study_date,
            description=row.description,
            instances=row.instances,
            state=StudyState(state),
            source=source or "",
            modalities=modalities.get(row.study_instance_uid, ()),
            models=models.get(row.study_instance_uid, ()),
            destinations=destinations.get(row.study_instance_uid, ()),
            first_received_at=row.first_received_at,
            last_received_at=row.last_received_at,
        )
        for row, state, source in found
    )


def _named(tx: Transaction, table: Any, column: Any, uids: Sequence[str]) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
    """Collect what a column names, by study."""
    named: dict[str, tuple[str, ...]] = {}
    for first in range(0, len(uids), _UIDS_PER_QUERY):
        some = uids[first : first + _UIDS_PER_QUERY]
        rows = tx.session.execute(
            sa.select(table.study_instance_uid, column)
            .where(table.study_instance_uid.in_(some), column != "")
            .distinct()
            .order_by(column)
        )
        for uid, name in rows:
            named[uid] = (*named.get(uid, ()), name)
    return named
