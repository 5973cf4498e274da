"""One measurement: a fresh server, a warm-up, the load, what it cost, and whether it was all stored."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from pydicom.filereader import read_file_meta_info

from deploy.bench.association import Acceptor, AssociationRequestor, store_request
from deploy.bench.data_sets import DataSetName, Templates, number_of
from deploy.bench.machine import touch_memory
from deploy.bench.plan import Cell, Client, Medium, ServerName
from deploy.bench.processes import cpu_seconds, forget_peak, memory, settle
from deploy.bench.sender import Order, Outcome
from deploy.bench.servers import ROOT, SERVERS, NotMeasured, Running, program, running

_WARM_UP = 8
_WARM_UP_NUMBERS = 9_000_000_000
_SETTLE_SECONDS = 5.0
_TOUCHED_BYTES = 2**30
"""More than any server is sent in one measurement."""
_CLIENT_SECONDS = 300
_IDLE_PATIENCE, _IDLE_SETTLE_SECONDS = 5.0, 1.0
_IDLE_ASSOCIATIONS = (8, 32)
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_PREAMBLE_AND_GROUP_LENGTH = 128 + 4 + 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one server did once in one cell, and what it cost; memory in MB, of the whole tree of processes."""

    cell: str
    server: ServerName
    repetition: int
    outcome: Outcome
    association_ms: float
    """To set up an association while nothing else happens; median of several."""
    server_cpu_seconds: float
    resident_before: float
    resident_peak: float
    resident_after: float

    @property
    def instances_per_second(self) -> float:
        """Throughput."""
        return self.outcome.instances / self.outcome.seconds

    @property
    def mb_per_second(self) -> float:
        """Throughput, in 10^6 bytes as sent."""
        return self.outcome.size / self.outcome.seconds / 1e6

    @property
    def cpu_seconds_per_gb(self) -> float:
        """What 10^9 bytes as sent cost the server."""
        return self.server_cpu_seconds / self.outcome.size * 1e9

    @property
    def resident_growth(self) -> float:
        """Peak while the load lasted, less what was resident before it; in MB."""
        return self.resident_peak - self.resident_before


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A measurement that came to nothing, and why."""

    name: str
    repetition: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleMeasurement:
    """What open associations cost a server while nobody says anything, in per cent of one core."""

    server: ServerName
    repetition: int
    asked: int
    accepted: int
    cpu_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """The folders of a run: the data, and where the servers of each medium write."""

    data: Path
    runs: dict[Medium, Path]

    def run_folder(self, medium: Medium, name: str) -> Path:
        """Name a folder that no server had before."""
        return self.runs[medium] / f"{name}-{time.monotonic_ns()}"


def measure(cell: Cell, server: ServerName, repetition: int, count: int, grounds: Grounds) -> Measurement:
    """Measure one server once; raises NotMeasured, OSError or SubprocessError."""
    folder = grounds.run_folder(cell.medium, server)
    # What an earlier server left to be written must not be written at this one's expense.
    os.sync()
    try:
        with running(server, folder, as_shipped=cell.client is not Client.OWN) as process:
            association_ms = _warm_up(process, grounds.data / DataSetName.MR)
            settle(process.pid, _SETTLE_SECONDS)
            touch_memory(_TOUCHED_BYTES)
            forget_peak(process.pid)
            before, spent = memory(process.pid), cpu_seconds(process.pid)
            outcome = _send(cell, count, process, grounds.data / cell.data)
            settle(process.pid, _SETTLE_SECONDS)
            after, spent = memory(process.pid), cpu_seconds(process.pid) - spent
        if outcome.refused:
            raise NotMeasured(f"{outcome.refused} instances were refused")
        _check(server, folder, cell, count, grounds.data)
    finally:
        if cell.medium is Medium.MEMORY:
            # On a disk, deleting many files would slow down whoever writes next; tmpfs gives memory back at once.
            shutil.rmtree(folder, ignore_errors=True)
    return Measurement(
        cell=cell.name,
        server=server,
        repetition=repetition,
        outcome=outcome,
        association_ms=association_ms,
        server_cpu_seconds=spent,
        resident_before=before.resident,
        resident_peak=after.peak,
        resident_after=after.resident,
    )


def _warm_up(process: Running, folder: Path) -> float:
    """Let the server load what it loads only when first needed; gives the ms that an association takes to set up."""
    templates = Templates(folder)
    taken = []
    for number in range(_WARM_UP):
        instance = templates.instance(_WARM_UP_NUMBERS + number)
        began = time.monotonic()
        with AssociationRequestor(process.place.acceptor, templates.sop_class_uid) as association:
            taken.append(time.monotonic() - began)
            association.store(store_request(instance, 1, association.pdu_length))
    return 1000 * median(taken)


def _send(cell: Cell, count: int, process: Running, folder: Path) -> Outcome:
    if cell.client is Client.OWN:
        return _send_fast(cell, count, process, folder)
    return _send_files(cell.client, process, Templates(folder).files(count))


def _send_fast(cell: Cell, count: int, process: Running, folder: Path) -> Outcome:
    place = process.place.acceptor
    order = Order(
        host=place.host,
        port=place.port,
        ae_title=place.ae_title,
        folder=str(folder),
        count=count,
        senders=cell.senders,
    )
    words = [sys.executable, "-m", "deploy.bench.sender", json.dumps(asdict(order))]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=_CLIENT_SECONDS, check=False)
    if done.returncode:
        raise NotMeasured(f"the sender gave up: {done.stderr.strip()[-300:]}")
    return Outcome(**json.loads(done.stdout))


def _send_files(client: Client, process: Running, files: list[Path]) -> Outcome:
    """Let one of DCMTK's programs send files, with nothing set that is not set as shipped."""
    place = process.place.acceptor
    words = [program(client), "-aec", place.ae_title, place.host, str(place.port), *map(str, files)]
    environment = {key: value for key, value in os.environ.items() if key != "TCP_NODELAY"}
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(words, env=environment, capture_output=True, timeout=_CLIENT_SECONDS, check=False)
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise NotMeasured(f"{client} ended with {done.returncode}: {done.stderr[-300:].decode(errors='replace')}")
    return Outcome(
        instances=len(files),
        refused=0,
        size=sum(file.stat().st_size for file in files),
        seconds=seconds,
        sender_cpu_seconds=used.ru_utime + used.ru_stime - spent.ru_utime - spent.ru_stime,
    )


def _check(server: ServerName, folder: Path, cell: Cell, count: int, data: Path) -> None:
    """Hold what the server has in the end against what it was sent; raises NotMeasured."""
    kind = SERVERS[server]
    files = kind.stored(folder)
    expected = count + _WARM_UP
    if len(files) != expected:
        raise NotMeasured(f"{len(files)} files were stored of {expected} instances")
    if kind.recorded is not None and kind.recorded(folder) != expected:
        raise NotMeasured(f"{kind.recorded(folder)} instances were recorded of {expected}")
    if kind.keeps_bytes:
        sent, warm_up = Templates(data / cell.data), Templates(data / DataSetName.MR)
        uids = {_stored_as_sent(file, sent, warm_up) for file in files}
        if len(uids) != expected:
            raise NotMeasured("an instance was stored twice")


def _stored_as_sent(file: Path, sent: Templates, warm_up: Templates) -> str:
    """Compare a stored data set with the one that was sent, byte for byte, and give its UID; raises NotMeasured."""
    meta = read_file_meta_info(file)
    uid = str(meta.MediaStorageSOPInstanceUID)
    templates = warm_up if number_of(uid) >= _WARM_UP_NUMBERS else sent
    begin = _PREAMBLE_AND_GROUP_LENGTH + int(meta.FileMetaInformationGroupLength)
    if file.read_bytes()[begin:] != templates.data_set(uid):
        raise NotMeasured(f"the instance {uid} was not stored as it was sent")
    return uid


def measure_idle(server: ServerName, repetition: int, seconds: float, grounds: Grounds) -> list[IdleMeasurement]:
    """Let a server hold 8 and then 32 associations that say nothing; raises NotMeasured."""
    found = []
    accepted = 0
    folder = grounds.run_folder(Medium.MEMORY, server)
    with running(server, folder, as_shipped=False) as process, ExitStack() as open_ones:
        for asked in _IDLE_ASSOCIATIONS:
            accepted += _open_associations(process, asked - accepted, open_ones)
            settle(process.pid, _IDLE_SETTLE_SECONDS)
            began, spent = time.monotonic(), cpu_seconds(process.pid)
            time.sleep(seconds)
            busy = (cpu_seconds(process.pid) - spent) / (time.monotonic() - began)
            found.append(
                IdleMeasurement(
                    server=server, repetition=repetition, asked=asked, accepted=accepted, cpu_percent=100 * busy
                )
            )
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _open_associations(process: Running, number: int, open_ones: ExitStack) -> int:
    """Open associations until there are so many or the server takes no more; says how many came about."""
    patient = Acceptor(**{**asdict(process.place.acceptor), "patience": _IDLE_PATIENCE})
    for opened in range(number):
        try:
            open_ones.enter_context(AssociationRequestor(patient, _MR_IMAGE))
        except OSError:
            return opened
    return number
