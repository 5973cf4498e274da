"""Headers are read once and kept: a little at a time, by any number of processes, and at once where they are needed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from dicomnode.domain.errors import LedgerUnavailable, MalformedInstance
from dicomnode.domain.steps import NeedsOperator
from dicomnode.domain.study import StoredInstance
from dicomnode.imaging.dicom_json import read_json
from dicomnode.journey.index import HeaderIndex, Indexing
from dicomnode.ledger.search import Criteria, ListedInstance, list_instances_of, list_series_of, search_studies
from dicomnode.ledger.tables import HeaderRow
from tests.builders import a_series
from tests.journey.bench import STUDY, Bench, data_set, offered, sqlite_only, t2, without_table

PROBLEM = "the data set cannot be parsed (FileNotFoundError)"


def indexing(bench: Bench) -> Indexing:
    return Indexing(bench.ledger, bench.spool, bench.clock)


def index(bench: Bench) -> HeaderIndex:
    return HeaderIndex(bench.ledger, bench.spool)


def kept(bench: Bench) -> list[str]:
    """What stands in the place of each header: nothing where there is one, else the problem."""
    with bench.ledger.transaction() as tx:
        rows = tx.session.execute(sa.select(HeaderRow).order_by(HeaderRow.instance_id)).scalars().all()
    assert all((row.document is None) == (row.summary is None) == bool(row.problem) for row in rows)
    return [row.problem for row in rows]


def listed(bench: Bench) -> tuple[ListedInstance, ...]:
    with bench.ledger.transaction() as tx:
        return list_instances_of(tx, list_series_of(tx, search_studies(tx, Criteria(), limit=9, offset=0)))


def lose_files(bench: Bench, *instances: StoredInstance) -> None:
    for instance in instances or bench.instances():
        bench.spool.locate(instance.path).unlink()


def receive_many(bench: Bench, count: int) -> None:
    receiving = bench.receiving
    for dataset in a_series(series="t2", slices=count, shape=(2, 2)):
        sink = receiving.open(offered(dataset))
        sink.write(data_set(dataset))
        sink.accept()


def test_a_header_is_kept_as_its_file_tells_it(bench: Bench) -> None:
    bench.receive(t2(PatientName="Ödegård^Åsa=\u5c71"))
    truth = [read_json(bench.spool.locate(instance.path)) for instance in bench.instances()]
    bench.clock.advance(10)
    assert indexing(bench).sweep() == 3
    lose_files(bench)
    assert index(bench).whole(bench.instances()) == truth
    short = index(bench).summaries(listed(bench))
    assert [header["00080018"] for header in short] == [header["00080018"] for header in truth]
    assert "00180080" in truth[0]
    assert "00180080" not in short[0]


def test_a_pass_reads_less_while_instances_come_in(bench: Bench) -> None:
    receive_many(bench, 120)
    sweeping = indexing(bench)
    assert [sweeping.sweep() for _ in range(2)] == [50, 50]
    bench.clock.advance(10)
    assert [sweeping.sweep() for _ in range(2)] == [20, 0]
    assert kept(bench) == [""] * 120


def test_at_rest_a_pass_reads_all_of_a_study(bench: Bench) -> None:
    receive_many(bench, 120)
    bench.clock.advance(10)
    assert indexing(bench).sweep() == 120


def test_what_comes_later_is_read_too_and_what_was_read_is_not_read_again(bench: Bench) -> None:
    sweeping = indexing(bench)
    for series in ("first", "second", "third"):
        bench.receive(a_series(series=series, slices=2))
        bench.clock.advance(3600)
        assert [sweeping.sweep(), sweeping.sweep()] == [2, 0]
    assert indexing(bench).sweep() == 0


def test_a_long_backlog_is_read_to_its_end(bench: Bench) -> None:
    receive_many(bench, 120)
    bench.clock.advance(3600)
    bench.receive(a_series(series="new", slices=2))
    sweeping = indexing(bench)
    assert [sweeping.sweep() for _ in range(4)] == [50, 50, 22, 0]
    assert kept(bench) == [""] * 122


def test_a_row_that_is_committed_late_is_not_passed_over(bench: Bench) -> None:
    """Two receivers may commit in another order than that in which they took their numbers."""
    receive_many(bench, 3)
    late = bench.instances()[0]
    sweeping = indexing(bench)
    bench.clock.advance(10)
    assert sweeping.sweep() == 3
    with bench.ledger.transaction() as tx:
        tx.session.execute(
            sa.delete(HeaderRow).where(
                HeaderRow.instance_id == sa.select(sa.func.min(HeaderRow.instance_id)).scalar_subquery()
            )
        )
    assert sweeping.sweep() == 1
    assert index(bench).whole([late])


def test_what_cannot_be_read_is_noted_once_and_read_when_it_is_back(bench: Bench) -> None:
    bench.receive(t2())
    first, *others = bench.instances()
    file = bench.spool.locate(first.path)
    content = file.read_bytes()
    lose_files(bench, first)
    bench.clock.advance(10)
    sweeping = indexing(bench)
    assert [sweeping.sweep(), sweeping.sweep()] == [3, 0]
    assert sorted(kept(bench)) == ["", "", PROBLEM]
    assert [bool(header) for header in index(bench).readable([first, *others])] == [False, True, True]
    assert index(bench).summaries(listed(bench))[0] == {}
    with pytest.raises(MalformedInstance):
        index(bench).whole([first])

    file.write_bytes(content)
    assert index(bench).whole([first])[0]["00080018"]["Value"] == [first.sop_instance_uid]
    assert kept(bench) == ["", "", ""]


def test_a_rule_that_would_be_blind_is_told_in_the_timeline(bench: Bench) -> None:
    bench.receive(t2())
    lose_files(bench, bench.instances()[0])
    bench.complete()
    indexing(bench).sweep()
    answer = bench.deciding()(STUDY, 1, attempt=1)
    assert isinstance(answer, NeedsOperator)
    (event,) = bench.events("decide")
    assert event.text.startswith(f"Revision 1 cannot be decided: {PROBLEM}.")


@pytest.mark.parametrize(
    "ask",
    [
        lambda bench: index(bench).whole(bench.instances()),
        lambda bench: index(bench).readable(bench.instances()),
        lambda bench: index(bench).summaries(listed(bench)),
    ],
    ids=["whole", "readable", "summaries"],
)
def test_what_is_needed_before_its_turn_is_read_at_once_and_kept(bench: Bench, ask: Callable[[Bench], object]) -> None:
    bench.receive(t2())
    first = ask(bench)
    assert kept(bench) == ["", "", ""]
    lose_files(bench)
    assert ask(bench) == first
    bench.clock.advance(10)
    assert indexing(bench).sweep() == 0


@sqlite_only
def test_a_question_is_answered_while_the_ledger_takes_no_change(bench: Bench) -> None:
    bench.receive(t2())
    asked = listed(bench)
    with without_table(bench.ledger, "header"):
        assert len(index(bench).summaries(asked)) == 3
        with pytest.raises(LedgerUnavailable):
            indexing(bench).sweep()
    assert kept(bench) == []


def test_any_number_of_processes_keep_each_header_once(bench: Bench) -> None:
    receive_many(bench, 150)
    bench.clock.advance(10)
    instances = bench.instances()
    with ThreadPoolExecutor() as pool:
        swept = [pool.submit(indexing(bench).sweep) for _ in range(3)]
        asked = [pool.submit(index(bench).whole, instances) for _ in range(2)]
    assert sum(one.result() for one in swept) <= 450
    assert all(len(one.result()) == 150 for one in asked)
    assert kept(bench) == [""] * 150
