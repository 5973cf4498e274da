"""The rules as rows: their versions, which of them came into force when, and the one draft."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.rule_book import Draft, Publication, PublicationKind
from dicomnode.ledger.rule_tables import RuleDraftRow, RulePublicationRow
from dicomnode.ledger.tables import RuleSetRow
from dicomnode.ledger.transaction import Transaction, insert_new

_THE_DRAFT = 1
"""The number of the row of the draft: there is one."""


def has_publications(tx: Transaction) -> bool:
    """Whether this database is of a version that keeps rules; nothing is changed by asking."""
    return sa.inspect(tx.session.connection()).has_table(RulePublicationRow.__tablename__)


def latest_publication(tx: Transaction) -> Publication | None:
    """Read which version is in force since when; None where none ever was."""
    row = tx.session.execute(
        sa.select(RulePublicationRow).order_by(RulePublicationRow.number.desc()).limit(1)
    ).scalar_one_or_none()
    return None if row is None else _publication_of(row)


def list_publications(tx: Transaction, limit: int) -> tuple[Publication, ...]:
    """List which versions came into force, the latest first."""
    rows = tx.session.execute(
        sa.select(RulePublicationRow).order_by(RulePublicationRow.number.desc()).limit(limit)
    ).scalars()
    return tuple(_publication_of(row) for row in rows)


def was_published(tx: Transaction, version: str) -> bool:
    """Whether a version ever came into force."""
    found = tx.session.execute(
        sa.select(RulePublicationRow.number).where(RulePublicationRow.version == version).limit(1)
    ).first()
    return found is not None


def add_publication(tx: Transaction, publication: Publication) -> bool:
    """Put a version in force; says whether its number was free."""
    return insert_new(
        tx,
        RulePublicationRow,
        number=publication.number,
        version=publication.version,
        kind=publication.kind,
        at=publication.at,
        by=publication.by,
        reason=publication.reason,
        approved_by=publication.approved_by,
    )


def find_rule_set(tx: Transaction, version: str) -> Mapping[str, object]:
    """Read the document of a version; raises NotInLedger."""
    document = tx.session.execute(
        sa.select(RuleSetRow.document).where(RuleSetRow.version == version)
    ).scalar_one_or_none()
    if document is None:
        raise NotInLedger("there is no version of the rules of this name")
    return document


def lock_rules(tx: Transaction, now: datetime) -> None:
    """Keep everybody else from changing the draft or publishing until the transaction ends."""
    insert_new(
        tx,
        RuleDraftRow,
        id=_THE_DRAFT,
        number=0,
        document=None,
        base="",
        editors=[],
        changed_at=now,
        changed_by="",
        proposed_by=None,
        proposal="",
    )
    # SQLite locks nothing for a SELECT; an UPDATE that changes nothing locks in both databases.
    _update_draft(tx, number=RuleDraftRow.number)


def find_draft(tx: Transaction) -> Draft | None:
    """Read the draft; None where none is open."""
    row = _draft_row(tx)
    if row is None or row.document is None:
        return None
    return Draft(
        document=row.document,
        number=row.number,
        base=row.base,
        changed_at=row.changed_at,
        changed_by=row.changed_by,
        editors=tuple(row.editors),
        proposed_by=row.proposed_by,
        proposal=row.proposal,
    )


def last_draft_number(tx: Transaction) -> int:
    """Tell the number of the last change of any draft; 0 where there never was one."""
    row = _draft_row(tx)
    return 0 if row is None else row.number


def put_draft(tx: Transaction, draft: Draft) -> None:
    """Make the draft what is given; the caller holds the lock (`lock_rules`)."""
    _update_draft(
        tx,
        number=draft.number,
        document=draft.document,
        base=draft.base,
        editors=list(draft.editors),
        changed_at=draft.changed_at,
        changed_by=draft.changed_by,
        proposed_by=draft.proposed_by,
        proposal=draft.proposal,
    )


def close_draft(tx: Transaction) -> None:
    """Let there be no draft; the caller holds the lock (`lock_rules`)."""
    _update_draft(tx, document=None, editors=[], proposed_by=None, proposal="")


def _draft_row(tx: Transaction) -> RuleDraftRow | None:
    return tx.session.execute(
        sa.select(RuleDraftRow).where(RuleDraftRow.id == _THE_DRAFT).execution_options(populate_existing=True)
    ).scalar_one_or_none()


def _update_draft(tx: Transaction, **values: object) -> None:
    tx.session.execute(
        sa.update(RuleDraftRow)
        .where(RuleDraftRow.id == _THE_DRAFT)
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def _publication_of(row: RulePublicationRow) -> Publication:
    return Publication(
        number=row.number,
        version=row.version,
        kind=PublicationKind(row.kind),
        at=row.at,
        by=row.by,
        reason=row.reason,
        approved_by=row.approved_by,
    )
