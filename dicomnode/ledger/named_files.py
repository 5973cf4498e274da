"""Which files of the spool the ledger names, and what it has told about those that are not as they should be."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from dicomnode.domain.uids import SOPInstanceUID, StudyInstanceUID
from dicomnode.ledger.tables import EventRow, InstanceRow, QuarantineRow
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Transaction

_STEP = "reconcile"
_COLUMNS = (InstanceRow.path, InstanceRow.digest, InstanceRow.study_instance_uid, InstanceRow.sop_instance_uid)
_BY_BYTES = {"sqlite": "BINARY", "postgresql": "C"}
"""The collations that order text as Python does, whatever the language of the database."""
_ROWS_AT_A_TIME = 5000
_PATHS_AT_A_TIME = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A file that a row names: its path inside the spool, and which instance of which study it is."""

    path: str
    digest: str
    study_instance_uid: StudyInstanceUID
    sop_instance_uid: SOPInstanceUID


def named_files(tx: Transaction) -> Iterator[NamedFile]:
    """List all files that instances name, in the order of their paths; rows are fetched as they are asked for."""
    rows = tx.session.execute(
        sa.select(*_COLUMNS).order_by(_by_bytes(tx, InstanceRow.path)), execution_options={"yield_per": _ROWS_AT_A_TIME}
    )
    return (_named(row) for row in rows.mappings())


def files_named(tx: Transaction, paths: Sequence[str]) -> tuple[NamedFile, ...]:
    """Find the rows that name any of these paths."""
    found: list[NamedFile] = []
    for first in range(0, len(paths), _PATHS_AT_A_TIME):
        some = paths[first : first + _PATHS_AT_A_TIME]
        rows = tx.session.execute(sa.select(*_COLUMNS).where(InstanceRow.path.in_(some)))
        found += [_named(row) for row in rows.mappings()]
    return tuple(found)


def quarantined_paths(tx: Transaction) -> frozenset[str]:
    """Give the paths of all files that stand in quarantine."""
    return frozenset(tx.session.execute(sa.select(QuarantineRow.path)).scalars())


def tell_once(tx: Transaction, files: Sequence[NamedFile], state: str, text: str, at: datetime) -> int:
    """Write a line into the timeline of one study about those of its files that no such line names yet.

    `text` has a place for {count}; says how many were new.
    """
    study = files[0].study_instance_uid
    details = tx.session.execute(
        sa.select(EventRow.detail).where(
            EventRow.study_instance_uid == study, EventRow.step == _STEP, EventRow.state == state
        )
    ).scalars()
    told = {digest for detail in details for digest in (detail or {}).get("digests", ())}
    news = sorted({file.digest for file in files} - told)
    if news:
        write_event(
            tx,
            study,
            at=at,
            step=_STEP,
            state=state,
            text=text.format(count=len(news)),
            detail={"digests": news},
        )
    return len(news)


def _named(row: sa.RowMapping) -> NamedFile:
    return NamedFile(
        path=row["path"],
        digest=row["digest"],
        study_instance_uid=StudyInstanceUID(row["study_instance_uid"]),
        sop_instance_uid=SOPInstanceUID(row["sop_instance_uid"]),
    )


def _by_bytes(tx: Transaction, column: InstrumentedAttribute[str]) -> sa.ColumnElement[str]:
    return sa.collate(column, _BY_BYTES[tx.session.get_bind().dialect.name])
