"""Sendings: what is noted of associations reaches the ledger study by study, and nothing of it is lost."""

import pytest
import sqlalchemy as sa

from dicomnode.domain.association import Association, numbered
from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.sendings import Sendings
from dicomnode.ledger.completion import Sending, signals
from dicomnode.ledger.completion_tables import SendingRow
from tests.builders import a_series, uid
from tests.journey.bench import SENDER, STUDY, Bench, data_set, offered, sqlite_only, without_table

OTHER = StudyInstanceUID(uid("other"))


@pytest.fixture
def sendings(bench: Bench) -> Sendings:
    bench.receiving.sendings = Sendings(bench.ledger, bench.clock)
    return bench.receiving.sendings


def _send(bench: Bench, sender: Association, study: str = "study", slices: int = 2) -> None:
    for dataset in a_series(study=study, slices=slices, shape=(4, 4)):
        sink = bench.receiving.open(offered(dataset, association=sender))
        sink.write(data_set(dataset))
        sink.accept()


def _noted(bench: Bench, study: StudyInstanceUID = STUDY) -> tuple[Sending, ...]:
    with bench.ledger.transaction() as tx:
        return signals(tx, [study])[study].sendings


def test_an_association_is_noted_for_each_study_that_it_brings(bench: Bench, sendings: Sendings) -> None:
    sender = numbered(SENDER)
    _send(bench, sender)
    _send(bench, sender, "other")
    assert _noted(bench) == ()
    sendings.flush()
    begun = bench.clock.now()
    for study in (STUDY, OTHER):
        assert _noted(bench, study) == (
            Sending(
                study_instance_uid=study,
                open_associations=1,
                calling_ae="SCANNER",
                is_released=True,
                changed_at=begun,
            ),
        )
    bench.clock.advance(3)
    sendings.ended(sender, is_released=False)
    sendings.flush()
    for study in (STUDY, OTHER):
        (noted,) = _noted(bench, study)
        assert (noted.open_associations, noted.is_released, noted.changed_at) == (0, False, bench.clock.now())


def test_associations_side_by_side_are_counted(bench: Bench, sendings: Sendings) -> None:
    senders = [numbered(SENDER) for _ in range(3)]
    for sender in senders:
        _send(bench, sender)
    sendings.flush()
    assert _noted(bench)[0].open_associations == 3
    for left, sender in zip((2, 1, 0), senders, strict=True):
        sendings.ended(sender, is_released=True)
        sendings.ended(sender, is_released=True)
        sendings.flush()
        assert _noted(bench)[0].open_associations == left


def test_each_process_has_a_row_of_its_own(bench: Bench, sendings: Sendings) -> None:
    _send(bench, numbered(SENDER))
    sendings.flush()
    bench.receiving.sendings = other = Sendings(bench.ledger, bench.clock)
    _send(bench, numbered(SENDER))
    other.flush()
    assert [one.open_associations for one in _noted(bench)] == [1, 1]


@sqlite_only
def test_what_came_over_no_numbered_association_is_left_out(bench: Bench, sendings: Sendings) -> None:
    _send(bench, SENDER)
    sendings.ended(SENDER, is_released=True)
    sendings.flush()
    assert _noted(bench) == ()


@sqlite_only
def test_nothing_is_lost_while_the_ledger_takes_no_change(bench: Bench, sendings: Sendings) -> None:
    sender = numbered(SENDER)
    _send(bench, sender)
    sendings.ended(sender, is_released=True)
    with without_table(bench.ledger, "sending"):
        with pytest.raises(LedgerUnavailable):
            sendings.flush()
        sendings.close()
    sendings.flush()
    assert _noted(bench)[0].open_associations == 0


@sqlite_only
def test_a_flush_without_news_writes_nothing(bench: Bench, sendings: Sendings) -> None:
    _send(bench, numbered(SENDER))
    sendings.flush()
    with bench.ledger.transaction() as tx:
        tx.session.execute(sa.delete(SendingRow))
    _send(bench, SENDER)
    sendings.flush()
    assert _noted(bench) == ()


@sqlite_only
def test_a_study_that_comes_again_begins_anew(bench: Bench, sendings: Sendings) -> None:
    broken, again = numbered(SENDER), numbered(SENDER)
    _send(bench, broken)
    sendings.ended(broken, is_released=False)
    sendings.flush()
    _send(bench, again)
    sendings.ended(again, is_released=True)
    sendings.flush()
    (noted,) = _noted(bench)
    assert (noted.open_associations, noted.is_released) == (0, True)
