"""A PACS for the demo: a real Orthanc where it is installed, else the node's own receiving and web roles stand in."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dicomnode.node.settings import DestinationSettings, Role, Settings, as_environment
from dicomnode.node.web_settings import LoginMode

_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_DICOM_PORT, _HTTP_PORT = 4242, 8042
SERVE = [sys.executable, "-m", "dicomnode.node.cli", "serve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Two free TCP ports on loopback."""

    dicom: int
    http: int


class DemoPacs:
    """A running PACS that only this machine can reach."""

    def __init__(self, kind: str, destination: DestinationSettings, processes: list[subprocess.Popen[bytes]]) -> None:
        self.kind = kind
        self.destination = destination
        self._processes = processes

    def stop(self) -> None:
        """End the PACS with everything that was started for it."""
        for process in reversed(self._processes):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def orthanc_obstacle() -> str | None:
    """Say why Orthanc cannot be the demo's PACS here; None when it can."""
    lacking = [name for name in ("Orthanc", "socat", "unshare", "ip") if shutil.which(name) is None]
    if lacking or not _PLUGIN.is_file():
        return f"not installed: {', '.join([*lacking, *([] if _PLUGIN.is_file() else ['orthanc-dicomweb'])])}"
    tried = subprocess.run([*_isolation(), "true"], capture_output=True, check=False)  # noqa: S603  fixed words
    return None if tried.returncode == 0 else "this user may not create a network namespace"


def start_pacs(folder: Path, ports: Ports) -> DemoPacs:
    """Start the best PACS this host has."""
    folder.mkdir(parents=True, exist_ok=True)
    return _start_orthanc(folder, ports) if orthanc_obstacle() is None else _start_stand_in(folder, ports)


def _isolation() -> list[str]:
    """Give the words that run a program in a network of its own; a user other than root needs a user namespace too."""
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]


def _start_orthanc(folder: Path, ports: Ports) -> DemoPacs:
    """Start Orthanc in a network namespace of its own, with a relay from loopback.

    Orthanc listens on every address and has no setting against it; sockets in the file system cross the namespace.
    """
    config = folder / "orthanc.json"
    config.write_text(json.dumps(_orthanc_configuration(folder), indent=1))
    dicom, http = folder / "dicom.sock", folder / "http.sock"
    for stale in (dicom, http):
        stale.unlink(missing_ok=True)
    inside = (
        "ip link set lo up; "
        f"socat UNIX-LISTEN:{dicom},fork TCP4:127.0.0.1:{_DICOM_PORT},nodelay & "
        f"socat UNIX-LISTEN:{http},fork TCP4:127.0.0.1:{_HTTP_PORT},nodelay & "
        f"exec Orthanc {config}"
    )
    processes = [spawn([*_isolation(), "sh", "-c", inside], folder / "orthanc.log", {"TCP_NODELAY": "1"})]
    for port, address in ((ports.dicom, dicom), (ports.http, http)):
        listen = f"TCP4-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay"
        processes.append(
            spawn(["socat", listen, f"UNIX-CONNECT:{address},retry=50,interval=0.2"], folder / "relay.log")
        )
    destination = DestinationSettings(
        name="pacs",
        ae_title="ORTHANC",
        host="127.0.0.1",
        port=ports.dicom,
        dicomweb_url=f"http://127.0.0.1:{ports.http}/dicom-web",
    )
    return DemoPacs("Orthanc", destination, processes)


def _orthanc_configuration(folder: Path) -> Mapping[str, object]:
    return {
        "Name": "DEMO-PACS",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "Plugins": [str(_PLUGIN)],
        "HttpPort": _HTTP_PORT,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": _DICOM_PORT,
        "OverwriteInstances": True,
        "UnknownSopClassAccepted": True,
        "SyncStorageArea": False,
        # Orthanc 1.10 does not know the attribute that marks synthetic data and could not be asked for it.
        "Dictionary": {"0008,001c": ["CS", "SyntheticData", 1, 1, ""]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
    }


def _start_stand_in(folder: Path, ports: Ports) -> DemoPacs:
    """Start a second node that only receives and shows."""
    settings = Settings(
        data=folder / "var",
        roles=(Role.RECEIVE, Role.WEB),
        ae_title="ARCHIVE",
        dicom_port=ports.dicom,
        web_port=ports.http,
        login=LoginMode.OFF,
    )
    destination = DestinationSettings(
        name="pacs",
        ae_title="ARCHIVE",
        host="127.0.0.1",
        port=ports.dicom,
        dicomweb_url=f"http://127.0.0.1:{ports.http}/dicom-web",
    )
    process = spawn(SERVE, folder / "archive.log", as_environment(settings))
    return DemoPacs("dicomnode as archive", destination, [process])


def spawn(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own, its output in a file."""
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603  words of our own
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
