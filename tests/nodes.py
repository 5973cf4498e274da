"""A real node in a process of its own, and a PACS that remembers, for tests of whole journeys and of crashes."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.domain.association import OfferedInstance
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DicomnodeError
from dicomnode.domain.peer import Peer
from dicomnode.domain.ports import InstanceSink
from dicomnode.domain.study import StudyRevision
from dicomnode.domain.uids import AETitle, StudyInstanceUID
from dicomnode.imaging.exchange import outgoing_instances
from dicomnode.ledger.peers import add_peer
from dicomnode.ledger.refusals import RefusalRecord, list_refusals
from dicomnode.ledger.studies import DerivationRecord, list_derivations, list_revisions
from dicomnode.ledger.timeline import Event, timeline
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.completion_settings import CompletionSettings
from dicomnode.node.settings import DestinationSettings, Settings, as_environment
from dicomnode.node.web_settings import LoginMode
from tests.dimse.porter import listening_at
from tests.dimse.shelf import outcome_of

ROOT = Path(__file__).parents[1]
BRAIN = ROOT / "tests" / "data" / "siemens-trio-brain"
BRAIN_STUDY = StudyInstanceUID("1.3.12.2.1107.5.2.32.35235.30000012041311234827500000019")

COPY_RULE = """
rules:
  - name: copy-t2
    description: Copies a T2 series, so that a test sees the whole journey without a real model.
    when:
      combinator: and
      rules: [{field: series, match: {mode: some}, value: {rules: [{field: Weighting, value: T2}]}}]
    then:
      model: identity
      inputs: {source: {rules: [{field: Weighting, value: T2}]}}
      target: source
      destinations: [pacs]
      preparation: {missing_slices: 1}
"""


T = TypeVar("T")


_given: set[int] = set()


def free_port() -> int:
    """Find a free port on loopback that was not given before, and that the kernel gives to no outgoing connection."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def wait_until(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """Look again and again until there is something; fails with what was waited for."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


class RememberingPacs:
    """A storage SCP that counts what it is sent; it can be slow, and it can refuse."""

    def __init__(self, seconds_per_instance: float = 0) -> None:
        self.seconds_per_instance = seconds_per_instance
        self.received: list[str] = []
        self._lock = threading.Lock()
        self._listener = StorageSCP(listening_at("PACS"), self)

    def __enter__(self) -> "RememberingPacs":
        self._listener.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listener.stop()

    @property
    def destination(self) -> DestinationSettings:
        """How a node is told of this PACS."""
        return DestinationSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=self._listener.port)

    def open(self, offered: OfferedInstance) -> "_Remembered":
        """Take one instance (domain.ports.Reception)."""
        return _Remembered(self, offered.sop_instance_uid)

    def accept(self, sinks: Sequence[InstanceSink]) -> Sequence[DicomnodeError | None]:
        """Take all of them."""
        return [outcome_of(sink) for sink in sinks]

    def remember(self, sop_instance_uid: str) -> None:
        """Count an instance as stored."""
        time.sleep(self.seconds_per_instance)
        with self._lock:
            self.received.append(sop_instance_uid)


class _Remembered:
    def __init__(self, pacs: RememberingPacs, sop_instance_uid: str) -> None:
        self._pacs = pacs
        self._sop_instance_uid = sop_instance_uid

    def write(self, *pieces: bytes | memoryview) -> None:
        """Let the bytes go: only their arrival counts."""

    def accept(self) -> None:
        self._pacs.remember(self._sop_instance_uid)

    def discard(self) -> None:
        """Nothing is kept, so nothing is to be forgotten."""


class ServingNode:
    """`dicomnode serve` as an administrator would run it, in a process group of its own."""

    def __init__(
        self, folder: Path, destination: DestinationSettings, rules: str | None = None, **further: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Each series of the real study lacks a slice, which no test wants to wait for.
        impatient = CompletionSettings(missing_seconds=1.5)
        given: dict[str, Any] = {
            "data": folder / "var",
            "quiet_seconds": 1.5,
            "completion": impatient,
            "login": LoginMode.OFF,
            **further,
        }
        if rules is not None:
            given["rules"] = folder / "rules.yaml"
            given["rules"].write_text(rules)
        self.folder = folder
        self.settings = Settings(
            dicom_port=free_port(),
            web_port=free_port(),
            destinations=(destination,),
            **given,
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where its pages are."""
        return f"http://{self.settings.web_host}:{self.settings.web_port}"

    @property
    def pid(self) -> int:
        """The process that was started, and that signals go to."""
        assert self._process is not None
        return self._process.pid

    def processes(self) -> list[int]:
        """List the node's processes that live: its own and those it started."""
        assert self._process is not None
        found = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        return [pid for pid in found if _session_of(pid) == self._process.pid]

    def start(self) -> None:
        """Start it and wait until its first page answers."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("DICOMNODE_")}
        with (self.folder / "node.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dicomnode.node.cli", "serve"],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**environment, **as_environment(self.settings)},
            )
        try:
            wait_until(self._answers, 60, f"the first page of the node ({self.folder / 'node.log'})")
        except AssertionError:
            self.kill()
            raise

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "node.log").read_text()
        try:
            answer = httpx.get(f"{self.url}/", timeout=5)
        except httpx.TransportError:
            return False
        return answer.status_code in (httpx.codes.OK, httpx.codes.SEE_OTHER)

    def kill(self) -> None:
        """Kill the whole process tree at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def kill_first(self) -> None:
        """Kill only the process that started the others; these have to notice."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(timeout=30)

    def stop(self) -> None:
        """Stop it in good order."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)
            self._process.wait(timeout=30)

    def send(self, files: Sequence[Path]) -> None:
        """Send files to it by C-STORE; every one must be stored."""
        settings = self.settings
        where = Endpoint(name="node", ae_title=AETitle(settings.ae_title), host="127.0.0.1", port=settings.dicom_port)
        outcomes = StorageSCU(where, AETitle("SCANNER")).store(outgoing_instances(files))
        assert all(outcome.stored for outcome in outcomes)

    def derivations(self, study: str = BRAIN_STUDY) -> tuple[DerivationRecord, ...]:
        """Look into its ledger: what it derived of a study."""
        return self._look(lambda ledger: _derivations(ledger, study))

    def events(self, study: str = BRAIN_STUDY) -> tuple[Event, ...]:
        """Look into its ledger: the timeline of a study."""
        return self._look(lambda ledger: _events(ledger, study))

    def revisions(self, study: str = BRAIN_STUDY) -> tuple[StudyRevision, ...]:
        """Look into its ledger: when a study was taken to be complete."""
        return self._look(lambda ledger: _revisions(ledger, study))

    def know(self, peer: Peer) -> None:
        """Make a peer of it, while it runs."""
        self._look(lambda ledger: _add(ledger, peer))

    def refusals(self) -> tuple[RefusalRecord, ...]:
        """Look into its ledger: whom it turned away."""
        return self._look(_refusals)

    def _look(self, at: Callable[[Ledger], T]) -> T:
        ledger = Ledger(self.settings.database_url)
        try:
            return at(ledger)
        finally:
            ledger.close()

    def wait_for(self, state: str, seconds: float = 120, *, revision: int = 1) -> DerivationRecord:
        """Wait until the derivation of a revision is in a state."""
        return wait_until(
            lambda: next((one for one in self.derivations() if (one.state, one.revision) == (state, revision)), None),
            seconds,
            f"a derivation of revision {revision} that is {state}; it says {[event.text for event in self.events()]}",
        )

    def wait_delivered(self, seconds: float = 120, *, times: int = 1) -> None:
        """Wait until the timeline says so often that a series was delivered."""
        wait_until(
            lambda: sum((event.step, event.state) == ("deliver", "done") for event in self.events()) >= times,
            seconds,
            f"delivery number {times}",
        )


def _session_of(pid: int) -> int | None:
    """Read which session a process belongs to; None when it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _derivations(ledger: Ledger, study: str) -> tuple[DerivationRecord, ...]:
    with ledger.transaction() as tx:
        return list_derivations(tx, study)


def _revisions(ledger: Ledger, study: str) -> tuple[StudyRevision, ...]:
    with ledger.transaction() as tx:
        return list_revisions(tx, study)


def _add(ledger: Ledger, peer: Peer) -> None:
    with ledger.transaction() as tx:
        assert add_peer(tx, peer, datetime.now(UTC))


def _refusals(ledger: Ledger) -> tuple[RefusalRecord, ...]:
    with ledger.transaction() as tx:
        return list_refusals(tx)


def _events(ledger: Ledger, study: str) -> tuple[Event, ...]:
    with ledger.transaction() as tx:
        return timeline(tx, study)


def unpack_brain(folder: Path) -> tuple[list[Path], list[Path]]:
    """Unpack the real study that travels with the project: the files of its T1 and of its T2 series, in order."""
    series = []
    for name in ("t1_memprage_sag", "t2_fse_ax"):
        with zipfile.ZipFile(BRAIN / f"{name}.zip") as archive:
            archive.extractall(folder / name)
        series.append(sorted((folder / name).rglob("*.dcm")))
    return series[0], series[1]
