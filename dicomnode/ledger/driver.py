"""Transactions on the database's own driver, for the one writer whose rows come by the thousand each second."""

import fcntl
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from io import FileIO
from typing import Any, Protocol, cast

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler

from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.ledger.tables import UtcDateTime
from dicomnode.ledger.transaction import Ledger

_TAKEN_BACK = frozenset({"40001", "40P01"})
"""With these codes PostgreSQL ends a transaction that met another: serialization failure and deadlock."""

_Converter = Callable[[Any], Any]


class Outcome(Protocol):
    """What a statement did: how many rows it wrote, and the rows it found."""

    @property
    def rowcount(self) -> int:
        """Count the rows that were written."""
        ...

    def fetchall(self) -> Sequence[Any]:
        """Give the rows that were found."""
        ...


class Runner(Protocol):
    """Runs the statements of one open transaction."""

    def execute(self, statement: sa.Executable, values: Mapping[str, Any]) -> Outcome:
        """Run a statement with a value for each of its parameters; what it wrote is known after `settle`."""
        ...

    def settle(self) -> None:
        """Return when all statements so far have run."""
        ...


class DriverConnection:
    """One connection of a ledger, held between transactions, and the statements it is for, compiled once.

    Any thread may use it; they take turns. A process that was forked needs one of its own.
    """

    def __init__(self, ledger: Ledger, statements: Iterable[sa.Executable]) -> None:
        self._engine = ledger.engine
        dialect = self._engine.dialect
        driver: Any = dialect.loaded_dbapi
        self._errors: tuple[type[Exception], ...] = (driver.Error, sa.exc.SQLAlchemyError)
        converter_for = _converters(dialect)
        self._compiled = {statement: _Compiled(statement, dialect, converter_for) for statement in statements}
        self._turn = threading.Lock()
        self._queue = _WriterQueue(self._engine.url)
        self._held: sa.PoolProxiedConnection | None = None
        ledger.at_close(self.close)

    def write(self, steps: Callable[[Runner], object]) -> None:
        """Run steps in one transaction and commit it; raises LedgerUnavailable when it did not become durable.

        The steps run a second time where nothing of the first run was kept: after a deadlock, or when the connection
        died before it was asked to commit. When it died later nobody can be certain, and nothing is repeated.
        """
        with self._turn, self._queue:
            if not self._is_written(steps, may_repeat=True):
                self._is_written(steps, may_repeat=False)

    def close(self) -> None:
        """Give the connection back."""
        with self._turn:
            if self._held is not None:
                self._held.close()
                self._held = None
            self._queue.close()

    def _is_written(self, steps: Callable[[Runner], object], *, may_repeat: bool) -> bool:
        """Run steps and commit; says no when they should run once more. Raises LedgerUnavailable."""
        is_commit_asked = False
        try:
            connection = self._connection()
            with self._pipeline(connection) as pipeline:
                steps(_DriverRunner(self._compiled, connection, pipeline))
                is_commit_asked = True
                connection.commit()
        except self._errors as error:
            repeats = may_repeat and self._is_taken_back(error, is_commit_asked=is_commit_asked)
            self._drop()
            if repeats:
                return False
            raise LedgerUnavailable(f"the database did not take the change ({type(error).__name__})") from error
        except BaseException:
            self._drop()
            raise
        return True

    def _connection(self) -> Any:  # noqa: ANN401  sqlite3's and psycopg's have no type in common
        """Give the driver's connection, a new one when none is held."""
        if self._held is None:
            self._held = self._engine.raw_connection()
        return self._held.driver_connection

    def _pipeline(self, connection: Any) -> AbstractContextManager[Any]:  # noqa: ANN401  as above
        """Open psycopg's pipeline, in which statements do not wait for each other's answers; SQLite needs none."""
        pipeline: AbstractContextManager[Any] = connection.pipeline() if self._is_postgresql() else nullcontext()
        return pipeline

    def _is_postgresql(self) -> bool:
        return self._engine.dialect.name == "postgresql"

    def _is_taken_back(self, error: Exception, *, is_commit_asked: bool) -> bool:
        """Whether the database certainly kept nothing, and a second run may fare better."""
        if getattr(error, "sqlstate", None) in _TAKEN_BACK:
            return True
        if is_commit_asked or self._held is None:
            return False
        return self._engine.dialect.is_disconnect(cast(Any, error), self._held.driver_connection, None)

    def _drop(self) -> None:
        """End the connection, and with it a transaction that is still open."""
        if self._held is not None:
            self._held.invalidate()
            self._held = None


class _WriterQueue:
    """Lets processes that write much to one SQLite file wait for each other in the kernel.

    SQLite itself waits by sleeping, up to 100 ms at a time, while whoever does not sleep goes first: with two receivers
    the slowest commit in a hundred took two to three times as long. Writers that do not queue here are still correct.
    """

    def __init__(self, url: sa.URL) -> None:
        is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        self._path = f"{url.database}-queue" if is_file else None
        self._file: FileIO | None = None

    def __enter__(self) -> None:
        """Wait for the place in front; raises LedgerUnavailable where there is no place for the queue's file."""
        if self._path is None:
            return
        try:
            if self._file is None:
                self._file = FileIO(self._path, "a")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise LedgerUnavailable(f"the database's folder cannot be written ({type(error).__name__})") from error

    def __exit__(self, *_error: object) -> None:
        """Let the next one write."""
        if self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leave the queue."""
        if self._file is not None:
            self._file.close()
            self._file = None


class _DriverRunner:
    """Runs compiled statements on the driver's connection."""

    def __init__(self, compiled: "Mapping[sa.Executable, _Compiled]", connection: Any, pipeline: Any) -> None:  # noqa: ANN401  the driver's own
        self._compiled = compiled
        self._connection = connection
        self._pipeline = pipeline

    def execute(self, statement: sa.Executable, values: Mapping[str, Any]) -> Outcome:
        """Run a statement; in a pipeline its answer comes later."""
        compiled = self._compiled[statement]
        outcome: Outcome = self._connection.execute(compiled.text, compiled.parameters(values))
        return outcome

    def settle(self) -> None:
        """Wait for the answers that are still to come."""
        if self._pipeline is not None:
            self._pipeline.sync()


class _Compiled:
    """A statement as the driver takes it: its text, and its parameters in their form and order."""

    def __init__(
        self, statement: sa.Executable, dialect: sa.Dialect, converter_for: Callable[[Any], _Converter | None]
    ) -> None:
        compiled = cast(SQLCompiler, cast(sa.ClauseElement, statement).compile(dialect=dialect))
        self.text = compiled.string
        self._order = compiled.positiontup
        self._constants = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
        converters = {name: converter_for(bind.type) for bind, name in compiled.bind_names.items()}
        self._converters = tuple((name, convert) for name, convert in converters.items() if convert is not None)

    def parameters(self, values: Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
        """Give the driver's parameters: by position where it counts them, else by name."""
        named = {**self._constants, **values}
        for name, convert in self._converters:
            named[name] = convert(named[name])
        if self._order is None:
            return named
        # For a UID, which is a kind of str, sqlite3 would look for an adapter each time.
        return [str(value) if isinstance(value, str) else value for value in map(named.__getitem__, self._order)]


def _converters(dialect: sa.Dialect) -> Callable[[Any], _Converter | None]:
    """Find what turns the values of a type into the driver's; a batch says few instants, and each of them often."""

    @lru_cache
    def converter_for(kind: sa.types.TypeEngine[Any]) -> _Converter | None:
        convert = kind.dialect_impl(dialect).bind_processor(dialect)
        return lru_cache(convert) if convert is not None and isinstance(kind, UtcDateTime) else convert

    return converter_for
