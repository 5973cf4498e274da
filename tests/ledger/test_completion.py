"""What tells of completion is kept study by study, told for many at once, and forgotten when a revision begins."""

from collections.abc import Sequence

from dicomnode.domain.completion import Waiting
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.completion import (
    ArchiveCount,
    Sending,
    Signals,
    ask_completion,
    find_news,
    find_waiting,
    forget_evidence,
    forget_sendings,
    keep_waiting,
    note_archive_count,
    note_sendings,
    received_instances,
    senders,
    signals,
    studies_with_news,
)
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.revisions import begin_revision
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import STUDY, later, received

OTHER = StudyInstanceUID("1.2.826.2")


def _receive(ledger: Ledger, *numbers: int) -> None:
    with ledger.transaction() as tx:
        for number in numbers:
            record_received(tx, received(number, at=later(number)))


def _sending(open_associations: int, study: StudyInstanceUID = STUDY, at: float = 0) -> Sending:
    return Sending(
        study_instance_uid=study,
        open_associations=open_associations,
        calling_ae="SCANNER",
        is_released=True,
        changed_at=later(at),
    )


def _signals(ledger: Ledger, studies: Sequence[StudyInstanceUID] = (STUDY,)) -> dict[StudyInstanceUID, Signals]:
    with ledger.transaction() as tx:
        return signals(tx, studies)


def test_news_are_what_came_since_the_last_revision(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert find_news(tx, STUDY) is None
    _receive(ledger, 1, 2)
    with ledger.transaction() as tx:
        (news,) = studies_with_news(tx)
        assert (news.study_instance_uid, news.instances, news.last_received_at) == (STUDY, 2, later(2))
        assert find_news(tx, STUDY) == find_news(tx, STUDY, lock=True) == news
        begin_revision(tx, STUDY, ("quiet",), later(10))
    with ledger.transaction() as tx:
        assert (studies_with_news(tx), find_news(tx, STUDY)) == ((), None)
        assert len(received_instances(tx, STUDY)) == 2
        assert senders(tx, STUDY) == {"SCANNER"}


def test_signals_are_read_for_more_studies_than_a_statement_takes(ledger: Ledger) -> None:
    studies = [StudyInstanceUID(f"1.2.3.{number}") for number in range(1200)]
    with ledger.transaction() as tx:
        note_sendings(tx, "receiver", [_sending(1, study) for study in studies])
        ask_completion(tx, studies[-1], "anna", later(1))
    found = _signals(ledger, studies)
    assert {signs.sendings[0].open_associations for signs in found.values()} == {1}
    assert [signs.asked_by for signs in found.values()].count("anna") == 1


def test_a_second_word_takes_the_place_of_the_first(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for by in ("anna", "bert"):
            ask_completion(tx, STUDY, by, later(1))
    assert _signals(ledger)[STUDY].asked_by == "bert"


def test_equal_answers_of_an_archive_are_counted(ledger: Ledger) -> None:
    times = []
    for at, (archive, instances) in enumerate([("pacs", 3), ("pacs", 3), ("pacs", 4), ("vna", 4), ("vna", 4)]):
        with ledger.transaction() as tx:
            note_archive_count(tx, STUDY, archive, instances, later(at))
        count = _signals(ledger)[STUDY].archive
        assert count is not None
        times.append(count.times)
    assert times == [1, 2, 1, 1, 2]
    assert _signals(ledger)[STUDY].archive == ArchiveCount(archive="vna", instances=4, times=2, at=later(4))


def test_a_revision_forgets_what_has_done_its_service_and_no_open_association(ledger: Ledger) -> None:
    waiting = Waiting(until=later(60), why=("one", "two"))
    with ledger.transaction() as tx:
        note_sendings(tx, "first", [_sending(0), _sending(0, OTHER)])
        note_sendings(tx, "second", [_sending(2)])
        ask_completion(tx, STUDY, "anna", later(1))
        note_archive_count(tx, STUDY, "pacs", 3, later(1))
        keep_waiting(tx, [(STUDY, waiting), (OTHER, waiting)])
        keep_waiting(tx, [(STUDY, waiting)])
        assert find_waiting(tx, STUDY) == waiting
        forget_evidence(tx, STUDY)
    with ledger.transaction() as tx:
        assert (find_waiting(tx, STUDY), find_waiting(tx, OTHER)) == (None, waiting)
    found = _signals(ledger, (STUDY, OTHER))
    assert found[STUDY] == Signals(sendings=(_sending(2),))
    assert found[OTHER] == Signals(sendings=(_sending(0, OTHER),))


def test_associations_of_long_ago_are_forgotten(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        note_sendings(tx, "receiver", [_sending(1, at=0), _sending(1, OTHER, at=10)])
        forget_sendings(tx, later(10))
    found = _signals(ledger, (STUDY, OTHER))
    assert [len(signs.sendings) for signs in found.values()] == [0, 1]
