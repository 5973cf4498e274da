"""Transactions are whole or nothing, wait for each other, and fail without telling about patients."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.ledger.tables import EventRow, StudyRow
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction, insert_new
from tests.ledger.values import NOW, STUDY


def _write(tx: Transaction, text: str) -> None:
    write_event(tx, STUDY, at=NOW, step="receive", state="running", text=text)


def _events(ledger: Ledger) -> int:
    with ledger.transaction() as tx:
        return tx.session.execute(sa.select(sa.func.count(EventRow.id))).scalar_one()


def test_what_is_written_in_a_block_is_there_after_it(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        _write(tx, "one")
        _write(tx, "two")
    assert _events(ledger) == 2


def test_an_error_in_the_block_takes_everything_back(ledger: Ledger) -> None:
    def write_and_fail() -> None:
        with ledger.transaction() as tx:
            _write(tx, "one")
            tx.session.flush()
            raise RuntimeError("something else went wrong")

    with pytest.raises(RuntimeError, match="something else"):
        write_and_fail()
    assert _events(ledger) == 0


def test_a_new_row_is_inserted_once(ledger: Ledger) -> None:
    def insert(tx: Transaction, name: str) -> bool:
        return insert_new(
            tx, StudyRow, study_instance_uid=STUDY, patient_name=name, first_received_at=NOW, last_received_at=NOW,
            instances=0,
        )  # fmt: skip

    with ledger.transaction() as tx:
        assert insert(tx, "first")
        assert not insert(tx, "second")
    with ledger.transaction() as tx:
        assert not insert(tx, "third")
        assert tx.session.get_one(StudyRow, STUDY).patient_name == "first"


def test_writers_wait_for_each_other_and_none_is_lost(ledger: Ledger) -> None:
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(10):
                with ledger.transaction() as tx:
                    _write(tx, "busy")
        except LedgerUnavailable as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert _events(ledger) == 80


def test_instants_come_back_aware_and_equal(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        _write(tx, "now")
    with ledger.transaction() as tx:
        assert tx.session.execute(sa.select(EventRow.at)).scalar_one() == NOW


def test_a_failed_statement_does_not_tell_its_values(ledger: Ledger) -> None:
    row = {"study_instance_uid": STUDY, "first_received_at": NOW, "last_received_at": NOW, "instances": 0}

    def insert_twice() -> None:
        with ledger.transaction() as tx:
            for _ in range(2):
                tx.session.execute(sa.insert(StudyRow).values(patient_name="Testperson^Tilda", **row))

    with pytest.raises(sa.exc.IntegrityError) as caught:
        insert_twice()
    assert "Tilda" not in str(caught.value)


def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'nowhere' / 'node.db'}")
    with pytest.raises(LedgerUnavailable), ledger.transaction() as tx:
        _write(tx, "one")
    ledger.close()


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    ledger = Ledger(f"postgresql+psycopg://nobody@/none?host={tmp_path}")
    with pytest.raises(LedgerUnavailable, match="OperationalError"), ledger.transaction() as tx:
        _write(tx, "one")
    ledger.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_server_that_drops_the_connection_is_unavailable_and_then_back(ledger: Ledger) -> None:
    def be_cut_off() -> None:
        with ledger.transaction() as tx:
            process = tx.session.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
            with ledger.transaction() as other:
                other.session.execute(sa.select(sa.func.pg_terminate_backend(process)))
            _write(tx, "one")

    with pytest.raises(LedgerUnavailable):
        be_cut_off()
    assert _events(ledger) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_sqlite_syncs_every_commit_of_its_write_ahead_log(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert tx.session.execute(sa.text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert tx.session.execute(sa.text("PRAGMA synchronous")).scalar_one() == 2
        assert tx.session.execute(sa.text("PRAGMA foreign_keys")).scalar_one() == 1
