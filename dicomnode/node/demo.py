"""The demo: one real study through the whole journey, on this machine, with every step shown."""

import os
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from dicomnode.dicomweb.client import DicomwebClient
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.delivery import Endpoint, OutgoingInstance
from dicomnode.domain.errors import DestinationUnreachable, InvalidSettings
from dicomnode.domain.uids import AETitle, StudyInstanceUID
from dicomnode.imaging.exchange import ReadBack, compare_with_target, outgoing_instances
from dicomnode.imaging.headers import read_header
from dicomnode.ledger.studies import (
    DecisionRecord,
    DerivationRecord,
    list_decisions,
    list_derivations,
)
from dicomnode.ledger.timeline import Event, timeline
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.demo_display import Display
from dicomnode.node.demo_pacs import SERVE, Ports, orthanc_obstacle, spawn, start_pacs
from dicomnode.node.settings import Settings, as_environment, read_settings
from dicomnode.node.web_settings import LoginMode
from dicomnode.node.wiring import endpoint

_QUIET_SECONDS = 2.0
_START_SECONDS, _JOURNEY_SECONDS = 60.0, 480.0
_LOOK_SECONDS = 0.2
_SENDER = AETitle("SCANNER")


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What the demo is given: the folder of the study (zip files of instances) and a folder of its own to work in."""

    study: Path
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """What came out: the study's story, the decision, the derivation and the copy read back from the PACS."""

    study_instance_uid: StudyInstanceUID
    events: tuple[Event, ...]
    decisions: tuple[DecisionRecord, ...]
    derivation: DerivationRecord
    read_back: ReadBack
    pacs: str
    left_out: str | None
    pages: str


class Demo:
    """Everything the demo starts, so that it can also end it."""

    def __init__(self, plan: DemoPlan, display: Display) -> None:
        self._plan = plan
        self._display = display
        self._stack = ExitStack()

    def __enter__(self) -> "Demo":
        """Begin with an empty folder, so that every run makes the whole journey."""
        shutil.rmtree(self._plan.folder, ignore_errors=True)
        self._plan.folder.mkdir(parents=True)
        return self

    def __exit__(self, *_exception: object) -> None:
        """End all that was started."""
        self._stack.close()

    def run(self) -> DemoResult:
        """Make the journey; raises a DicomnodeError that says which part did not work."""
        with self._display.step("unpack the study") as step:
            instances = unpack(self._plan.study, self._plan.folder / "study")
            study = read_header(Path(instances[0].file)).study_instance_uid
            step.say(f"{len(instances)} instances")
        settings, kind = self._start()
        with self._display.step("originals to the PACS") as step:
            step.say(f"{_send(endpoint(settings.destinations[0]), instances)} instances stored by {kind}")
        with self._display.step("study to the node") as step:
            step.say(f"{_send(_own_endpoint(settings), instances)} instances stored, each durable before 0x0000")
        ledger = Ledger(settings.database_url)
        self._stack.callback(ledger.close)
        derivation = self._watch(ledger, study)
        with self._display.step("read back from the PACS") as step:
            read_back = _read_back(settings, study, derivation)
            step.say(f"{read_back.instances} instances; geometry {'equal' if read_back.geometry_equal else 'DIFFERS'}")
        with ledger.transaction() as tx:
            return DemoResult(
                study_instance_uid=study,
                events=timeline(tx, study),
                decisions=list_decisions(tx, study),
                derivation=derivation,
                read_back=read_back,
                pacs=kind,
                left_out=orthanc_obstacle(),
                pages=f"http://{settings.web_host}:{settings.web_port}/studies/{study}",
            )

    def _start(self) -> tuple[Settings, str]:
        """Start the PACS and the node, and wait until both answer."""
        with self._display.step("start the PACS") as step:
            pacs = start_pacs(self._plan.folder / "pacs", Ports(dicom=_free_port(), http=_free_port()))
            self._stack.callback(pacs.stop)
            settings = read_settings(
                data=self._plan.folder / "node",
                dicom_port=_free_port(),
                web_port=_free_port(),
                login=LoginMode.OFF,
                quiet_seconds=_QUIET_SECONDS,
                # Each series of the demo's study lacks a slice, which will not come.
                completion={"missing_seconds": _QUIET_SECONDS},
                destinations=(pacs.destination,),
            )
            _until_echo(endpoint(pacs.destination))
            step.say(f"{pacs.kind} as {pacs.destination.ae_title} on port {pacs.destination.port}")
        with self._display.step("start the node") as step:
            node = spawn(SERVE, self._plan.folder / "node.log", as_environment(settings))
            self._stack.callback(_end, node)
            _until_page(f"http://{settings.web_host}:{settings.web_port}/", node, self._plan.folder / "node.log")
            step.say(f"{settings.ae_title} on port {settings.dicom_port}, roles {', '.join(settings.roles)}")
        return settings, pacs.kind

    def _watch(self, ledger: Ledger, study: StudyInstanceUID) -> DerivationRecord:
        """Show each line of the timeline as it is written, until the derived series is delivered or stopped."""
        give_up = time.monotonic() + _JOURNEY_SECONDS
        shown = 0
        with self._display.journey() as journey:
            while time.monotonic() < give_up:
                with ledger.transaction() as tx:
                    events = timeline(tx, study)
                    derivations = list_derivations(tx, study)
                for event in events[shown:]:
                    journey.tell(event)
                shown = len(events)
                if any(event.step == "deliver" and event.state == "done" for event in events):
                    return derivations[0]
                stopped = [
                    event for event in events if event.state in ("nothing", "refused", "failed", "needs operator")
                ]
                if stopped:
                    raise InvalidSettings(f"the journey ended early: {stopped[-1].text}")
                time.sleep(_LOOK_SECONDS)
        raise InvalidSettings(
            f"nothing was delivered within {_JOURNEY_SECONDS:.0f} s; see {self._plan.folder}/node.log"
        )


def unpack(study: Path, folder: Path) -> tuple[OutgoingInstance, ...]:
    """Unpack the zip files of a study folder; raises InvalidSettings when there are none."""
    archives = sorted(study.glob("*.zip"))
    if not archives:
        raise InvalidSettings(f"no demo study in {study}: run the demo from a clone, or name the folder with --study")
    for archive in archives:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder / archive.stem)
    return outgoing_instances(sorted(path for path in folder.rglob("*") if path.is_file()))


def _own_endpoint(settings: Settings) -> Endpoint:
    listener = settings.all_listeners[0]
    return Endpoint(name="the node", ae_title=AETitle(settings.ae_title), host=listener.host, port=listener.port)


def _send(where: Endpoint, instances: Sequence[OutgoingInstance]) -> int:
    """Send the study over one association; raises DestinationUnreachable when not all of it was taken."""
    outcomes = StorageSCU(where, _SENDER).store(tuple(instances))
    refused = [outcome for outcome in outcomes if not outcome.stored]
    if refused:
        raise DestinationUnreachable(f"{where.name} refused {len(refused)} instances (0x{refused[0].status:04X})")
    return len(outcomes)


def _read_back(settings: Settings, study: StudyInstanceUID, derivation: DerivationRecord) -> ReadBack:
    """Fetch the derived series and its target from the PACS and hold one against the other."""
    pacs = DicomwebClient(endpoint(settings.destinations[0]))
    derived = pacs.retrieve_series(study, derivation.series_instance_uid or "")
    target = pacs.retrieve_series(study, derivation.target_series_uid)
    return compare_with_target(derived, target, missing_slices=derivation.preparation.missing_slices)


def _free_port() -> int:
    """Ask the kernel for a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_echo(where: Endpoint) -> None:
    """Wait until a PACS answers C-ECHO."""
    give_up = time.monotonic() + _START_SECONDS
    while True:
        try:
            return VerificationSCU(_SENDER, timeout_seconds=5).echo(where)
        except DestinationUnreachable:
            if time.monotonic() > give_up:
                raise
            time.sleep(_LOOK_SECONDS)


def _until_page(url: str, node: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the node's first page answers."""
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up:
        if node.poll() is not None:
            raise InvalidSettings(f"the node ended at once; the last lines of {log}: {log.read_text()[-600:]}")
        try:
            if httpx.get(url, timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(_LOOK_SECONDS)
    raise InvalidSettings(f"the node did not answer within {_START_SECONDS:.0f} s; see {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process group in good order, or at once when it does not listen."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
