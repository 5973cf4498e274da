"""Upkeep as an administrator does it: reconcile and quarantine on the command line, and at the start of a node."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.domain.capacity import DiskLevel
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.journey.receive import Receiving
from dicomnode.ledger.reception import record_quarantined
from dicomnode.ledger.schema import migrate
from dicomnode.ledger.studies import list_instances
from dicomnode.ledger.timeline import timeline
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.receiving import spool_space
from dicomnode.node.settings import Role, Settings, as_environment
from dicomnode.spool.store import Kept, Spool
from tests.builders import a_series, uid
from tests.conftest import FakeClock
from tests.journey.bench import SENDER, STUDY, data_set, offered
from tests.node.test_cli import _run
from tests.nodes import free_port
from tests.waiting import wait_for

(ONE, TWO) = a_series(slices=2, shape=(8, 6))


class Folder:
    """The data folder of a node that is not running."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger = Ledger(f"sqlite:///{root / 'var' / 'ledger.db'}")
        self.spool = Spool(root / "var" / "spool")
        migrate(self.ledger)
        self._receiving = Receiving(self.ledger, self.spool, FakeClock(datetime.now(UTC)))
        sink = self._receiving.open(offered(ONE))
        sink.write(data_set(ONE))
        sink.accept()

    def keep(self, room: str) -> Kept:
        """Leave the bytes of the second instance in a room of the spool, without a row."""
        file = self._receiving.open(offered(TWO))
        file.write(data_set(TWO))
        return file.file.keep(room)

    def quarantine(self, why: str) -> None:
        kept = self.keep("quarantine")
        with self.ledger.transaction() as tx:
            at = datetime.now(UTC)
            record_quarantined(tx, SENDER, SOPInstanceUID(TWO.SOPInstanceUID), (kept.path, kept.size), why, at)

    def paths(self) -> list[str]:
        with self.ledger.transaction() as tx:
            return [one.path for one in list_instances(tx, STUDY)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    (tmp_path / "var").mkdir()
    made = Folder(tmp_path)
    yield made
    made.ledger.close()


def _words(text: str) -> str:
    return " ".join(text.split())


def test_reconcile_says_what_agrees_and_what_does_not(folder: Folder) -> None:
    agreed = _run(folder.root, "reconcile")
    assert agreed.returncode == 0, agreed.stdout
    assert "1 files compared" in _words(agreed.stdout)
    assert "changed since it was kept" not in agreed.stdout

    file = folder.spool.locate(folder.paths()[0])
    file.write_bytes(b"other bytes")
    assert _run(folder.root, "reconcile").returncode == 0
    damaged = _run(folder.root, "reconcile", "--deep")
    assert damaged.returncode == 1
    assert "1 instances whose file changed since it was kept" in _words(damaged.stdout)

    file.unlink()
    missing = _run(folder.root, "reconcile")
    assert missing.returncode == 1
    assert "1 instances whose file is missing" in _words(missing.stdout)
    for named in (STUDY, uid("study", "series", "0"), folder.paths()[0]):
        assert named in missing.stdout
    with folder.ledger.transaction() as tx:
        assert [event.state for event in timeline(tx, STUDY)] == ["running", "damaged", "missing"]


def test_reconcile_beside_a_running_node_leaves_young_files_alone(folder: Folder) -> None:
    stray = folder.keep("instances")
    told = _run(folder.root, "reconcile")
    assert "0 files that nobody was told were kept" in _words(told.stdout)
    assert folder.spool.locate(stray.path).is_file()


def test_a_quarantined_instance_is_listed_shown_and_released(folder: Folder) -> None:
    assert "Nothing is in quarantine." in _run(folder.root, "quarantine", "list").stdout
    folder.quarantine("refused by a defect")
    listed = _run(folder.root, "quarantine", "list").stdout
    assert "SCANNER 10.1.2.3" in listed
    assert "refused by a defect" in listed
    shown = _run(folder.root, "quarantine", "show", "1").stdout
    assert "possible" in shown
    released = _run(folder.root, "quarantine", "release", "1")
    assert released.returncode == 0, released.stdout
    assert "It is in use now." in released.stdout
    assert len(folder.paths()) == 2


def test_a_quarantined_instance_is_discarded_with_its_reason(folder: Folder) -> None:
    folder.quarantine("refused by a defect")
    assert _run(folder.root, "quarantine", "discard", "1").returncode == 2
    discarded = _run(folder.root, "quarantine", "discard", "1", "--reason", "a phantom [bold]")
    assert discarded.returncode == 0
    assert "a phantom [bold]" in discarded.stdout
    assert len(folder.paths()) == 1
    gone = _run(folder.root, "quarantine", "release", "1")
    assert gone.returncode == 1
    assert "nothing of number 1 is in quarantine" in gone.stdout


def test_where_no_node_has_run_there_is_nothing_to_reconcile(tmp_path: Path) -> None:
    told = _run(tmp_path, "reconcile")
    assert told.returncode == 1
    assert "no node has run" in told.stdout


def test_an_embedded_node_reconciles_at_every_start(folder: Folder) -> None:
    stray = folder.keep("instances")
    lost = folder.spool.locate(folder.paths()[0])
    lost.unlink()
    settings = Settings(data=folder.root / "var", roles=(Role.WEB,), web_port=free_port())
    log = folder.root / "node.log"
    with log.open("wb") as written:
        node = subprocess.Popen(
            [sys.executable, "-m", "dicomnode.node.cli", "serve"],
            stdout=subprocess.DEVNULL,
            stderr=written,
            cwd=folder.root,
            env=as_environment(settings),
        )
    try:
        lines = wait_for(lambda: [line for line in log.read_text().splitlines() if "reconciled" in line], 60)
    finally:
        node.send_signal(signal.SIGKILL)
        node.wait()
    told = json.loads(lines[0])
    assert told["level"] == "warning"
    assert told["event"].endswith("1 files, 1 rows; 1 files set aside, 1 missing, 0 damaged")
    assert not folder.spool.locate(stray.path).exists()
    assert "kept but never recorded" in _run(folder.root, "quarantine", "list").stdout
    with folder.ledger.transaction() as tx:
        assert [event.state for event in timeline(tx, STUDY)] == ["running", "missing"]


def test_the_marks_of_the_disk_come_from_the_settings(tmp_path: Path) -> None:
    Spool(tmp_path / "spool")
    everything = {"warn_free_percent": 100, "warn_free_gib": 10**9}
    assert spool_space(Settings(data=tmp_path, **everything)).state().level is DiskLevel.LOW  # type: ignore[arg-type]
    nothing = {"warn_free_percent": 0, "refuse_free_percent": 0}
    assert spool_space(Settings(data=tmp_path, **nothing)).state().level is DiskLevel.OK  # type: ignore[arg-type]
    full = {**everything, "refuse_free_percent": 100, "refuse_free_gib": 10**9}
    assert spool_space(Settings(data=tmp_path, **full)).congestion() is not None  # type: ignore[arg-type]
