"""When a study was taken to be complete, and what was decided then."""

from collections.abc import Sequence
from datetime import datetime
from itertools import zip_longest

import sqlalchemy as sa

from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.rule import Action, Decision, HoldAction, IgnoreAction, RouteAction, RuleAction
from dicomnode.domain.study import StudyRevision
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.tables import DecisionRow, RevisionRow, RuleSetRow, StudyRow
from dicomnode.ledger.transaction import Transaction, insert_new


def begin_revision(
    tx: Transaction, study_instance_uid: StudyInstanceUID, evidence: Sequence[str], now: datetime
) -> StudyRevision | None:
    """Close the study as it is now into its next revision; None when another process was faster.

    Raises NotInLedger for a study nothing was received of.
    """
    study = tx.session.execute(
        sa.select(StudyRow).where(StudyRow.study_instance_uid == study_instance_uid).with_for_update()
    ).scalar_one_or_none()
    if study is None:
        raise NotInLedger("no study of this UID")
    claimed = tx.session.execute(
        sa.update(StudyRow)
        .where(
            StudyRow.study_instance_uid == study_instance_uid,
            StudyRow.revision == study.revision,
            StudyRow.complete_instances < study.instances,
        )
        .values(complete_instances=study.instances, revision=study.revision + 1)
        .execution_options(synchronize_session=False)
    )
    if not getattr(claimed, "rowcount", 0):
        return None
    revision = StudyRevision(
        study_instance_uid=study_instance_uid,
        number=study.revision + 1,
        instances=study.instances,
        evidence=tuple(evidence),
        at=now,
    )
    tx.session.add(
        RevisionRow(
            study_instance_uid=study_instance_uid,
            number=revision.number,
            instances=revision.instances,
            evidence=list(evidence),
            at=now,
        )
    )
    return revision


def mark_decided(tx: Transaction, revision: tuple[StudyInstanceUID, int], now: datetime) -> None:
    """Say that the rules have looked at a revision."""
    tx.session.execute(
        sa.update(RevisionRow)
        .where(RevisionRow.study_instance_uid == revision[0], RevisionRow.number == revision[1])
        .values(decided_at=now)
    )


def keep_rule_set(tx: Transaction, version: str, document: dict[str, object], now: datetime) -> None:
    """Keep a rule-set version for replay; the same version again changes nothing."""
    insert_new(tx, RuleSetRow, version=version, document=document, at=now)


def record_decision(
    tx: Transaction,
    revision: tuple[StudyInstanceUID, int],
    decision: Decision,
    derivation_key: str | None,
    now: datetime,
    keys: Sequence[str | None] = (),
) -> bool:
    """Record what a rule said about a revision; says whether it was new.

    `keys` name the work that follows from each of its actions, of which `derivation_key` is the first synthesis.
    """
    return insert_new(
        tx,
        DecisionRow,
        study_instance_uid=revision[0],
        revision=revision[1],
        rule=decision.rule,
        rule_set_version=decision.rule_set_version,
        fired=decision.fired,
        problem=decision.problem,
        explanation=decision.explanation.to_json(),
        bindings=[
            {
                "role": bound.role,
                "series": bound.series_instance_uid,
                "why": bound.why,
                **({"lost": list(bound.lost)} if bound.lost else {}),
            }
            for bound in decision.bindings
        ],
        excluded=list(decision.excluded),
        shadow=decision.shadow,
        actions=[
            {**_plain(action), "key": key}
            for action, key in zip_longest(decision.actions, keys[: len(decision.actions)])
        ],
        derivation_key=derivation_key,
        at=now,
    )


def _plain(action: RuleAction) -> dict[str, object]:
    """Write an action as values that JSON has."""
    match action:
        case Action():
            return {
                "kind": "synthesise",
                "model": action.model,
                "target": action.target_role,
                "destinations": list(action.destinations),
                "late": action.late.value,
                "superseded": action.superseded.value,
            }
        case RouteAction():
            return {"kind": "route", "series": list(action.series), "destinations": list(action.destinations)}
        case HoldAction():
            return {"kind": "hold", "reason": action.reason}
        case IgnoreAction():
            return {"kind": "ignore", "reason": action.reason}
