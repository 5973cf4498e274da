"""What searches for studies, series and instances need of the ledger: a few statements for a whole page of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import sqlalchemy as sa

from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.studies import stored_instance
from dicomnode.ledger.tables import HeaderRow, InstanceRow, SeriesRow, StudyRow
from dicomnode.ledger.transaction import Transaction

# Whole rows would be objects that the session watches: for a list of hundreds that costs more than the query.
_COLUMNS = tuple(getattr(InstanceRow, field.name) for field in fields(StoredInstance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What the ledger can tell of a study that is looked for; what is empty is no condition.

    Names and parts of identifiers are looked for anywhere in the text, without regard to case. Dates have the form
    of VR DA; a study whose date does not have it is never left out.
    """

    study_instance_uids: tuple[str, ...] = ()
    series_instance_uids: tuple[str, ...] = ()
    sop_instance_uids: tuple[str, ...] = ()
    patient_id: str = ""
    part_of_patient_id: str = ""
    accession_number: str = ""
    part_of_accession_number: str = ""
    part_of_patient_name: str = ""
    first_date: str = ""
    last_date: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedInstance:
    """An instance with the summary of its header, where one is kept."""

    instance: StoredInstance
    summary: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSeries:
    """A series of a study, how many of its instances are in use, and the one that was received first."""

    modality: str
    description: str
    instances: int
    first: ListedInstance


def search_studies(tx: Transaction, criteria: Criteria, *, limit: int, offset: int) -> tuple[StudyInstanceUID, ...]:
    """List the studies that meet all criteria, latest first."""
    rows = tx.session.execute(
        sa.select(StudyRow.study_instance_uid)
        .where(*_conditions(criteria))
        .order_by(StudyRow.last_received_at.desc(), StudyRow.study_instance_uid)
        .limit(limit)
        .offset(offset)
    ).scalars()
    return tuple(map(StudyInstanceUID, rows))


def list_series_of(tx: Transaction, studies: Sequence[StudyInstanceUID]) -> tuple[ListedSeries, ...]:
    """List the series of some studies by number; what a series UID was used for in two studies are two series."""
    group = (
        sa.select(sa.func.count().label("instances"), sa.func.min(InstanceRow.id).label("first"))
        .where(InstanceRow.study_instance_uid.in_(studies), InstanceRow.in_use)
        .group_by(InstanceRow.study_instance_uid, InstanceRow.series_instance_uid)
        .subquery()
    )
    rows = tx.session.execute(
        sa.select(*_COLUMNS, HeaderRow.summary, SeriesRow.modality, SeriesRow.description, group.c.instances)
        .join(group, group.c.first == InstanceRow.id)
        .outerjoin(HeaderRow, HeaderRow.instance_id == InstanceRow.id)
        .outerjoin(SeriesRow, SeriesRow.series_instance_uid == InstanceRow.series_instance_uid)
        .order_by(SeriesRow.series_number.nulls_last(), InstanceRow.series_instance_uid)
    )
    return tuple(
        ListedSeries(
            modality=row.modality or "",
            description=row.description or "",
            instances=row.instances,
            first=ListedInstance(instance=stored_instance(row), summary=row.summary),
        )
        for row in rows
    )


def list_instances_of(
    tx: Transaction, series: Sequence[ListedSeries], sop_instance_uids: Sequence[str] = ()
) -> tuple[ListedInstance, ...]:
    """List the instances in use of some series, by instance number within each; only some where they are named."""
    wanted = {(one.first.instance.study_instance_uid, one.first.instance.series_instance_uid) for one in series}
    conditions = [
        InstanceRow.study_instance_uid.in_({study for study, _series in wanted}),
        InstanceRow.series_instance_uid.in_({uid for _study, uid in wanted}),
    ]
    if sop_instance_uids:
        conditions.append(InstanceRow.sop_instance_uid.in_(sop_instance_uids))
    rows = tx.session.execute(
        sa.select(*_COLUMNS, HeaderRow.summary)
        .outerjoin(HeaderRow, HeaderRow.instance_id == InstanceRow.id)
        .where(*conditions, InstanceRow.in_use)
        .order_by(
            InstanceRow.series_instance_uid, InstanceRow.instance_number.nulls_last(), InstanceRow.sop_instance_uid
        )
    )
    return tuple(
        ListedInstance(instance=stored_instance(row), summary=row.summary)
        for row in rows
        if (row.study_instance_uid, row.series_instance_uid) in wanted
    )


def _conditions(criteria: Criteria) -> list[sa.ColumnElement[bool]]:
    within = {
        InstanceRow.series_instance_uid: criteria.series_instance_uids,
        InstanceRow.sop_instance_uid: criteria.sop_instance_uids,
    }
    parts = {
        StudyRow.patient_id: criteria.part_of_patient_id,
        StudyRow.accession_number: criteria.part_of_accession_number,
        StudyRow.patient_name: criteria.part_of_patient_name,
    }
    whole = {StudyRow.patient_id: criteria.patient_id, StudyRow.accession_number: criteria.accession_number}
    found: list[sa.ColumnElement[bool]] = []
    if criteria.study_instance_uids:
        found.append(StudyRow.study_instance_uid.in_(criteria.study_instance_uids))
    for column, uids in within.items():
        if uids:
            holding = sa.select(InstanceRow.study_instance_uid).where(column.in_(uids), InstanceRow.in_use)
            found.append(StudyRow.study_instance_uid.in_(holding))
    found += [column == value for column, value in whole.items() if value]
    found += [column.icontains(part, autoescape=True) for column, part in parts.items() if part]
    return found + _date_conditions(criteria)


def _date_conditions(criteria: Criteria) -> list[sa.ColumnElement[bool]]:
    is_unknown = StudyRow.study_date == ""
    found: list[sa.ColumnElement[bool]] = []
    if criteria.first_date:
        found.append(sa.or_(is_unknown, StudyRow.study_date >= criteria.first_date))
    if criteria.last_date:
        found.append(sa.or_(is_unknown, StudyRow.study_date <= criteria.last_date))
    return found
