"""The facts of studies as rows: each revision has its own, the newest counts, and they go with the study."""

from datetime import datetime

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.revisions import begin_revision, mark_decided
from dicomnode.ledger.study_facts import (
    KeptFacts,
    decided_since,
    decided_studies,
    forget_study_facts,
    keep_study_facts,
)
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, STUDY, later, received

OTHER, NEVER = StudyInstanceUID("1.2.826.2"), StudyInstanceUID("1.2.826.3")


def _complete(ledger: Ledger, number: int, study: str, at: datetime) -> int:
    with ledger.transaction() as tx:
        record_received(tx, received(number, study=study, series=f"{study}.1", at=at))
        revision = begin_revision(tx, StudyInstanceUID(study), ("quiet",), at)
    assert revision is not None
    return revision.number


def _facts(text: str, at: datetime = NOW) -> KeptFacts:
    return KeptFacts(at=at, document=text.encode(), nested=b"nested")


def test_studies_are_listed_by_their_newest_revision(ledger: Ledger) -> None:
    _complete(ledger, 1, STUDY, NOW)
    _complete(ledger, 1, OTHER, later(60))
    _complete(ledger, 2, STUDY, later(120))
    with ledger.transaction() as tx:
        record_received(tx, received(1, study=NEVER, series=f"{NEVER}.1", at=later(130)))
        assert decided_since(tx, later(-1)) == (STUDY, OTHER)
        assert decided_since(tx, later(60)) == (STUDY,)
        assert decided_since(tx, later(120)) == ()


def test_each_revision_keeps_its_own_facts_and_keeps_them_once(ledger: Ledger) -> None:
    first = _complete(ledger, 1, STUDY, NOW)
    with ledger.transaction() as tx:
        assert keep_study_facts(tx, (STUDY, first), _facts("first"))
        assert not keep_study_facts(tx, (STUDY, first), _facts("again"))
    with ledger.transaction() as tx:
        (study,) = decided_studies(tx, [NEVER, STUDY], nested=False)
    assert (study.study_instance_uid, study.revision, study.at, study.is_current) == (STUDY, 1, NOW, True)
    assert study.facts == KeptFacts(at=NOW, document=b"first", nested=None)

    second = _complete(ledger, 2, STUDY, later(60))
    with ledger.transaction() as tx:
        mark_decided(tx, (STUDY, second), later(61))
        record_received(tx, received(3, at=later(62)))
        (study,) = decided_studies(tx, [STUDY], nested=True)
        assert (study.revision, study.at, study.is_current, study.facts) == (2, later(61), False, None)
        keep_study_facts(tx, (STUDY, second), _facts("second", later(61)))
    with ledger.transaction() as tx:
        (study,) = decided_studies(tx, [STUDY], nested=True)
    assert study.facts == _facts("second", later(61))


def test_studies_come_in_the_order_they_are_asked_for(ledger: Ledger) -> None:
    for study in (STUDY, OTHER):
        _complete(ledger, 1, study, NOW)
    with ledger.transaction() as tx:
        found = decided_studies(tx, [OTHER, STUDY], nested=False)
        assert [one.study_instance_uid for one in found] == [OTHER, STUDY]
        assert decided_studies(tx, [], nested=False) == ()


def test_facts_are_forgotten_of_one_study(ledger: Ledger) -> None:
    for study in (STUDY, OTHER):
        with_facts = _complete(ledger, 1, study, NOW)
        with ledger.transaction() as tx:
            keep_study_facts(tx, (StudyInstanceUID(study), with_facts), _facts(study))
    with ledger.transaction() as tx:
        forget_study_facts(tx, STUDY)
        kept = {one.study_instance_uid: one.facts for one in decided_studies(tx, [STUDY, OTHER], nested=True)}
    assert kept == {STUDY: None, OTHER: _facts(OTHER)}
