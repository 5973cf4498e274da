"""What the rules saw of each revision of a study, kept so that any decision can be made again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.rule_tables import StudyFactsRow
from dicomnode.ledger.tables import RevisionRow, StudyRow
from dicomnode.ledger.transaction import Transaction, insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFacts:
    """The facts of one revision as they are kept, encoded by the caller, and the instant of its decision."""

    at: datetime
    document: bytes
    nested: bytes | None
    """The facts whose names have paths; None where they were not asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedStudy:
    """The newest revision of a study, and its facts where they are kept."""

    study_instance_uid: StudyInstanceUID
    revision: int
    at: datetime
    """When it was decided, or when it was complete where it is not decided yet."""
    is_current: bool
    """Whether nothing was received since."""
    facts: KeptFacts | None


_NEWEST = sa.and_(
    RevisionRow.study_instance_uid == StudyRow.study_instance_uid, RevisionRow.number == StudyRow.revision
)
_ITS_FACTS = sa.and_(
    StudyFactsRow.study_instance_uid == RevisionRow.study_instance_uid, StudyFactsRow.revision == RevisionRow.number
)


def keep_study_facts(tx: Transaction, revision: tuple[StudyInstanceUID, int], kept: KeptFacts) -> bool:
    """Keep the facts of a revision, which were never kept before; says whether that is so."""
    return insert_new(
        tx,
        StudyFactsRow,
        study_instance_uid=revision[0],
        revision=revision[1],
        at=kept.at,
        document=kept.document,
        nested=kept.nested or b"",
    )


def decided_since(tx: Transaction, moment: datetime) -> tuple[StudyInstanceUID, ...]:
    """List the studies whose newest revision began after a moment, the latest first."""
    rows = tx.session.execute(
        sa.select(StudyRow.study_instance_uid)
        .join(RevisionRow, _NEWEST)
        .where(RevisionRow.at > moment)
        .order_by(RevisionRow.at.desc(), RevisionRow.study_instance_uid)
    ).scalars()
    return tuple(StudyInstanceUID(uid) for uid in rows)


def decided_studies(tx: Transaction, studies: Sequence[StudyInstanceUID], *, nested: bool) -> tuple[DecidedStudy, ...]:
    """Read the newest revisions of a few hundred studies at most, with their facts, in the order they are asked for.

    Those that were never complete are left out; `nested` asks for the facts whose names have paths, too.
    """
    rows = tx.session.execute(
        sa.select(
            StudyRow.study_instance_uid,
            sa.and_(StudyRow.instances == StudyRow.complete_instances, StudyRow.instances > 0),
            RevisionRow.number,
            sa.func.coalesce(RevisionRow.decided_at, RevisionRow.at, type_=RevisionRow.at.type),
            StudyFactsRow.at,
            StudyFactsRow.document,
            StudyFactsRow.nested if nested else sa.null(),
        )
        .join(RevisionRow, _NEWEST)
        .outerjoin(StudyFactsRow, _ITS_FACTS)
        .where(StudyRow.study_instance_uid.in_(studies))
    )
    found = {row[0]: _decided(row) for row in rows}
    return tuple(found[uid] for uid in studies if uid in found)


def forget_study_facts(tx: Transaction, study_instance_uid: StudyInstanceUID) -> None:
    """Forget what the rules saw of a study."""
    tx.session.execute(sa.delete(StudyFactsRow).where(StudyFactsRow.study_instance_uid == study_instance_uid))


def _decided(row: sa.Row[*tuple[Any, ...]]) -> DecidedStudy:
    uid, is_current, number, at, facts_at, document, nested = row
    return DecidedStudy(
        study_instance_uid=StudyInstanceUID(uid),
        revision=number,
        at=at,
        is_current=bool(is_current),
        facts=None if document is None else KeptFacts(at=facts_at, document=document, nested=nested),
    )
