"""Alembic's entry: migrates the ledger's own tables and leaves the engine's alone."""

import sqlalchemy as sa
from alembic import context

import dicomnode.ledger.account_tables
import dicomnode.ledger.completion_tables
import dicomnode.ledger.destination_tables
import dicomnode.ledger.rule_tables  # noqa: F401  its tables belong to the schema
from dicomnode.ledger.tables import Base

connection: sa.Connection = context.config.attributes["connection"]


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Look only at tables the ledger declares; the engine keeps its own in the same database."""
    return kind != "table" or name in Base.metadata.tables


context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    include_name=_is_ours,
    render_as_batch=connection.dialect.name == "sqlite",
    version_table="ledger_version",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
