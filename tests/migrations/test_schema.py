"""The migrations make exactly the tables the code declares, whole or not at all, whoever runs them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

import dicomnode.ledger.schema
from dicomnode.domain.door import Cause
from dicomnode.engine.worker import migrate_engine
from dicomnode.ledger.refusals import list_refusals, record_refusals
from dicomnode.ledger.schema import migrate, schema_differences
from dicomnode.ledger.tables import Base
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import a_refusal

ALL_TABLES = {*Base.metadata.tables, "ledger_version"}
REFUSAL = a_refusal(times=2)


@pytest.fixture
def empty_ledger(empty_database_url: str) -> Iterator[Ledger]:
    ledger = Ledger(empty_database_url)
    yield ledger
    ledger.close()


def _tables(ledger: Ledger) -> set[str]:
    with ledger.engine.connect() as connection:
        return set(sa.inspect(connection).get_table_names())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(dicomnode.ledger.schema.__file__).parent / "migrations"))
    return config


def test_an_empty_database_differs_from_the_declared_tables(empty_ledger: Ledger) -> None:
    kinds = [difference[0] for difference in schema_differences(empty_ledger) if isinstance(difference, tuple)]
    assert kinds.count("add_table") == len(Base.metadata.tables)


def test_migrating_leaves_no_difference(empty_ledger: Ledger) -> None:
    migrate(empty_ledger)

    assert schema_differences(empty_ledger) == []
    assert _tables(empty_ledger) == ALL_TABLES


def test_migrating_again_changes_nothing(empty_ledger: Ledger) -> None:
    migrate(empty_ledger)
    with empty_ledger.transaction() as tx:
        record_refusals(tx, [REFUSAL])
    migrate(empty_ledger)

    assert schema_differences(empty_ledger) == []
    with empty_ledger.transaction() as tx:
        assert list_refusals(tx) == (REFUSAL,)


def test_a_changed_column_is_a_difference(empty_ledger: Ledger) -> None:
    """The comparison the other tests rely on does see types, indexes and missing columns."""
    migrate(empty_ledger)
    with empty_ledger.engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX one_in_use")
        connection.exec_driver_sql("ALTER TABLE refusal DROP COLUMN said")

    found = [difference[0] for difference in schema_differences(empty_ledger) if isinstance(difference, tuple)]
    assert sorted(found) == ["add_column", "add_index"]


def test_a_migration_that_fails_leaves_nothing_behind(empty_ledger: Ledger) -> None:
    with empty_ledger.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE take_over (somebody INTEGER)")

    with pytest.raises(sa.exc.DBAPIError, match="take_over"):
        migrate(empty_ledger)
    assert _tables(empty_ledger) == {"take_over"}


def test_the_engines_tables_in_the_same_database_are_left_alone(empty_ledger: Ledger) -> None:
    migrate(empty_ledger)
    migrate_engine(empty_ledger)
    migrate_engine(empty_ledger)

    assert schema_differences(empty_ledger) == []
    assert _tables(empty_ledger) >= ALL_TABLES


def test_processes_that_start_together_migrate_once(empty_ledger: Ledger) -> None:
    program = (
        "import sys\n"
        "from dicomnode.ledger.schema import migrate\n"
        "from dicomnode.ledger.transaction import Ledger\n"
        "ledger = Ledger(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "migrate(ledger)\n"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, empty_ledger.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [(process.communicate()[1], process.returncode) for process in started]

    assert ended == [("", 0), ("", 0)]
    assert schema_differences(empty_ledger) == []


def test_the_migrations_lead_back_to_an_empty_database_and_up_again(empty_ledger: Ledger) -> None:
    migrate(empty_ledger)
    config = _config()
    with empty_ledger.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert _tables(empty_ledger) == {"ledger_version"}

    migrate(empty_ledger)
    assert schema_differences(empty_ledger) == []


def test_there_is_one_line_of_migrations() -> None:
    script = ScriptDirectory.from_config(_config())
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_refusals_of_an_earlier_version_are_counted_together(empty_ledger: Ledger) -> None:
    migrate(empty_ledger, "0002")
    said = ("called AE title X is not one of this node's", "address 10.9.9.9 is in none of the allowed networks")
    with empty_ledger.engine.begin() as connection:
        for number, reason in enumerate((said[0], said[0], said[1])):
            insert = sa.text(
                "INSERT INTO refusal (at, calling_ae, called_ae, peer_address, reason) "
                f"VALUES ('2026-03-01 10:1{number}:00.000000', 'SCANNER', 'X', '10.9.9.9', :reason)"
            )
            connection.execute(insert, {"reason": reason})
    migrate(empty_ledger)
    with empty_ledger.transaction() as tx:
        found = {refusal.cause: refusal for refusal in list_refusals(tx)}
    called = found[Cause.CALLED_AE]
    assert set(found) == {Cause.CALLED_AE, Cause.ADDRESS}
    assert (called.times, called.said, called.visitor.calling_ae) == (2, said[0], "SCANNER")
    assert (called.last_at - called.first_at).total_seconds() == 60

    config = _config()
    with empty_ledger.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0002")
        kept = connection.exec_driver_sql("SELECT reason FROM refusal ORDER BY reason").scalars().all()
    assert kept == sorted(said)
