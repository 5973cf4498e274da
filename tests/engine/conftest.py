"""Worker processes that the tests start, watch and kill."""

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOSClient

from dicomnode.engine.queues import APPLICATION, Job, Queues
from dicomnode.ledger.transaction import Ledger
from tests.databases import BACKENDS, SQLITE, migrate_all
from tests.engine.worker_program import QUEUES, WorkerOrder, work
from tests.postgresql import PostgresqlServer
from tests.waiting import PATIENCE_SECONDS

sqlite_only = pytest.mark.parametrize("database_url", [SQLITE], indirect=True)
"""For what does not depend on the database: a worker takes its time to start."""

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["pytest", "tests.engine.worker_program"])


def job(step: str, name: str, *arguments: str | int, **more: Any) -> Job:
    """Build a job whose id and first argument carry a name of the test's own."""
    return Job(step=step, id=f"{step}:{name}", arguments=(name, *arguments), **{"queue": "many", **more})


class WorkerProcess:
    """One running worker, forked from a server that has the imports done already."""

    def __init__(self, order: WorkerOrder) -> None:
        self._order = order
        self._ready, self._stop = _PROCESSES.Event(), _PROCESSES.Event()
        self.process = _PROCESSES.Process(target=work, args=(order, self._ready, self._stop), daemon=True)
        self.process.start()

    def wait_until_ready(self) -> None:
        log = self._order.folder / f"{self._order.executor_id}.log"
        assert self._ready.wait(PATIENCE_SECONDS), log.read_text()

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.wait()

    def stop(self) -> int:
        """End it in good order and give its exit code."""
        self._stop.set()
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and give its exit code."""
        self.process.join(PATIENCE_SECONDS)
        assert self.process.exitcode is not None
        return self.process.exitcode


class Site:
    """One database with its queues, the workers on it, and the notes they write."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.ledger = Ledger(url)
        self.queues = Queues(self.ledger)
        _register_queues(self.ledger)
        self._workers: list[WorkerProcess] = []

    def worker(self, executor_id: str, lease: float = 0, further_steps: tuple[str, ...] = ()) -> WorkerProcess:
        """Start a worker; its reaper runs when a lease is given, in seconds."""
        worker = WorkerProcess(
            WorkerOrder(
                url=self.ledger.url,
                executor_id=executor_id,
                folder=self.folder,
                lease=timedelta(seconds=lease),
                further_steps=further_steps,
            )
        )
        self._workers.append(worker)
        worker.wait_until_ready()
        return worker

    def enqueue(self, *jobs: Job) -> None:
        with self.ledger.transaction() as tx:
            for job in jobs:
                self.queues.enqueue(tx, job)

    def notes(self, kind: str = "", name: str = "") -> list[dict[str, Any]]:
        """Read the notes of a kind and name, in the order they were written."""
        file = self.folder / "notes"
        lines = file.read_text().splitlines() if file.exists() else []
        notes = [json.loads(line) for line in lines]
        return [note for note in notes if kind in ("", note["kind"]) and name in ("", note["name"])]

    def unfinished(self, name: str) -> list[str]:
        """List the jobs of a name that wait or run."""
        return [job for job in self.queues.unfinished() if name in job.split(":")]

    def let_go(self, name: str) -> None:
        """Allow the slow job of a name to end."""
        (self.folder / name).touch()

    def close(self) -> None:
        for worker in self._workers:
            if worker.process.is_alive():
                worker.kill()
            worker.process.close()
        self.queues.close()
        self.ledger.close()


def _register_queues(ledger: Ledger) -> None:
    """Make the queues known beforehand: a worker looks for new ones only once a second."""
    client = DBOSClient(system_database_engine=ledger.engine, application_name=APPLICATION)
    for queue in QUEUES:
        client.register_queue(queue.name, worker_concurrency=queue.concurrency, polling_interval_sec=0.2)
    client.destroy()


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    """A site whose workers the test starts and kills itself."""
    site = Site(database_url, tmp_path)
    yield site
    site.close()


@pytest.fixture(scope="module", params=BACKENDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with one worker that stays alive, for tests that only look; each names its jobs in its own way."""
    folder = tmp_path_factory.mktemp("running")
    with _lent_database(request, folder) as url:
        site = Site(url, folder)
        site.worker("host:work:1")
        yield site
        site.close()


@contextmanager
def _lent_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """Lend a database of its own to a whole module."""
    if request.param == SQLITE:
        shutil.copyfile(request.getfixturevalue("sqlite_template"), folder / "node.db")
        yield f"sqlite:///{folder / 'node.db'}"
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    server.create("running")
    migrate_all(server.url("running"))
    yield server.url("running")
    server.drop("running")
