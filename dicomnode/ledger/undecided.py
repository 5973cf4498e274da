"""Which studies the rules could not look at, so that a person was told."""

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.tables import EventRow, RevisionRow, StudyRow
from dicomnode.ledger.transaction import Transaction

_Later = aliased(EventRow)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedRevision:
    """The newest revision of a study that was left to a person before any rule had answered, and how often it was."""

    study_instance_uid: StudyInstanceUID
    number: int
    times: int


def undecided_revisions(tx: Transaction) -> tuple[UndecidedRevision, ...]:
    """List the newest revisions that no rule has answered, and that are left to a person now; the oldest first."""
    is_newest = sa.and_(
        StudyRow.study_instance_uid == RevisionRow.study_instance_uid, StudyRow.revision == RevisionRow.number
    )
    was_left = sa.and_(
        EventRow.study_instance_uid == RevisionRow.study_instance_uid,
        EventRow.step == "decide",
        EventRow.state == "needs operator",
        EventRow.detail["revision"].as_integer() == RevisionRow.number,
    )
    latest = sa.select(sa.func.max(_Later.id)).where(
        _Later.study_instance_uid == RevisionRow.study_instance_uid, _Later.step == "decide"
    )
    rows = tx.session.execute(
        sa.select(RevisionRow.study_instance_uid, RevisionRow.number, sa.func.count(EventRow.id))
        .join(StudyRow, is_newest)
        .join(EventRow, was_left)
        .where(RevisionRow.decided_at.is_(None))
        .group_by(RevisionRow.study_instance_uid, RevisionRow.number, RevisionRow.at)
        .having(sa.func.max(EventRow.id) == latest.scalar_subquery())
        .order_by(RevisionRow.at, RevisionRow.study_instance_uid)
    )
    return tuple(
        UndecidedRevision(study_instance_uid=StudyInstanceUID(uid), number=number, times=times)
        for uid, number, times in rows
    )
