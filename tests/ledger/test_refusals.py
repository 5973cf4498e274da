"""Refusals: one row for each visitor and cause, the latest first, and never so many that they fill the database."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.domain.door import Cause
from dicomnode.ledger.refusals import list_refusals, record_refusals
from dicomnode.ledger.transaction import Ledger
from tests.databases import SQLITE
from tests.ledger.values import NOW, a_refusal, later


def test_a_refusal_comes_back_as_it_was(ledger: Ledger) -> None:
    refusal = a_refusal(times=3)
    with ledger.transaction() as tx:
        record_refusals(tx, [refusal])
    with ledger.transaction() as tx:
        assert list_refusals(tx) == (refusal,)


def test_the_same_visitor_and_cause_are_one_row_with_the_last_words(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_refusals(tx, [a_refusal(times=2), a_refusal(cause=Cause.LIMIT, at=later(9))])
        record_refusals(tx, [a_refusal(said="again", times=5, at=later(60))])
    with ledger.transaction() as tx:
        again, limit = list_refusals(tx)
    assert (again.said, again.times, again.first_at, again.last_at) == ("again", 7, NOW, later(60))
    assert (limit.cause, limit.times) == (Cause.LIMIT, 1)


def test_the_latest_come_first_and_no_more_than_asked_for(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_refusals(tx, [a_refusal(f"T{number}", at=later(number)) for number in range(10)])
        assert [found.visitor.calling_ae for found in list_refusals(tx, limit=3)] == ["T9", "T8", "T7"]


def test_the_oldest_rows_make_room(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_refusals(tx, [a_refusal(f"T{number}", at=later(number)) for number in range(10)])
        record_refusals(tx, [a_refusal("NEW", at=later(100))], keep=4)
        assert [found.visitor.calling_ae for found in list_refusals(tx)] == ["NEW", "T9", "T8", "T7"]


@pytest.mark.parametrize("database_url", [SQLITE], indirect=True)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(list(Cause)), st.integers(1, 9)), max_size=5),
        max_size=5,
    )
)
def test_however_they_come_together_none_is_lost(ledger: Ledger, batches: list[list[tuple[str, Cause, int]]]) -> None:
    with ledger.transaction() as tx:
        before = sum(found.times for found in list_refusals(tx))
        for number, batch in enumerate(batches):
            refusals = [a_refusal(title, cause, times=times, at=later(number)) for title, cause, times in batch]
            record_refusals(tx, refusals)
        after = sum(found.times for found in list_refusals(tx))
    assert after - before == sum(times for batch in batches for _title, _cause, times in batch)
