"""How often rules fired, and for which studies."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.tables import DecisionRow, StudyRow
from dicomnode.ledger.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class FiredDecision:
    """One time that a rule fired."""

    study_instance_uid: StudyInstanceUID
    accession_number: str
    revision: int
    rule_set_version: str
    problem: str | None
    at: datetime


def count_fired(tx: Transaction, since: datetime) -> Mapping[str, int]:
    """Count by rule how often it fired since an instant; a rule that did not is not in it."""
    rows = tx.session.execute(
        sa.select(DecisionRow.rule, sa.func.count())
        .where(DecisionRow.fired.is_(True), DecisionRow.at >= since)
        .group_by(DecisionRow.rule)
    )
    return {rule: count for rule, count in rows}


def list_fired(tx: Transaction, rule: str, limit: int) -> tuple[FiredDecision, ...]:
    """List the decisions of a rule that fired, the latest first."""
    rows = tx.session.execute(
        sa.select(DecisionRow, StudyRow.accession_number)
        .join(StudyRow, StudyRow.study_instance_uid == DecisionRow.study_instance_uid, isouter=True)
        .where(DecisionRow.fired.is_(True), DecisionRow.rule == rule)
        .order_by(DecisionRow.at.desc(), DecisionRow.id.desc())
        .limit(limit)
    ).all()
    return tuple(
        FiredDecision(
            study_instance_uid=StudyInstanceUID(row.study_instance_uid),
            accession_number=accession or "",
            revision=row.revision,
            rule_set_version=row.rule_set_version,
            problem=row.problem,
            at=row.at,
        )
        for row, accession in rows
    )
