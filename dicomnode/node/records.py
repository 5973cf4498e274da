"""Opening the ledger of a node for reading, beside the running node."""

from collections.abc import Iterator
from contextlib import contextmanager

from dicomnode.domain.errors import NotInLedger
from dicomnode.ledger.schema import migrate
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.settings import Settings


@contextmanager
def open_ledger(settings: Settings, *, create: bool = False) -> Iterator[Ledger]:
    """Open the ledger named by the settings; raises NotInLedger when no node has run there and it is not to be made."""
    if create:
        settings.data.mkdir(parents=True, exist_ok=True)
    elif settings.database is None and not (settings.data / "ledger.db").is_file():
        raise NotInLedger(f"no node has run in {settings.data} yet")
    ledger = Ledger(settings.database_url)
    try:
        migrate(ledger)
        yield ledger
    finally:
        ledger.close()
