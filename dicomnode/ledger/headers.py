"""The headers of instances: read from their files once, kept beside their rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import cast

import sqlalchemy as sa

from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.ledger.studies import stored_instance
from dicomnode.ledger.tables import HeaderRow, InstanceRow
from dicomnode.ledger.transaction import Transaction, insert_into

_UIDS_PER_QUERY = 500
"""Databases take only so many parameters in a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptHeader:
    """One header as it is kept: whole and in short, both encoded by the caller; or why there is none."""

    summary: str | None = None
    document: bytes | None = None
    problem: str = ""


def unread_instances(tx: Transaction, after: int, limit: int) -> dict[int, StoredInstance]:
    """List instances in use without a header that came after a row's number, by their rows' numbers, the first first.

    On PostgreSQL those that another process is reading now are left out, and this one's are kept for it until the
    transaction ends.
    """
    has_header = sa.exists().where(HeaderRow.instance_id == InstanceRow.id)
    rows = tx.session.execute(
        sa.select(InstanceRow)
        .where(InstanceRow.id > after, InstanceRow.in_use, ~has_header)
        .order_by(InstanceRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).scalars()
    return {row.id: stored_instance(row) for row in rows}


def last_before(tx: Transaction, moment: datetime) -> int:
    """Tell the number of the last row of an instance that was received before a moment; 0 when there is none."""
    number = tx.session.execute(
        sa.select(InstanceRow.id)
        .where(InstanceRow.received_at < moment)
        .order_by(InstanceRow.received_at.desc(), InstanceRow.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return number or 0


def last_received_at(tx: Transaction) -> datetime | None:
    """Tell when the latest instance came in; None when there is none."""
    return tx.session.execute(
        sa.select(InstanceRow.received_at).order_by(InstanceRow.received_at.desc()).limit(1)
    ).scalar_one_or_none()


def keep_headers(tx: Transaction, headers: Sequence[tuple[StoredInstance, KeptHeader]]) -> None:
    """Keep headers of instances that still have a row; one that stands already is left as it is."""
    if not headers:
        return
    values = [
        {
            "of_instance": instance.sop_instance_uid,
            "of_digest": instance.digest,
            "problem": header.problem,
            "summary": header.summary,
            "document": header.document,
        }
        # In one order everywhere, so that two processes that keep the same headers wait for each other at most once.
        for instance, header in sorted(headers, key=lambda one: one[0].sop_instance_uid)
    ]
    tx.session.execute(_keep_statement(tx.session.get_bind().dialect.name), values)


@lru_cache
def _keep_statement(dialect: str) -> sa.Executable:
    """Build the insertion once: from the instance's own row, so that one that is being removed gets no header."""
    columns = (
        InstanceRow.id,
        sa.cast(sa.bindparam("problem"), sa.Text),
        sa.cast(sa.bindparam("summary"), sa.Text),
        sa.cast(sa.bindparam("document"), sa.LargeBinary),
    )
    instance = (
        sa.select(*columns)
        .where(InstanceRow.sop_instance_uid == sa.bindparam("of_instance"))
        .where(InstanceRow.digest == sa.bindparam("of_digest"))
        .with_for_update(read=True, key_share=True)
    )
    statement = insert_into(dialect, HeaderRow).from_select(["instance_id", "problem", "summary", "document"], instance)
    kept = {name: statement.excluded[name] for name in ("problem", "summary", "document")}
    return cast(
        sa.Executable,
        statement.on_conflict_do_update(index_elements=["instance_id"], set_=kept, where=HeaderRow.summary.is_(None)),
    )


def kept_documents(tx: Transaction, sop_instance_uids: Sequence[SOPInstanceUID]) -> dict[SOPInstanceUID, bytes]:
    """Read the whole headers of instances in use, as they were encoded; those that are not kept are left out."""
    found: dict[SOPInstanceUID, bytes] = {}
    for first in range(0, len(sop_instance_uids), _UIDS_PER_QUERY):
        some = sop_instance_uids[first : first + _UIDS_PER_QUERY]
        rows = tx.session.execute(
            sa.select(InstanceRow.sop_instance_uid, HeaderRow.document)
            .join(HeaderRow, HeaderRow.instance_id == InstanceRow.id)
            .where(InstanceRow.sop_instance_uid.in_(some), InstanceRow.in_use, HeaderRow.document.is_not(None))
        )
        found |= {SOPInstanceUID(uid): document for uid, document in rows.all() if document is not None}
    return found
