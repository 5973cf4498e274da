"""Foreign DICOM programs: they listen on every address, so they only start in a network of the tests' own."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.door import Door, UnknownPeers
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from tests.absence import absent
from tests.dimse.porter import Porter
from tests.dimse.shelf import Shelf
from tests.waiting import wait_for

NODE = AETitle("NODE")
WITHOUT_DELAY = {**os.environ, "TCP_NODELAY": "1"}
"""DCMTK, and Orthanc upon it, hold small messages back unless told not to: 44 ms for each instance."""
_DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def program(name: str) -> str:
    """Find a foreign program."""
    found = shutil.which(name)
    if found is None:
        absent(f"the program {name} is not installed")
    return found


def free_port() -> int:
    """Ask the kernel for a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def own_network() -> None:
    """A network namespace in which programs may listen on every address, because nobody else is in it."""
    if os.environ.get("DICOMNODE_TEST_NAMESPACE") != "1":
        absent("foreign listeners need a network of their own: unshare -n, and DICOMNODE_TEST_NAMESPACE=1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orthanc:
    """A running Orthanc: where it takes C-STORE, and where its REST and DICOMweb interfaces are."""

    aet: str
    dicom_port: int
    url: str

    @property
    def dicomweb_url(self) -> str:
        return f"{self.url}/dicom-web"

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(
            name="orthanc",
            ae_title=AETitle(self.aet),
            host="127.0.0.1",
            port=self.dicom_port,
            dicomweb_url=self.dicomweb_url,
        )

    def sop_instance_uids(self) -> set[str]:
        """Ask which instances it holds."""
        held = httpx.get(f"{self.url}/instances", params={"expand": ""}).raise_for_status().json()
        return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in held}

    def file(self, sop_instance_uid: str) -> bytes:
        """Fetch the file of an instance as Orthanc keeps it."""
        (name,) = httpx.post(f"{self.url}/tools/lookup", content=sop_instance_uid).raise_for_status().json()
        return httpx.get(f"{self.url}/instances/{name['ID']}/file").raise_for_status().content

    def forget_everything(self) -> None:
        """Delete all patients."""
        for patient in httpx.get(f"{self.url}/patients").raise_for_status().json():
            httpx.delete(f"{self.url}/patients/{patient}").raise_for_status()


@pytest.fixture(scope="session")
def lasting_orthanc(own_network: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    server = program("Orthanc")
    if not _DICOMWEB_PLUGIN.is_file():
        absent("Orthanc's DICOMweb plug-in is not installed")
    folder = tmp_path_factory.mktemp("orthanc")
    orthanc = _orthanc_on_free_ports()
    configuration = folder / "orthanc.json"
    configuration.write_text(json.dumps(_configuration(orthanc, folder)))
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([server, str(configuration)], stdout=log, stderr=log, env=WITHOUT_DELAY) as process,
    ):
        wait_for(lambda: _answers(orthanc.url, process))
        yield orthanc
        process.terminate()


@pytest.fixture
def orthanc(lasting_orthanc: Orthanc) -> Orthanc:
    """An empty Orthanc."""
    lasting_orthanc.forget_everything()
    return lasting_orthanc


def _orthanc_on_free_ports() -> Orthanc:
    return Orthanc(aet="ORTHANC", dicom_port=free_port(), url=f"http://127.0.0.1:{free_port()}")


def _configuration(orthanc: Orthanc, folder: Path) -> dict[str, object]:
    return {
        "Name": "peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(_DICOMWEB_PLUGIN)],
        "HttpPort": httpx.URL(orthanc.url).port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": orthanc.aet,
        "DicomPort": orthanc.dicom_port,
        "DicomCheckCalledAet": True,
        "OverwriteInstances": True,
        "StableAge": 1,
        "UnknownSopClassAccepted": True,
        # Orthanc's DCMTK is older than Synthetic Data (0008,001C); without a name it can neither show nor match it.
        "Dictionary": {"0008,001c": ["CS", "SyntheticData", 1, 1, ""]},
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
    }


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "Orthanc ended at once"
    try:
        return httpx.get(f"{url}/system").is_success
    except httpx.TransportError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Storescp:
    """A running storescp of DCMTK, and the folder it writes to."""

    port: int
    folder: Path

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(name="storescp", ae_title=AETitle("STORESCP"), host="127.0.0.1", port=self.port)


StartStorescp = Callable[..., Storescp]


@pytest.fixture
def start_storescp(own_network: None, tmp_path: Path) -> Iterator[StartStorescp]:
    """Start DCMTK listeners with options of the test's choice; all end with the test."""
    listener = program("storescp")
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str) -> Storescp:
        folder = tmp_path / f"storescp-{len(started)}"
        folder.mkdir()
        port = free_port()
        words = [listener, *options, "--output-directory", str(folder), str(port)]
        started.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=WITHOUT_DELAY))
        wait_for(lambda: _listens(port))
        return Storescp(port=port, folder=folder)

    yield start
    for process in started:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def scp(shelf: Shelf) -> Iterator[StorageSCP]:
    """The node's listener, on loopback: foreign senders need no network of their own."""
    titles = [AETitle(title) for title in ("STORESCU", "DCMSEND", "ECHOSCU")]
    peers = {title: Peer(ae_title=title) for title in titles}
    porter = Porter(Door(called_ae=(NODE,), peers=peers, unknown_peers=UnknownPeers.REFUSE))
    scp = StorageSCP(Listening(host="127.0.0.1", port=0, ae_title=NODE, doorkeeper=porter), shelf)
    scp.start()
    yield scp
    scp.stop()
