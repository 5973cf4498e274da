"""What the tests of all rooms share: a clock that is told the time, both databases, a spool, the shared data."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from tests.absence import absent
from tests.databases import BACKENDS, SQLITE, migrate_all
from tests.postgresql import PostgresqlServer, find_binaries

ROOT = Path(__file__).parent.parent


class FakeClock:
    """A clock that stands still until it is advanced (domain.ports.Clock)."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data folder that travels beside the repository."""
    folder = Path(os.environ.get("DICOMNODE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        absent(f"the shared data folder is not at {folder} (set DICOMNODE_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    binaries = find_binaries()
    if binaries is None:
        absent("PostgreSQL's server programs (initdb, pg_ctl) are not installed")
    server = PostgresqlServer(binaries)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables; copied for each test, because migrating takes a second."""
    file = tmp_path_factory.mktemp("template") / "node.db"
    migrate_all(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def postgresql_node(postgresql: PostgresqlServer) -> str:
    """The name of a database with all tables; emptied for each test."""
    postgresql.create("node")
    migrate_all(postgresql.url("node"))
    return "node"


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with the tables of ledger and engine and no row, of each kind in turn."""
    if request.param == SQLITE:
        file = tmp_path / "node.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), file)
        yield f"sqlite:///{file}"
    else:
        name: str = request.getfixturevalue("postgresql_node")
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        server.empty(name)
        yield server.url(name)


@pytest.fixture(params=BACKENDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table, of each kind in turn."""
    if request.param == SQLITE:
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        server: PostgresqlServer = request.getfixturevalue("postgresql")
        server.create("empty")
        yield server.url("empty")
        server.drop("empty")


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    ledger = Ledger(database_url)
    yield ledger
    ledger.close()
