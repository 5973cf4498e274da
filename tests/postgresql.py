"""A PostgreSQL server of the tests' own: on a Unix socket, never synced, gone when the tests end."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

_SUPERUSER = "postgres"
_FAST = "-F -c listen_addresses='' -c full_page_writes=off -c synchronous_commit=off -c shared_buffers=32MB"


def find_binaries() -> Path | None:
    """Find the folder with initdb and pg_ctl of the newest PostgreSQL installed here."""
    on_path = shutil.which("initdb")
    if on_path is not None:
        return Path(on_path).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


class PostgresqlServer:
    """A running server with any number of databases."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        # Not under pytest's own folder: that one is closed to the unprivileged user the server runs as.
        self._folder = Path(tempfile.mkdtemp(prefix="dicomnode-postgresql-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            shutil.chown(self._folder, _SUPERUSER)
            self._as_user = ["runuser", "-u", _SUPERUSER, "--"]

    def start(self) -> None:
        """Create the cluster and wait until it answers."""
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", _SUPERUSER, "-A", "trust", "-E", "UTF8", "--no-sync")
        log = str(self._folder / "log")
        self._run(
            "pg_ctl", "-D", data, "-l", log, "-w", "-o", f"{_FAST} -c unix_socket_directories={self._folder}", "start"
        )

    def stop(self) -> None:
        """End the server and remove its files."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._folder)

    def url(self, name: str) -> str:
        """Give SQLAlchemy's URL of a database of this server."""
        return f"postgresql+psycopg://{_SUPERUSER}@/{name}?host={self._folder}"

    def create(self, name: str) -> None:
        """Create an empty database."""
        self._execute("postgres", sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._execute("postgres", sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def empty(self, name: str) -> None:
        """Cut off everyone from a database and delete all rows but the versions of its schemas.

        Deleting is a hundred times faster than copying a template: tables this small cost only their files.
        """
        with self._connect(name) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            tables = connection.execute(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'dbos')"
                " AND tablename NOT IN ('ledger_version', 'dbos_migrations')"
            ).fetchall()
            for schema, table in tables:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(schema, table)))

    def _execute(self, database: str, statement: sql.Composed) -> None:
        with self._connect(database, autocommit=True) as connection:
            connection.execute(statement)

    def _connect(self, database: str, *, autocommit: bool = False) -> psycopg.Connection:
        return psycopg.connect(host=str(self._folder), user=_SUPERUSER, dbname=database, autocommit=autocommit)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._as_user, str(self._binaries / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
