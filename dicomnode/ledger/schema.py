"""Bringing the database to the schema this version needs."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

import dicomnode.ledger.account_tables
import dicomnode.ledger.completion_tables
import dicomnode.ledger.destination_tables
import dicomnode.ledger.rule_tables  # noqa: F401  its tables belong to the schema
from dicomnode.ledger.tables import Base
from dicomnode.ledger.transaction import Ledger

_LOCKS = {
    # The driver itself would begin a transaction only at the first INSERT, after the tables were made.
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "SELECT pg_advisory_xact_lock(7305103)",
}


def migrate(ledger: Ledger, revision: str = "head") -> None:
    """Apply the migrations up to a revision, all or none; processes that start together wait for each other."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql(_LOCKS[connection.dialect.name])
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def schema_differences(ledger: Ledger) -> list[object]:
    """List where the database differs from the declared tables; empty after all migrations ran."""
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, kind, _parents: kind != "table" or name in Base.metadata.tables,
                "version_table": "ledger_version",
                "compare_type": True,
            },
        )
        return list(compare_metadata(context, Base.metadata))
