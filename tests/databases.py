"""The two kinds of database that every test of stored state runs on."""

from dicomnode.engine.worker import migrate_engine
from dicomnode.ledger.schema import migrate
from dicomnode.ledger.transaction import Ledger

SQLITE, POSTGRESQL = "sqlite", "postgresql"
BACKENDS = (SQLITE, POSTGRESQL)


def migrate_all(url: str) -> None:
    """Create the tables of ledger and engine."""
    ledger = Ledger(url)
    migrate(ledger)
    migrate_engine(ledger)
    ledger.close()
