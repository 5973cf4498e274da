"""The driver's own connection: kept, lost, found again, and never half a transaction."""

import fcntl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import Any

import pytest
import sqlalchemy as sa

from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.ledger.driver import DriverConnection, Runner
from dicomnode.ledger.tables import EventRow, ExecutorRow
from dicomnode.ledger.timeline import timeline
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, STUDY

_EVENT: Any = EventRow.__table__
_EXECUTOR: Any = ExecutorRow.__table__
TELL = sa.insert(_EVENT).values(
    study_instance_uid=STUDY, at=sa.bindparam("at"), step="receive", state="running", text=sa.bindparam("text")
)
TOUCH = (
    sa.update(_EXECUTOR).where(_EXECUTOR.c.executor_id == sa.bindparam("executor")).values(beat_at=sa.bindparam("at"))
)
CUT_OFF = sa.select(sa.func.pg_terminate_backend(sa.func.pg_backend_pid()))
TEXTS = sa.select(_EVENT.c.text).order_by(_EVENT.c.id)

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def driver(ledger: Ledger) -> Iterator[DriverConnection]:
    driver = DriverConnection(ledger, (TELL, TOUCH, CUT_OFF, TEXTS))
    yield driver
    driver.close()


def _tell(run: Runner, *texts: str) -> None:
    for text in texts:
        run.execute(TELL, {"at": NOW, "text": text})


def _told(ledger: Ledger) -> list[str]:
    with ledger.transaction() as tx:
        return [event.text for event in timeline(tx, STUDY)]


def _checked_out(ledger: Ledger) -> int:
    """Count the connections that somebody holds."""
    pool: Any = ledger.engine.pool
    return int(pool.checkedout())


def test_what_was_written_is_seen_in_the_transaction_and_after_it(ledger: Ledger, driver: DriverConnection) -> None:
    seen: list[str] = []

    def steps(run: Runner) -> None:
        _tell(run, "one", "two")
        seen.extend(text for (text,) in run.execute(TEXTS, {}).fetchall())

    driver.write(steps)
    assert seen == _told(ledger) == ["one", "two"]
    with ledger.transaction() as tx:
        assert [event.at for event in timeline(tx, STUDY)] == [NOW, NOW]


def test_rows_written_are_known_after_settling(ledger: Ledger, driver: DriverConnection) -> None:
    with ledger.transaction() as tx:
        tx.session.add(ExecutorRow(executor_id="here", beat_at=NOW))
    counts: list[int] = []

    def steps(run: Runner) -> None:
        outcomes = [run.execute(TOUCH, {"executor": name, "at": NOW}) for name in ("here", "nowhere", "here")]
        run.settle()
        counts.extend(outcome.rowcount for outcome in outcomes)

    driver.write(steps)
    assert counts == [1, 0, 1]


def test_one_connection_is_held_until_it_is_given_back(ledger: Ledger, driver: DriverConnection) -> None:
    assert _checked_out(ledger) == 0
    for _ in range(3):
        driver.write(lambda run: _tell(run, "one"))
        assert _checked_out(ledger) == 1
    driver.close()
    assert _checked_out(ledger) == 0
    driver.write(lambda run: _tell(run, "after"))
    assert _told(ledger) == ["one", "one", "one", "after"]


def test_steps_that_break_leave_nothing_and_the_next_ones_work(ledger: Ledger, driver: DriverConnection) -> None:
    def steps(run: Runner) -> None:
        _tell(run, "half")
        raise RuntimeError("something else went wrong")

    with pytest.raises(RuntimeError, match="something else"):
        driver.write(steps)
    assert _told(ledger) == []
    driver.write(lambda run: _tell(run, "whole"))
    assert _told(ledger) == ["whole"]


def test_threads_take_turns(ledger: Ledger, driver: DriverConnection) -> None:
    def write() -> None:
        for _ in range(10):
            driver.write(lambda run: _tell(run, "busy"))

    _run_together([write] * 4)
    assert _told(ledger) == ["busy"] * 40
    assert _checked_out(ledger) == 1


def _run_together(verbs: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=verb) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@on_postgresql
def test_a_connection_that_died_while_it_was_held_is_replaced(
    ledger: Ledger, driver: DriverConnection, database_url: str
) -> None:
    driver.write(lambda run: _tell(run, "before"))
    _cut_everybody_off(database_url)
    driver.write(lambda run: _tell(run, "after"))
    assert _told(ledger) == ["before", "after"]


def _cut_everybody_off(database_url: str) -> None:
    """End all connections to a database but the one that asks for it, as a restart of the server does."""
    other = Ledger(database_url)
    with other.transaction() as tx:
        tx.session.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    other.close()


@on_postgresql
def test_steps_whose_connection_dies_under_them_run_once_more(ledger: Ledger, driver: DriverConnection) -> None:
    runs: list[int] = []

    def steps(run: Runner) -> None:
        runs.append(len(runs))
        _tell(run, f"run {len(runs)}")
        run.settle()
        if len(runs) == 1:
            run.execute(CUT_OFF, {}).fetchall()

    driver.write(steps)
    assert _told(ledger) == ["run 2"]


@on_postgresql
def test_steps_that_lose_every_connection_give_up(ledger: Ledger, driver: DriverConnection) -> None:
    runs: list[int] = []

    def steps(run: Runner) -> None:
        runs.append(len(runs))
        _tell(run, "lost")
        run.execute(CUT_OFF, {}).fetchall()

    with pytest.raises(LedgerUnavailable, match="did not take the change"):
        driver.write(steps)
    assert (len(runs), _told(ledger)) == (2, [])


@pytest.fixture
def server_that_dies_at_commit(ledger: Ledger) -> Iterator[None]:
    """Let PostgreSQL end the connection when it is asked to commit a line of a timeline."""
    with ledger.transaction() as tx:
        tx.session.execute(
            sa.text(
                "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$"
            )
        )
        tx.session.execute(
            sa.text(
                "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON event"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()"
            )
        )
    yield
    with ledger.transaction() as tx:
        tx.session.execute(sa.text("DROP FUNCTION die CASCADE"))


@on_postgresql
@pytest.mark.usefixtures("server_that_dies_at_commit")
def test_nothing_is_repeated_once_the_commit_was_asked_for(driver: DriverConnection) -> None:
    runs: list[int] = []

    def steps(run: Runner) -> None:
        runs.append(len(runs))
        _tell(run, "perhaps")
        run.settle()

    with pytest.raises(LedgerUnavailable, match="did not take the change"):
        driver.write(steps)
    assert len(runs) == 1


@on_postgresql
def test_a_deadlock_is_no_reason_to_refuse(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        tx.session.add_all(ExecutorRow(executor_id=name, beat_at=NOW) for name in "ab")
    both_hold_one = threading.Barrier(2)
    runs: list[str] = []

    def write(first: str, second: str) -> None:
        def steps(run: Runner) -> None:
            runs.append(first)
            run.execute(TOUCH, {"executor": first, "at": NOW})
            run.settle()
            if len(runs) <= 2:
                both_hold_one.wait(timeout=30)
            run.execute(TOUCH, {"executor": second, "at": NOW})
            _tell(run, first)

        driver = DriverConnection(ledger, (TOUCH, TELL))
        driver.write(steps)
        driver.close()

    _run_together([lambda: write("a", "b"), lambda: write("b", "a")])
    assert 3 <= len(runs) <= 4
    assert sorted(_told(ledger)) == ["a", "b"]


@on_sqlite
def test_a_full_disk_takes_nothing_of_a_transaction_and_then_all_of_it(ledger: Ledger) -> None:
    pages = {"limit": 1}

    @sa.event.listens_for(ledger.engine, "connect")
    def _limit(connection: SqliteConnection, _record: Any) -> None:
        # SQLite never sets the limit below what the file has already.
        connection.execute(f"PRAGMA max_page_count={pages['limit']}")

    driver = DriverConnection(ledger, (TELL,))
    with pytest.raises(LedgerUnavailable, match="OperationalError"):
        driver.write(lambda run: _tell(run, "small", "large" * 100_000))
    assert _told(ledger) == []
    ledger.engine.dispose()
    pages["limit"] = 1_000_000
    driver.write(lambda run: _tell(run, "small", "large" * 100_000))
    assert len(_told(ledger)) == 2
    driver.close()


@on_sqlite
def test_those_who_write_much_queue_and_others_need_not(ledger: Ledger, driver: DriverConnection) -> None:
    waiting = threading.Thread(target=lambda: driver.write(lambda run: _tell(run, "queued")))
    with Path(f"{ledger.engine.url.database}-queue").open("a") as queue:
        fcntl.flock(queue, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(timeout=0.2)
        assert waiting.is_alive()
        with ledger.transaction() as tx:
            tx.session.add(EventRow(study_instance_uid=STUDY, at=NOW, step="receive", state="running", text="at once"))
    waiting.join(timeout=30)
    assert _told(ledger) == ["at once", "queued"]


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'nowhere' / 'node.db'}")
    driver = DriverConnection(ledger, (TELL,))
    with pytest.raises(LedgerUnavailable):
        driver.write(lambda run: _tell(run, "one"))
    driver.close()


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    ledger = Ledger(f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    driver = DriverConnection(ledger, (TELL,))
    with pytest.raises(LedgerUnavailable, match="OperationalError"):
        driver.write(lambda run: _tell(run, "one"))
    driver.close()


def test_a_database_in_memory_needs_no_queue() -> None:
    ledger = Ledger("sqlite://")
    with ledger.transaction() as tx:
        EventRow.metadata.create_all(tx.session.connection())
    driver = DriverConnection(ledger, (TELL,))
    driver.write(lambda run: _tell(run, "one"))
    assert _told(ledger) == ["one"]
    driver.close()
    ledger.close()
