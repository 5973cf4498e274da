"""The servers that are compared: how each is started, and what each has in its folder in the end."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.bench.association import Acceptor, AssociationRequestor
from deploy.bench.plan import ServerName

ROOT = Path(__file__).parents[2]
AE_TITLE = "BENCHSCP"
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_START_SECONDS, _END_SECONDS = 60.0, 20.0
_LAST_LINES = 2
_UNHELD = {"TCP_NODELAY": "1"}
"""DCMTK, and Orthanc upon it, hold small messages back unless told not to."""
_FOREIGN_PROGRAMS = ("storescp", "storescu", "dcmsend", "Orthanc")


class NotMeasured(Exception):
    """Something kept a measurement from being one; the reason says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one server works: its port on loopback, and an empty folder of its own."""

    port: int
    folder: Path

    @property
    def acceptor(self) -> Acceptor:
        """How a sender calls it."""
        return Acceptor(host="127.0.0.1", port=self.port, ae_title=AE_TITLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One way to receive: its command line, what it needs in its environment, and the files it should end up with."""

    command: Callable[[Place], list[str]]
    stored: Callable[[Path], list[Path]]
    environment: Callable[[Place], Mapping[str, str]] = lambda _place: {}
    keeps_bytes: bool = False
    """Whether the data set on disk is, byte for byte, the one that was sent."""
    recorded: Callable[[Path], int] | None = None
    """How many instances its database has, where it is ours to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that takes associations: its process and its place."""

    pid: int
    place: Place


def program(name: str) -> str:
    """Find a foreign program; raises NotMeasured."""
    found = shutil.which(name)
    if found is None:
        raise NotMeasured(f"the program {name} is not installed")
    return found


def missing_programs() -> list[str]:
    """List the foreign programs that are not installed."""
    return [name for name in _FOREIGN_PROGRAMS if shutil.which(name) is None]


@contextmanager
def running(name: ServerName, folder: Path, *, as_shipped: bool) -> Iterator[Running]:
    """Start a server in a folder of its own, and end it with everything it started; raises NotMeasured."""
    folder.mkdir(parents=True)
    place = Place(port=_free_port(), folder=folder)
    server = SERVERS[name]
    environment = {key: value for key, value in os.environ.items() if key not in _UNHELD}
    environment |= {} if as_shipped else _UNHELD
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            server.command(place),
            cwd=ROOT,
            env={**environment, **server.environment(place)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_association(process, place)
        yield Running(pid=process.pid, place=place)
    finally:
        _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_association(process: subprocess.Popen[bytes], place: Place) -> None:
    """Wait until the server takes an association."""
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise NotMeasured(f"the server ended at once: {_last_words(place)}")
        try:
            with AssociationRequestor(place.acceptor, _MR_IMAGE):
                return
        except OSError:
            time.sleep(0.1)
    raise NotMeasured(f"the server took no association in {_START_SECONDS:.0f} s: {_last_words(place)}")


def _last_words(place: Place) -> str:
    """Give the last lines of a server's log that say something."""
    lines = [line.strip() for line in (place.folder / "log").read_text(errors="replace").splitlines()]
    return " / ".join([line for line in lines if any(map(str.isalnum, line))][-_LAST_LINES:])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and whatever it started, by its own process group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _node_environment(place: Place, receivers: int) -> dict[str, str]:
    return {
        "DICOMNODE_DATA": str(place.folder / "var"),
        "DICOMNODE_ROLES": '["receive"]',
        "DICOMNODE_AE_TITLE": AE_TITLE,
        "DICOMNODE_DICOM_PORT": str(place.port),
        "DICOMNODE_RECEIVERS": str(receivers),
    }


def _recorded_by_node(folder: Path) -> int:
    with sqlite3.connect(f"file:{folder / 'var' / 'ledger.db'}?mode=ro", uri=True) as ledger:
        ((count,),) = ledger.execute("select count(*) from instance").fetchall()
    return int(count)


def _node(receivers: int) -> Server:
    return Server(
        command=lambda _place: [sys.executable, "-m", "dicomnode.node.cli", "serve"],
        environment=lambda place: _node_environment(place, receivers),
        stored=lambda folder: _files(folder / "var" / "spool" / "instances"),
        keeps_bytes=True,
        recorded=_recorded_by_node,
    )


def _listener(processes: int) -> Server:
    return Server(
        command=lambda place: [
            *(sys.executable, "-m", "deploy.bench.listener"),
            *(str(place.port), str(_received(place)), str(processes)),
        ],
        stored=lambda folder: _files(folder / "received"),
        keeps_bytes=True,
    )


def _storescp(*options: str) -> Server:
    return Server(
        command=lambda place: [
            *(program("storescp"), *options, "-pdu", "131072"),
            *("--output-directory", str(_received(place)), str(place.port)),
        ],
        stored=lambda folder: _files(folder / "received"),
    )


def _orthanc_command(place: Place) -> list[str]:
    """Configure Orthanc as it comes, but for what a benchmark of its DICOM port needs."""
    configuration = {
        "StorageDirectory": str(_received(place)),
        "IndexDirectory": str(place.folder / "index"),
        "DicomAet": AE_TITLE,
        "DicomPort": place.port,
        "DicomAlwaysAllowStore": True,
        "MaximumPduLength": 131072,
        "HttpServerEnabled": False,
        "Plugins": [],
    }
    file = place.folder / "orthanc.json"
    file.write_text(json.dumps(configuration))
    return [program("Orthanc"), str(file)]


def _pynetdicom_command(place: Place) -> list[str]:
    options = ("--quiet", "-ba", "127.0.0.1", "--output-directory", str(_received(place)))
    return [sys.executable, "-m", "pynetdicom", "storescp", *options, str(place.port)]


def _received(place: Place) -> Path:
    folder = place.folder / "received"
    folder.mkdir()
    return folder


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


SERVERS: Mapping[ServerName, Server] = {
    ServerName.NODE: _node(1),
    ServerName.NODE_2: _node(2),
    ServerName.LISTENER: _listener(1),
    ServerName.LISTENER_2: _listener(2),
    ServerName.STORESCP: _storescp(),
    ServerName.STORESCP_FORK: _storescp("--fork"),
    ServerName.ORTHANC: Server(command=_orthanc_command, stored=lambda folder: _files(folder / "received")),
    ServerName.PYNETDICOM: Server(command=_pynetdicom_command, stored=lambda folder: _files(folder / "received")),
}
