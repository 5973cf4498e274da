"""Bringing the database to the schema this version needs."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

from dicomnode.ledger.tables import Base
from dicomnode.ledger.transaction import Ledger


def migrate(ledger: Ledger, revision: str = "head") -> None:
    """Apply the migrations up to a revision, in one transaction on this connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with ledger.engine.begin() as connection:
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
