"""TLS with DCMTK, both ways, and with a running node that listens plainly and under TLS."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dicomnode.dimse.reactor import steady
from dicomnode.dimse.sockets import SendingEntity
from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.dimse.tls import ListenerCredentials
from dicomnode.domain.delivery import Endpoint, OutgoingInstance
from dicomnode.domain.door import Cause
from dicomnode.domain.errors import DestinationUnreachable
from dicomnode.domain.peer import Peer
from dicomnode.domain.tls import CallingTls, KeyPair, ListeningTls
from dicomnode.domain.uids import AETitle
from dicomnode.node.clock import SystemClock
from dicomnode.node.settings import DestinationSettings, ListenerSettings, ListenerTlsSettings
from tests.certificates import EXPIRED, Authority
from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN, MR_IMAGE_STORAGE, data_set_of, outgoing, series_in
from tests.dimse.porter import Porter, open_door
from tests.dimse.shelf import Shelf
from tests.nodes import ServingNode, free_port
from tests.peers.conftest import NODE, WITHOUT_DELAY, StartStorescp, Storescp, program
from tests.waiting import wait_for

pytestmark = [pytest.mark.peer, pytest.mark.timeout(200)]

NOBODY = DestinationSettings(name="pacs", ae_title="NOBODY", host="127.0.0.1", port=9)


class Hospital:
    """An authority, the node's pair and a scanner's, and an authority that nobody knows."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "known")
        self.stranger = Authority(folder / "unknown", "somebody")
        self.node = self.authority.pair("node")
        self.scanner = self.authority.pair("scanner")


class Door:
    """A listener under TLS that wants to see a certificate, what it took and whom it turned away."""

    def __init__(self, hospital: Hospital) -> None:
        self.porter: Porter = open_door()
        self.shelf = Shelf()
        tls = ListeningTls(pair=hospital.node, trusted=hospital.authority.trusted)
        listening = Listening(
            host="127.0.0.1",
            port=0,
            ae_title=NODE,
            doorkeeper=self.porter,
            credentials=ListenerCredentials(tls, SystemClock()),
        )
        self.scp = StorageSCP(listening, self.shelf)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(tmp_path_factory.mktemp("hospital"))


@pytest.fixture
def door(hospital: Hospital) -> Iterator[Door]:
    door = Door(hospital)
    door.scp.start()
    yield door
    door.scp.stop()


def _shown(pair: KeyPair, trusted: Path) -> tuple[str, ...]:
    """DCMTK's words for a certificate to show and an authority to believe."""
    return "+tls", str(pair.key), str(pair.certificate), "+cf", str(trusted)


def _storescu(port: int, *words: str, title: str = "SCANNER") -> subprocess.CompletedProcess[str]:
    told = [program("storescu"), "-v", "-xe", "-aet", title, *words]
    return subprocess.run(told, env=WITHOUT_DELAY, capture_output=True, text=True, check=False, timeout=120)


def _send(
    port: int, items: tuple[OutgoingInstance, ...], *words: str, called: str = "NODE", title: str = "SCANNER"
) -> subprocess.CompletedProcess[str]:
    files = [item.file for item in items]
    return _storescu(port, *words, "-aec", called, "127.0.0.1", str(port), *files, title=title)


def test_storescu_stores_under_tls(hospital: Hospital, door: Door, tmp_path: Path) -> None:
    items = series_in(tmp_path)
    sent = _send(door.scp.port, items, *_shown(hospital.scanner, hospital.authority.trusted))
    assert sent.returncode == 0, sent.stderr
    assert [data for _offered, data in door.shelf.accepted] == [data_set_of(item) for item in items]
    assert not door.porter.away


def _foreign(hospital: Hospital) -> tuple[str, ...]:
    return _shown(hospital.stranger.pair("scanner"), hospital.authority.trusted)


def _expired(hospital: Hospital) -> tuple[str, ...]:
    return _shown(hospital.authority.pair("old", EXPIRED), hospital.authority.trusted)


def _anonymous(hospital: Hospital) -> tuple[str, ...]:
    return "+tla", "+cf", str(hospital.authority.trusted)


def _distrustful(hospital: Hospital) -> tuple[str, ...]:
    return _shown(hospital.scanner, hospital.stranger.trusted)


def _retired(hospital: Hospital) -> tuple[str, ...]:
    """The retired profile of PS3.15: CBC suites."""
    return *_shown(hospital.scanner, hospital.authority.trusted), "+pa"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (_foreign, "its certificate is not accepted"),
        (_expired, "its certificate is not accepted: certificate has expired"),
        (_anonymous, "it showed no certificate"),
        (_distrustful, "it does not trust the certificate of this node"),
        (_retired, "it offers no cipher suite that PS3.15 section B.12 allows"),
        (lambda _hospital: (), "what it sent is no TLS"),
    ],
)
def test_storescu_is_kept_out_with_the_reason(
    hospital: Hospital, door: Door, tmp_path: Path, words: object, reason: str
) -> None:
    assert callable(words)
    sent = _send(door.scp.port, series_in(tmp_path, slices=1), *words(hospital))
    assert sent.returncode != 0
    wait_for(lambda: door.porter.away)
    ((visitor, refusal),) = door.porter.away
    assert (visitor.peer_address, refusal.cause) == ("127.0.0.1", Cause.TLS)
    assert reason in refusal.said
    assert not door.shelf.accepted


def _under_tls(storescp: Storescp, tls: CallingTls) -> StorageSCU:
    where = Endpoint(name="pacs", ae_title=AETitle("STORESCP"), host="127.0.0.1", port=storescp.port, tls=tls)
    return StorageSCU(where, NODE)


def test_the_sender_stores_at_storescp_under_tls(
    hospital: Hospital, start_storescp: StartStorescp, tmp_path: Path
) -> None:
    pacs = hospital.authority.pair("pacs")
    storescp = start_storescp(*_shown(pacs, hospital.authority.trusted), "+xe", "--filename-extension", ".dcm")
    items = series_in(tmp_path)
    tls = CallingTls(trusted=hospital.authority.trusted, pair=hospital.node)
    assert all(outcome.stored for outcome in _under_tls(storescp, tls).store(items))
    kept = [outgoing(path) for path in storescp.folder.iterdir()]
    assert {item.sop_instance_uid for item in kept} == {item.sop_instance_uid for item in items}


def test_the_sender_says_why_storescp_and_it_do_not_agree(
    hospital: Hospital, start_storescp: StartStorescp, tmp_path: Path
) -> None:
    storescp = start_storescp(*_shown(hospital.authority.pair("pacs"), hospital.authority.trusted))
    items = series_in(tmp_path, slices=1)
    with pytest.raises(DestinationUnreachable, match="its certificate is not accepted"):
        _under_tls(storescp, CallingTls(trusted=hospital.stranger.trusted, pair=hospital.node)).store(items)
    with pytest.raises(DestinationUnreachable, match="no connection under TLS"):
        _under_tls(storescp, CallingTls(trusted=hospital.authority.trusted)).store(items)
    elsewhere = start_storescp(
        *_shown(hospital.authority.pair("far", hosts=("pacs.example",)), hospital.authority.trusted)
    )
    with pytest.raises(DestinationUnreachable, match="IP address mismatch"):
        _under_tls(elsewhere, CallingTls(trusted=hospital.authority.trusted, pair=hospital.node)).store(items)


class TwoDoors:
    """A running node with a plain listener and one under TLS, whose files are its own."""

    def __init__(self, hospital: Hospital, folder: Path) -> None:
        self.hospital = hospital
        self.tls_port = free_port()
        self.pair = hospital.authority.pair("two-doors")
        tls = ListenerTlsSettings(
            certificate=self.pair.certificate, key=self.pair.key, trusted=hospital.authority.trusted
        )
        listener = ListenerSettings(host="127.0.0.1", port=self.tls_port, tls=tls)
        self.node = ServingNode(folder, NOBODY, unknown_peers="refuse", listeners=(listener,))
        self.shown = _shown(hospital.scanner, hospital.authority.trusted)

    def associate(self) -> Association:
        """Open an association under TLS as the scanner."""
        entity = SendingEntity(ae_title="SCANNER")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
        entity.requested_contexts = [build_context(MR_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN)]
        named = {"ae_title": "DICOMNODE", "tls_args": (self._context(), "127.0.0.1")}
        return steady(entity.associate("127.0.0.1", self.tls_port, **named))  # type: ignore[arg-type]

    def let_the_scanner_in(self) -> bool:
        """Say whether the node knows the scanner by now."""
        association = self.associate()
        was_let_in = association.is_established
        association.release()
        return was_let_in

    def certificate(self) -> bytes:
        """Look at what the node shows."""
        with (
            socket.create_connection(("127.0.0.1", self.tls_port), timeout=20) as plain,
            self._context().wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            return connection.getpeercert(binary_form=True) or b""

    def causes(self) -> set[tuple[Cause, str]]:
        """Look into the ledger: why whom was turned away."""
        return {(one.cause, one.visitor.calling_ae) for one in self.node.refusals()}

    def log(self) -> str:
        return (self.node.folder / "node.log").read_text()

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.hospital.authority.trusted)
        context.load_cert_chain(self.hospital.scanner.certificate, self.hospital.scanner.key)
        return context


@pytest.fixture(scope="module")
def two_doors(hospital: Hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoDoors]:
    doors = TwoDoors(hospital, tmp_path_factory.mktemp("node"))
    doors.node.start()
    try:
        doors.node.know(Peer(ae_title=AETitle("SCANNER"), networks=(ip_network("127.0.0.1"),)))
        doors.node.know(Peer(ae_title=AETitle("ELSEWHERE"), networks=(ip_network("10.1.0.0/16"),)))
        wait_for(doors.let_the_scanner_in)
        yield doors
    finally:
        doors.node.kill()


def test_both_doors_of_a_node_take_what_belongs_to_them(two_doors: TwoDoors, tmp_path: Path) -> None:
    items = series_in(tmp_path)
    plain = _send(two_doors.node.settings.dicom_port, items[:1], called="DICOMNODE")
    assert plain.returncode == 0, plain.stderr
    under_tls = _send(two_doors.tls_port, items[1:], *two_doors.shown, called="DICOMNODE")
    assert under_tls.returncode == 0, under_tls.stderr
    page = httpx.get(f"{two_doors.node.url}/").text
    assert f"Certificate of listener 127.0.0.1:{two_doors.tls_port}" in page
    assert "expires in 36" in page


def test_a_certificate_opens_the_door_only_for_a_peer_at_its_place(two_doors: TwoDoors, tmp_path: Path) -> None:
    items = series_in(tmp_path, slices=1)
    wrong_certificate = _foreign(two_doors.hospital)
    for words, called, title in (
        (two_doors.shown, "NOBODY", "SCANNER"),
        (two_doors.shown, "DICOMNODE", "STRANGER"),
        (two_doors.shown, "DICOMNODE", "ELSEWHERE"),
        (wrong_certificate, "DICOMNODE", "SCANNER"),
    ):
        assert _send(two_doors.tls_port, items, *words, called=called, title=title).returncode != 0
    wait_for(
        lambda: (
            two_doors.causes()
            >= {
                (Cause.CALLED_AE, "SCANNER"),
                (Cause.CALLING_AE, "STRANGER"),
                (Cause.ADDRESS, "ELSEWHERE"),
                (Cause.TLS, ""),
            }
        )
    )
    assert "Traceback" not in two_doors.log()


def test_new_certificates_come_into_use_while_an_association_is_open(two_doors: TwoDoors, tmp_path: Path) -> None:
    items = series_in(tmp_path, slices=4)
    association = two_doors.associate()
    assert association.send_c_store(Path(items[0].file)).get("Status") == 0
    before, new = two_doors.certificate(), two_doors.hospital.authority.pair("renewed")
    shutil.copy(new.certificate, two_doors.pair.certificate)
    assert two_doors.certificate() == before
    shutil.copy(new.key, two_doors.pair.key)
    renewed = ssl.PEM_cert_to_DER_cert(new.certificate.read_text())
    # Each receiver process looks for itself.
    assert {two_doors.certificate() for _ in range(8)} == {renewed}
    os.kill(two_doors.node.pid, signal.SIGHUP)
    wait_for(lambda: two_doors.log().count("certificate of listener") > 1)
    assert [association.send_c_store(Path(item.file)).get("Status") for item in items[1:]] == [0, 0, 0]
    association.release()
    sent = _send(two_doors.tls_port, items, *two_doors.shown, called="DICOMNODE")
    assert sent.returncode == 0, sent.stderr
    assert "does not belong to the certificate" in two_doors.log()


def test_a_node_whose_certificate_expired_says_so_and_does_not_start(hospital: Hospital, tmp_path: Path) -> None:
    late = hospital.authority.pair("late", EXPIRED)
    tls = ListenerTlsSettings(certificate=late.certificate, key=late.key, trusted=hospital.authority.trusted)
    node = ServingNode(tmp_path, NOBODY, listeners=(ListenerSettings(host="127.0.0.1", port=free_port(), tls=tls),))
    with pytest.raises(AssertionError, match=r"late\.pem\s+expired on"):
        node.start()
