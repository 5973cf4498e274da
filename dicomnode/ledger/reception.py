"""What the receive step writes: instances received together in one transaction, before any of them is acknowledged."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from dicomnode.domain.association import Association
from dicomnode.domain.study import Origin, ReceivedInstance
from dicomnode.domain.uids import SOPInstanceUID, StudyInstanceUID
from dicomnode.ledger.driver import DriverConnection, Outcome, Runner
from dicomnode.ledger.tables import EventRow, InstanceRow, QuarantineRow, SeriesRow, StudyRow
from dicomnode.ledger.transaction import Ledger, Transaction, insert_into

_STUDY = (
    *("study_instance_uid", "patient_id", "patient_name", "accession_number", "study_date", "description"),
    *("first_received_at", "last_received_at"),
)
_SERIES = ("series_instance_uid", "study_instance_uid", "modality", "series_number", "description")
_INSTANCE = (
    *("sop_instance_uid", "study_instance_uid", "series_instance_uid", "sop_class_uid", "transfer_syntax_uid"),
    *("instance_number", "digest", "path", "size", "calling_ae", "called_ae", "peer_address", "received_at"),
)
_EVENT = ("study_instance_uid", "at", "state", "text")

_Values = Mapping[str, Any]
_Told = tuple[int, _Values]
"""A line of a timeline, after the place in its batch of the instance that it is about."""


class ReceptionLog:
    """Records received instances at the pace at which they come; threads that share it take turns.

    The same content again changes nothing; another content of a known SOP Instance UID is kept beside the first,
    which stays in use, and the timeline says so.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._statements = _statements(ledger.engine.dialect.name)
        self._connection = DriverConnection(ledger, self._statements)

    def record(self, batch: Sequence[ReceivedInstance]) -> None:
        """Record instances in their order, all or none; after LedgerUnavailable they may be offered again."""
        if batch:
            self._connection.write(lambda run: _record(run, self._statements, batch))

    def close(self) -> None:
        """Give back the connection that is held for the next batch."""
        self._connection.close()


def record_received(tx: Transaction, received: ReceivedInstance) -> bool:
    """Record an instance as `ReceptionLog` does, together with other changes; says whether it was new."""
    # The session holds back what was written through it, and a timeline must tell that first.
    tx.session.flush()
    connection = tx.session.connection()
    return _record(_SessionRunner(connection), _statements(connection.dialect.name), (received,)) == [True]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statements:
    """All that a batch says to a database."""

    open_study: sa.Executable
    """Inserts a study or locks the row it has: two receivers must not both believe that they are the first."""
    open_series: sa.Executable
    insert_first: sa.Executable
    """Inserts a content that is then in use, unless its SOP Instance UID has one."""
    insert_beside: sa.Executable
    find_contents: sa.Executable
    count: sa.Executable
    tell: sa.Executable

    def __iter__(self) -> Iterator[sa.Executable]:
        return (getattr(self, field.name) for field in fields(self))


@lru_cache
def _statements(dialect: str) -> _Statements:
    """Build the statements once for a kind of database: building them costs more than it needs to run them."""
    study, instance = _table(StudyRow), _table(InstanceRow)
    # A study that is known is not changed, but its row is locked all the same (PostgreSQL's manual, INSERT).
    lock = {"index_elements": [study.c.study_instance_uid], "set_": {"revision": study.c.revision}, "where": sa.false()}
    opened = _insert(dialect, StudyRow, _STUDY, instances=0, complete_instances=0, revision=0)
    beside = _insert(dialect, InstanceRow, _INSTANCE, origin=Origin.RECEIVED, in_use=False)
    return _Statements(
        open_study=opened.on_conflict_do_update(**lock),
        open_series=_insert(dialect, SeriesRow, _SERIES, origin=Origin.RECEIVED).on_conflict_do_nothing(),
        insert_first=_insert_first(dialect),
        insert_beside=beside.on_conflict_do_nothing(),
        find_contents=sa.select(instance.c.digest, instance.c.origin).where(
            instance.c.sop_instance_uid == sa.bindparam("sop_instance_uid")
        ),
        count=sa.update(study)
        .where(study.c.study_instance_uid == sa.bindparam("study"))
        .values(instances=study.c.instances + sa.bindparam("number"), last_received_at=sa.bindparam("at")),
        tell=_insert(dialect, EventRow, _EVENT, step="receive"),
    )


def _table(row: Any) -> Any:  # noqa: ANN401  any table; SQLAlchemy types it as any selectable
    return row.__table__


def _insert(dialect: str, row: Any, names: Sequence[str], **fixed: Any) -> Any:  # noqa: ANN401  as `insert_into`
    """Build an insertion with parameters of these names and some values that are always the same."""
    return insert_into(dialect, row).values({name: sa.bindparam(name) for name in names} | fixed).inline()


def _insert_first(dialect: str) -> Any:  # noqa: ANN401  as `insert_into`
    """Build the insertion of an instance that looks for known contents of its UID itself."""
    instance = _table(InstanceRow).c
    values = [sa.bindparam(name, type_=instance[name].type) for name in _INSTANCE]
    is_known = sa.exists().where(instance.sop_instance_uid == sa.bindparam("sop_instance_uid"))
    new = sa.select(*values, sa.literal(Origin.RECEIVED, instance.origin.type), sa.true()).where(~is_known)
    return insert_into(dialect, InstanceRow).from_select([*_INSTANCE, "origin", "in_use"], new).on_conflict_do_nothing()


class _SessionRunner:
    """Runs statements on the connection of a session (ledger.driver.Runner)."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def execute(self, statement: sa.Executable, values: Mapping[str, Any]) -> Outcome:
        """Run a statement."""
        return self._connection.execute(statement, values, execution_options={"preserve_rowcount": True})

    def settle(self) -> None:
        """Return at once: each statement has run when `execute` returns."""


def _record(run: Runner, statements: _Statements, batch: Sequence[ReceivedInstance]) -> list[bool]:
    """Record instances as if they had come one by one; says of each whether it was new."""
    studies = _firsts(batch, lambda one: one.header.study_instance_uid)
    series = _firsts(batch, lambda one: one.header.series_instance_uid)
    # In the same order by every receiver, so that two of them never wait for each other.
    opened = {place: run.execute(statements.open_study, _study(batch[place])) for _, place in sorted(studies.items())}
    for _, place in sorted(series.items()):
        run.execute(statements.open_series, _series(batch[place]))
    inserted = [run.execute(statements.insert_first, _instance(one)) for one in batch]
    run.settle()
    is_new = [outcome.rowcount == 1 for outcome in inserted]
    told = [(place, _first_of_study(batch[place])) for place, outcome in opened.items() if outcome.rowcount == 1]
    if not all(is_new):
        told += _keep_beside(run, statements, batch, [place for place, new in enumerate(is_new) if not new])
    for _, line in sorted(told, key=lambda one: one[0]):
        run.execute(statements.tell, line)
    _count(run, statements, [one for one, new in zip(batch, is_new, strict=True) if new])
    return is_new


def _firsts(batch: Sequence[ReceivedInstance], key: Callable[[ReceivedInstance], str]) -> dict[str, int]:
    """Find the place of the first instance of each study or series."""
    places: dict[str, int] = {}
    for place, one in enumerate(batch):
        places.setdefault(key(one), place)
    return places


def _keep_beside(
    run: Runner, statements: _Statements, batch: Sequence[ReceivedInstance], places: Sequence[int]
) -> list[_Told]:
    """Keep other contents of known UIDs, and tell, unless it is an own output that was re-encoded on its way back."""
    told: list[_Told] = []
    for place in places:
        one = batch[place]
        known = {"sop_instance_uid": one.header.sop_instance_uid}
        contents: dict[str, str] = dict(run.execute(statements.find_contents, known).fetchall())
        if one.digest in contents:
            continue
        run.execute(statements.insert_beside, _instance(one))
        if Origin.DERIVED not in contents.values():
            told.append((place, _conflict(one)))
    return told


def _count(run: Runner, statements: _Statements, new: Sequence[ReceivedInstance]) -> None:
    """Count new instances in their studies, and note when the last of them came."""
    numbers: dict[StudyInstanceUID, int] = {}
    for one in new:
        numbers[one.header.study_instance_uid] = numbers.get(one.header.study_instance_uid, 0) + 1
    last = {one.header.study_instance_uid: one.received_at for one in new}
    for study, number in numbers.items():
        run.execute(statements.count, {"study": study, "number": number, "at": last[study]})


def _first_of_study(one: ReceivedInstance) -> _Values:
    """Tell that a study began."""
    sender = one.association
    return {
        "study_instance_uid": one.header.study_instance_uid,
        "at": one.received_at,
        "state": "running",
        "text": f"First instance received from {sender.calling_ae} ({sender.peer_address}).",
    }


def _conflict(one: ReceivedInstance) -> _Values:
    """Tell that an instance has two contents."""
    return {
        "study_instance_uid": one.header.study_instance_uid,
        "at": one.received_at,
        "state": "conflict",
        "text": f"Instance {one.header.sop_instance_uid} came again with other content; "
        "both are kept, the first stays in use.",
    }


def _study(one: ReceivedInstance) -> _Values:
    """Describe the study that an instance is the first of."""
    header = one.header
    return {
        "study_instance_uid": header.study_instance_uid,
        "patient_id": header.patient_id,
        "patient_name": header.patient_name,
        "accession_number": header.accession_number,
        "study_date": header.study_date,
        "description": header.study_description,
        "first_received_at": one.received_at,
        "last_received_at": one.received_at,
    }


def _series(one: ReceivedInstance) -> _Values:
    """Describe the series of an instance."""
    header = one.header
    return {
        "series_instance_uid": header.series_instance_uid,
        "study_instance_uid": header.study_instance_uid,
        "modality": header.modality,
        "series_number": header.series_number,
        "description": header.series_description,
    }


def _instance(one: ReceivedInstance) -> _Values:
    """Describe an instance and where its content lies."""
    header, sender = one.header, one.association
    return {
        "sop_instance_uid": header.sop_instance_uid,
        "study_instance_uid": header.study_instance_uid,
        "series_instance_uid": header.series_instance_uid,
        "sop_class_uid": header.sop_class_uid,
        "transfer_syntax_uid": one.transfer_syntax_uid,
        "instance_number": header.instance_number,
        "digest": one.digest,
        "path": one.path,
        "size": one.size,
        "calling_ae": sender.calling_ae,
        "called_ae": sender.called_ae,
        "peer_address": sender.peer_address,
        "received_at": one.received_at,
    }


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
