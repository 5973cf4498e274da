"""When a study is complete, and what was decided then: each revision begins once, each decision stands once."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.rule import Action, Decision, Explanation, RoleBinding
from dicomnode.domain.study import StudyRevision
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.completion import studies_with_news
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.revisions import begin_revision, keep_rule_set, record_decision
from dicomnode.ledger.studies import find_study, list_decisions, list_revisions
from dicomnode.ledger.tables import RuleSetRow
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, SERIES, STUDY, later, received

QUIET = timedelta(seconds=30)
OTHER_STUDY = StudyInstanceUID("1.2.826.2")


def _receive(ledger: Ledger, *numbers: int, at: float = 0, study: str = STUDY) -> None:
    with ledger.transaction() as tx:
        for number in numbers:
            record_received(tx, received(number, study=study, series=f"{study}.1", at=later(at)))


def _begin(ledger: Ledger, at: float = 60) -> StudyRevision | None:
    with ledger.transaction() as tx:
        return begin_revision(tx, STUDY, ("nothing received for 30 s",), later(at))


def _with_news(ledger: Ledger) -> set[StudyInstanceUID]:
    with ledger.transaction() as tx:
        return {one.study_instance_uid for one in studies_with_news(tx)}


def test_a_closed_study_has_no_news_until_it_receives_something_new(ledger: Ledger) -> None:
    assert _with_news(ledger) == set()
    _receive(ledger, 1, 2)
    _receive(ledger, 1, study=OTHER_STUDY)
    assert _with_news(ledger) == {STUDY, OTHER_STUDY}
    _begin(ledger)
    assert _with_news(ledger) == {OTHER_STUDY}

    _receive(ledger, 2, at=1000)
    assert _with_news(ledger) == {OTHER_STUDY}

    _receive(ledger, 3, at=2000)
    assert _with_news(ledger) == {STUDY, OTHER_STUDY}


def test_a_revision_counts_what_it_saw_and_why(ledger: Ledger) -> None:
    _receive(ledger, 1, 2)
    first = _begin(ledger)
    _receive(ledger, 3, at=100)
    second = _begin(ledger, at=200)

    assert first == StudyRevision(
        study_instance_uid=STUDY, number=1, instances=2, evidence=("nothing received for 30 s",), at=later(60)
    )
    assert second is not None
    assert (second.number, second.instances) == (2, 3)
    with ledger.transaction() as tx:
        assert list_revisions(tx, STUDY) == (first, second)
        study = find_study(tx, STUDY)
    assert (study.revision, study.is_complete) == (2, True)


def test_a_study_without_news_begins_no_revision(ledger: Ledger) -> None:
    _receive(ledger, 1)
    assert _begin(ledger) is not None
    assert _begin(ledger) is None


def test_of_many_processes_exactly_one_begins_the_revision(ledger: Ledger) -> None:
    _receive(ledger, 1, 2, 3)
    begun: list[StudyRevision | None] = []
    barrier = threading.Barrier(6)

    def begin() -> None:
        barrier.wait()
        begun.append(_begin(ledger))

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [revision.number for revision in begun if revision is not None] == [1]
    assert len(begun) == 6
    with ledger.transaction() as tx:
        assert len(list_revisions(tx, STUDY)) == 1


def test_an_instance_that_comes_while_a_revision_begins_is_news_for_the_next(ledger: Ledger) -> None:
    """Neither counted in the revision nor forgotten, whichever transaction was first."""
    _receive(ledger, 1)
    barrier = threading.Barrier(2)

    def receive() -> None:
        barrier.wait()
        _receive(ledger, 2, at=40)

    thread = threading.Thread(target=receive)
    thread.start()
    barrier.wait()
    revision = _begin(ledger)
    thread.join()

    assert revision is not None
    with ledger.transaction() as tx:
        assert find_study(tx, STUDY).is_complete == (revision.instances == 2)
    assert (STUDY in _with_news(ledger)) == (revision.instances == 1)


def test_an_unknown_study_cannot_begin_a_revision(ledger: Ledger) -> None:
    with pytest.raises(NotInLedger):
        _begin(ledger)


def test_a_rule_set_version_is_kept_once_and_never_changed(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        keep_rule_set(tx, "v1", {"rules": ["one"]}, NOW)
        keep_rule_set(tx, "v1", {"rules": ["another"]}, later(60))
    with ledger.transaction() as tx:
        row = tx.session.execute(sa.select(RuleSetRow)).scalar_one()
        assert (row.version, row.document, row.at) == ("v1", {"rules": ["one"]}, NOW)


DECISION = Decision(
    rule="FLAIR",
    rule_set_version="v1",
    fired=True,
    explanation=Explanation(holds=True, text="all of", children=(Explanation(holds=True, text="Modality is MR"),)),
    actions=(Action(model="mr-flair", target_role="t1", destinations=("pacs",)),),
    bindings=(RoleBinding(role="t1", series_instance_uid=SERIES, why="the only T1-weighted series"),),
    excluded=("9 SYNTH FLAIR: made by this node",),
)


def test_a_decision_is_stored_with_everything_that_explains_it(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert record_decision(tx, (STUDY, 1), DECISION, "derive:x", NOW)
    with ledger.transaction() as tx:
        (record,) = list_decisions(tx, STUDY)
    assert record.explanation == DECISION.explanation
    assert record.bindings == ({"role": "t1", "series": SERIES, "why": "the only T1-weighted series"},)
    assert record.excluded == DECISION.excluded
    assert (record.revision, record.rule, record.rule_set_version, record.fired) == (1, "FLAIR", "v1", True)
    assert (record.problem, record.derivation_key, record.at) == (None, "derive:x", NOW)


def test_a_rule_decides_once_for_each_revision(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert record_decision(tx, (STUDY, 1), DECISION, "derive:x", NOW)
        assert not record_decision(tx, (STUDY, 1), DECISION, "derive:y", later(1))
        assert record_decision(tx, (STUDY, 2), DECISION, "derive:z", later(2))
    with ledger.transaction() as tx:
        assert [record.derivation_key for record in list_decisions(tx, STUDY)] == ["derive:z", "derive:x"]
