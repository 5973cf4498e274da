"""One engine, one kind of transaction: every change of the ledger goes through here."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from sqlite3 import Connection as SqliteConnection
from sqlite3 import OperationalError as SqliteOperationalError
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dicomnode.domain.errors import LedgerUnavailable

_BUSY_TIMEOUT_MS = 30_000
_UNAVAILABLE = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, sa.exc.TimeoutError)
"""InternalError: a PostgreSQL that became a standby, which reads but takes no change, or that is damaged."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """An open transaction; what is written through it becomes true together or not at all."""

    session: Session


class Ledger:
    """The node's database: SQLite beside the spool, or PostgreSQL by URL.

    The values of a failed statement stay out of its error, because they may name a patient.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _sqlite_engine(url) if url.startswith("sqlite") else _postgresql_engine(url)
        self._closers: list[Callable[[], None]] = []

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction that commits at the end of the block; raises LedgerUnavailable when it cannot."""
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield Transaction(session)
        except _UNAVAILABLE as error:
            cause = getattr(error, "orig", None) or error
            raise LedgerUnavailable(f"the database did not take the change ({type(cause).__name__})") from error

    def at_close(self, verb: Callable[[], None]) -> None:
        """Have something done before the connections are given back: whoever holds one of its own leaves it then."""
        self._closers.append(verb)

    def close(self) -> None:
        """Give back all connections."""
        for verb in self._closers:
            verb()
        self.engine.dispose()


def _sqlite_engine(url: str) -> sa.Engine:
    """Build an SQLite engine with a write-ahead log that is synced at every commit."""
    engine = sa.create_engine(url, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _set_pragmas(connection: SqliteConnection, _record: Any) -> None:  # noqa: ANN401  SQLAlchemy's listener form
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys=ON")
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _use_write_ahead_log(connection: SqliteConnection) -> None:
    """Switch the log on; while another process does the same on a new file, SQLite refuses without waiting."""
    give_up = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except SqliteOperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


def _postgresql_engine(url: str) -> sa.Engine:
    """Build a PostgreSQL engine that notices a server that went away."""
    return sa.create_engine(url, hide_parameters=True, pool_size=10, max_overflow=10, pool_pre_ping=True)


def insert_new(tx: Transaction, table: type[Any], **values: Any) -> bool:  # noqa: ANN401  any column of any table
    """Insert a row unless one with the same key stands already; says whether it was new."""
    dialect = tx.session.get_bind().dialect.name
    hashable: Any = table
    # The drivers count inserted rows differently; a row that is given back was inserted.
    return tx.session.execute(_insert_statement(dialect, hashable, tuple(values)), values).first() is not None


@lru_cache
def _insert_statement(dialect: str, table: Any, columns: tuple[str, ...]) -> sa.Executable:  # noqa: ANN401  a table's class
    """Build an insertion once for all rows of a kind: building it costs more than the database needs for it."""
    named = insert_into(dialect, table).values({column: sa.bindparam(column) for column in columns})
    return cast(sa.Executable, named.on_conflict_do_nothing().returning(*table.__table__.primary_key))


def insert_into(dialect: str, table: Any) -> Any:  # noqa: ANN401  a table's class; the dialects' insertions share no type
    """Begin an insertion in the dialect of a database, which alone can say what a conflict means."""
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert  # noqa: PLC0415  one dialect per process

        return sqlite_insert(table.__table__)
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert  # noqa: PLC0415

    return postgresql_insert(table.__table__)
