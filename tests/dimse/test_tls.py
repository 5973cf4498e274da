"""TLS at the listener and at the sender: who gets through, who does not and in which words, and new certificates."""

import logging
import shutil
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pynetdicom.association import Association
from pynetdicom.presentation import build_context

from dicomnode.dimse import listener
from dicomnode.dimse.presentation import VERIFICATION
from dicomnode.dimse.reactor import steady
from dicomnode.dimse.sockets import SendingEntity
from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.dimse.tls import ListenerCredentials
from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.door import Cause
from dicomnode.domain.errors import DestinationUnreachable, InvalidSettings
from dicomnode.domain.tls import CallingTls, ClientCertificate, KeyPair, ListeningTls
from dicomnode.domain.uids import AETitle
from dicomnode.node.clock import SystemClock
from tests.certificates import DAY, EXPIRED, NOT_YET, Authority, Validity
from tests.dimse.conftest import NODE
from tests.dimse.instances import EXPLICIT_LITTLE_ENDIAN, MR_IMAGE_STORAGE, data_set_of, opaque_file
from tests.dimse.porter import Porter, open_door
from tests.dimse.shelf import Shelf
from tests.dimse.wire import ACCEPTED, association_request, read_pdu
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def only_our_own_log(caplog: pytest.LogCaptureFixture) -> None:
    """Failed associations are told by pynetdicom as errors; they are expected here."""
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")
    caplog.handler.setLevel(logging.NOTSET)


class Hospital:
    """An authority, the node's pair and a peer's, and an authority that nobody knows."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "known")
        self.stranger = Authority(folder / "unknown", "somebody")
        self.node = self.authority.pair("node")
        self.peer = self.authority.pair("peer")

    @property
    def listening(self) -> ListeningTls:
        return ListeningTls(pair=self.node, trusted=self.authority.trusted)

    @property
    def calling(self) -> CallingTls:
        return CallingTls(trusted=self.authority.trusted, pair=self.peer)


class Door:
    """A running listener under TLS, with what it took and whom it turned away."""

    def __init__(self, tls: ListeningTls, idle_seconds: float = 20) -> None:
        self.porter: Porter = open_door()
        self.shelf = Shelf()
        listening = Listening(
            host="127.0.0.1",
            port=0,
            ae_title=NODE,
            doorkeeper=self.porter,
            idle_seconds=idle_seconds,
            credentials=ListenerCredentials(tls, SystemClock()),
        )
        self.scp = StorageSCP(listening, self.shelf)
        self.scp.start()

    @property
    def port(self) -> int:
        return self.scp.port

    def said(self) -> str:
        """Wait for somebody to be turned away because of TLS, and give the words."""
        wait_for(lambda: self.porter.away)
        ((visitor, refusal),) = self.porter.away
        assert (visitor.peer_address, visitor.calling_ae, refusal.cause) == ("127.0.0.1", "", Cause.TLS)
        return refusal.said


@contextmanager
def _open(tls: ListeningTls, idle_seconds: float = 20) -> Iterator[Door]:
    door = Door(tls, idle_seconds)
    try:
        yield door
    finally:
        door.scp.stop()


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    return Hospital(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="module")
def lasting_door(hospital: Hospital) -> Iterator[Door]:
    with _open(hospital.listening) as door:
        yield door


@pytest.fixture
def door(lasting_door: Door) -> Door:
    """A listener that wants to see a certificate."""
    lasting_door.porter.clear()
    lasting_door.shelf.clear()
    return lasting_door


def _endpoint(port: int, tls: CallingTls | None, host: str = "127.0.0.1") -> Endpoint:
    return Endpoint(name="node", ae_title=NODE, host=host, port=port, tls=tls)


def _echo(port: int, tls: CallingTls | None, host: str = "127.0.0.1", timeout: float = 10) -> None:
    VerificationSCU(AETitle("SCANNER"), timeout).echo(_endpoint(port, tls, host))


def _client(hospital: Hospital, pair: KeyPair | None) -> ssl.SSLContext:
    """A foreign client that believes the node."""
    context = ssl.create_default_context(cafile=hospital.authority.trusted)
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def _associate(port: int, context: ssl.SSLContext) -> Association:
    entity = SendingEntity(ae_title="SCANNER")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    entity.requested_contexts = [build_context(MR_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN), build_context(VERIFICATION)]
    return steady(entity.associate("127.0.0.1", port, ae_title="NODE", tls_args=(context, "127.0.0.1")))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_whoever_shows_a_trusted_certificate_stores_byte_for_byte(
    hospital: Hospital, door: Door, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = _client(hospital, hospital.peer)
    context.minimum_version = context.maximum_version = version
    items = [opaque_file(tmp_path, "small", size=7), opaque_file(tmp_path, "large", size=1_500_000)]
    association = _associate(door.port, context)
    assert [association.send_c_store(Path(item.file)).get("Status") for item in items] == [0, 0]
    assert association.send_c_echo().get("Status") == 0
    association.release()
    assert [data for _offered, data in door.shelf.accepted] == [data_set_of(item) for item in items]
    assert not door.porter.away


def test_several_store_at_once_over_several_associations(hospital: Hospital, door: Door, tmp_path: Path) -> None:
    items = [tuple(opaque_file(tmp_path, f"{one}-{n}", size=300_000) for n in range(5)) for one in range(4)]
    senders = [StorageSCU(_endpoint(door.port, hospital.calling), AETitle("SCANNER")) for _ in items]
    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda sender, some: sender.store(some), senders, items))
    assert all(outcome.stored for some in outcomes for outcome in some)
    sent = {item.sop_instance_uid: data_set_of(item) for some in items for item in some}
    assert {offered.sop_instance_uid: data for offered, data in door.shelf.accepted} == sent


def test_a_request_that_comes_in_single_bytes_is_answered(hospital: Hospital, door: Door) -> None:
    """Each is a TLS record of its own."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=20) as plain:
        context = _client(hospital, hospital.peer)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            for letter in association_request():
                connection.sendall(bytes((letter,)))
            assert read_pdu(connection)[0] == ACCEPTED


def _foreign(hospital: Hospital) -> ssl.SSLContext:
    return _client(hospital, hospital.stranger.pair("peer"))


def _expired(hospital: Hospital) -> ssl.SSLContext:
    return _client(hospital, hospital.authority.pair("expired", EXPIRED))


def _not_yet(hospital: Hospital) -> ssl.SSLContext:
    return _client(hospital, hospital.authority.pair("not-yet", NOT_YET))


def _without(hospital: Hospital) -> ssl.SSLContext:
    return _client(hospital, None)


def _distrustful(hospital: Hospital) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=hospital.stranger.trusted)


def _weak(hospital: Hospital) -> ssl.SSLContext:
    context = _client(hospital, hospital.peer)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-SHA256:AES128-GCM-SHA256")
    return context


def _old(hospital: Hospital) -> ssl.SSLContext:
    context = _client(hospital, hospital.peer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize(
    ("client", "words"),
    [
        (_foreign, "its certificate is not accepted: unable to get local issuer certificate"),
        (_expired, "its certificate is not accepted: certificate has expired"),
        (_not_yet, "its certificate is not accepted: certificate is not yet valid"),
        (_without, "it showed no certificate"),
        (_distrustful, "it does not trust the certificate of this node"),
        (_weak, "it offers no cipher suite that PS3.15 section B.12 allows"),
        (_old, "it speaks no version of TLS from 1.2 on"),
    ],
)
def test_who_does_not_get_through_is_remembered_with_the_reason(
    hospital: Hospital,
    door: Door,
    caplog: pytest.LogCaptureFixture,
    client: Callable[[Hospital], ssl.SSLContext],
    words: str,
) -> None:
    assert not _associate(door.port, client(hospital)).is_established
    assert words in door.said()
    assert not door.porter.inside
    assert [record.exc_info for record in caplog.records] == [None]
    _echo(door.port, hospital.calling)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (association_request(), "what it sent is no TLS"),
        (b"GET / HTTP/1.1\r\nHost: node\r\n\r\n", "what it sent is no TLS but HTTP"),
        (b"\x16\x03\x01", "it hung up during the TLS handshake"),
    ],
)
def test_who_speaks_no_tls_is_remembered(
    door: Door, capfd: pytest.CaptureFixture[str], first: bytes, words: str
) -> None:
    with socket.create_connection(("127.0.0.1", door.port)) as connection:
        connection.sendall(first)
        connection.shutdown(socket.SHUT_WR)
        # Somebody whom an earlier test sent away may still be on the list.
        assert wait_for(lambda: f"TLS: {words}" in [refusal.said for _visitor, refusal in door.porter.away])
    assert "Traceback" not in capfd.readouterr().err


def test_the_refused_peer_hears_why_although_it_had_already_sent_more(hospital: Hospital, door: Door) -> None:
    """With TLS 1.3 a client speaks before the node has looked at its certificate; a reset would swallow the alert."""
    context = _client(hospital, None)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with (
        socket.create_connection(("127.0.0.1", door.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(association_request() * 20)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
            connection.recv(1)


def test_who_only_looks_at_the_port_is_no_refusal(door: Door) -> None:
    before = threading.active_count()
    with socket.create_connection(("127.0.0.1", door.port)):
        pass
    wait_for(lambda: threading.active_count() <= before)
    assert not door.porter.away


def test_a_silent_peer_delays_nobody_and_is_put_out_in_time(hospital: Hospital) -> None:
    with _open(hospital.listening, idle_seconds=1.5) as door:
        silent = [socket.create_connection(("127.0.0.1", door.port), timeout=20) for _ in range(3)]
        begun = time.monotonic()
        _echo(door.port, hospital.calling)
        assert time.monotonic() - begun < 1
        assert [connection.recv(1) for connection in silent] == [b"", b"", b""]
        for connection in silent:
            connection.close()
        wait_for(lambda: len(door.porter.away) == 3)
        assert {(refusal.cause, refusal.said) for _visitor, refusal in door.porter.away} == {
            (Cause.SILENCE, "it did not finish the TLS handshake within 1.5 s")
        }


def test_so_many_handshakes_are_under_way_at_a_time(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_MOST_SHAKING", 2)
    with _open(hospital.listening) as door:
        silent = [socket.create_connection(("127.0.0.1", door.port), timeout=20) for _ in range(2)]
        server = door.scp._server
        assert server is not None
        wait_for(lambda: len(server._shaking) == 2)
        wait_for(lambda: _is_turned_away(door))
        assert {(refusal.cause, refusal.said) for _visitor, refusal in door.porter.away} == {
            (Cause.LIMIT, "2 connections are in the middle of their TLS handshake")
        }
        for connection in silent:
            connection.close()
        wait_for(lambda: not _is_turned_away(door))
        _echo(door.port, hospital.calling)


def _is_turned_away(door: Door) -> bool:
    """Whether one more connection is ended before it says anything."""
    with socket.create_connection(("127.0.0.1", door.port), timeout=0.5) as connection:
        try:
            return connection.recv(1) == b""
        except TimeoutError:
            return False


def test_a_peer_that_shakes_hands_and_asks_for_nothing_is_put_out_in_time(hospital: Hospital) -> None:
    with (
        _open(hospital.listening, idle_seconds=1) as door,
        socket.create_connection(("127.0.0.1", door.port), timeout=20) as plain,
        _client(hospital, hospital.peer).wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        assert connection.recv(1) == b""
        wait_for(lambda: door.porter.away)
        ((_visitor, refusal),) = door.porter.away
        assert refusal.cause is Cause.SILENCE


def test_the_listener_stops_while_somebody_is_silent(hospital: Hospital) -> None:
    with _open(hospital.listening, idle_seconds=60) as door:
        silent = socket.create_connection(("127.0.0.1", door.port), timeout=20)
        time.sleep(0.2)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert silent.recv(1) == b""
    silent.close()


@pytest.mark.parametrize("asked", [ClientCertificate.OPTIONAL, ClientCertificate.NONE])
def test_a_listener_may_do_without_a_certificate(hospital: Hospital, asked: ClientCertificate) -> None:
    with _open(replace(hospital.listening, client_certificate=asked)) as door:
        _echo(door.port, replace(hospital.calling, pair=None))
        _echo(door.port, hospital.calling)
        assert not door.porter.away


def test_who_shows_a_wrong_certificate_stays_out_where_none_is_needed(hospital: Hospital) -> None:
    with _open(replace(hospital.listening, client_certificate=ClientCertificate.OPTIONAL)) as door:
        assert not _associate(door.port, _foreign(hospital)).is_established
        assert "its certificate is not accepted" in door.said()


def _replace(pair: KeyPair, by: KeyPair) -> None:
    """Put other files in the place of those of a pair."""
    shutil.copy(by.certificate, pair.certificate)
    shutil.copy(by.key, pair.key)


def _shown(port: int, hospital: Hospital) -> bytes:
    """Fetch the certificate that a listener shows."""
    context = _client(hospital, hospital.peer)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        return connection.getpeercert(binary_form=True) or b""


def _der(pair: KeyPair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())


def test_new_files_serve_the_next_connection_and_open_associations_go_on(hospital: Hospital, tmp_path: Path) -> None:
    used = hospital.authority.pair("used")
    with _open(replace(hospital.listening, pair=used)) as door:
        before = _associate(door.port, _client(hospital, hospital.peer))
        item, large = opaque_file(tmp_path, "before"), opaque_file(tmp_path, "after", size=400_000)
        assert before.send_c_store(Path(item.file)).get("Status") == 0
        first = _der(used)
        assert _shown(door.port, hospital) == first
        _replace(used, hospital.authority.pair("new"))
        assert _shown(door.port, hospital) == _der(used) != first
        assert before.send_c_store(Path(large.file)).get("Status") == 0
        before.release()
        assert [data for _offered, data in door.shelf.accepted] == [data_set_of(item), data_set_of(large)]


def test_files_that_do_not_fit_change_nothing_until_they_do(
    hospital: Hospital, caplog: pytest.LogCaptureFixture
) -> None:
    """An administrator copies one file after the other."""
    used, new = hospital.authority.pair("in-use"), hospital.authority.pair("newer")
    with _open(replace(hospital.listening, pair=used)) as door:
        first = _der(used)
        shutil.copy(new.certificate, used.certificate)
        assert _shown(door.port, hospital) == first
        assert _shown(door.port, hospital) == first
        warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warned) == 1
        assert "does not belong to the certificate" in warned[0]
        shutil.copy(new.key, used.key)
        assert _shown(door.port, hospital) == _der(new)


def test_an_authority_that_is_no_longer_trusted_ends_what_was_allowed(hospital: Hospital, tmp_path: Path) -> None:
    trusted = tmp_path / "trusted.pem"
    shutil.copy(hospital.authority.trusted, trusted)
    with _open(replace(hospital.listening, trusted=trusted)) as door:
        _echo(door.port, hospital.calling)
        shutil.copy(hospital.stranger.trusted, trusted)
        with pytest.raises(DestinationUnreachable):
            _echo(door.port, hospital.calling)


def _lost(pair: KeyPair) -> KeyPair:
    return replace(pair, certificate=pair.certificate.with_name("gone.pem"))


def _crossed(hospital: Hospital) -> KeyPair:
    return KeyPair(certificate=hospital.node.certificate, key=hospital.peer.key)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (lambda hospital: _lost(hospital.node), r"gone.pem of TLS cannot be read \(No such file or directory\)"),
        (_crossed, r"the key .*peer.key does not belong to the certificate .*node.pem"),
        (lambda hospital: hospital.authority.pair("past", EXPIRED), r"past.pem expired on \d{4}-\d\d-\d\d"),
        (lambda hospital: hospital.authority.pair("future", NOT_YET), "future.pem is valid only from"),
        (lambda hospital: hospital.authority.pair("locked", passphrase=b"secret"), "under a passphrase"),
        (lambda hospital: KeyPair(certificate=hospital.node.key, key=hospital.node.key), "no certificate in PEM"),
        (lambda hospital: replace(hospital.node, key=hospital.node.certificate), "no private key in PEM"),
    ],
)
def test_files_of_no_use_are_refused_at_the_start(
    hospital: Hospital, pair: Callable[[Hospital], KeyPair], words: str
) -> None:
    with pytest.raises(InvalidSettings, match=words):
        ListenerCredentials(replace(hospital.listening, pair=pair(hospital)), SystemClock())


def test_an_authority_that_is_none_is_refused_at_the_start(hospital: Hospital) -> None:
    with pytest.raises(InvalidSettings, match=r"node\.key holds no certificate in PEM"):
        ListenerCredentials(replace(hospital.listening, trusted=hospital.node.key), SystemClock())


@pytest.mark.parametrize(
    ("calling", "words"),
    [
        (
            lambda hospital: replace(hospital.calling, trusted=hospital.stranger.trusted),
            "its certificate is not accepted: self-signed certificate in certificate chain",
        ),
        (lambda hospital: replace(hospital.calling, pair=None), "it wants to see a certificate of this node"),
        (
            lambda hospital: replace(hospital.calling, pair=hospital.stranger.pair("nobody")),
            "it does not trust the certificate of this node",
        ),
        (
            lambda hospital: replace(hospital.calling, pair=_lost(hospital.peer)),
            "TLS cannot begin: the file .*gone.pem",
        ),
    ],
)
def test_the_sender_says_why_it_got_no_connection(
    hospital: Hospital, door: Door, calling: Callable[[Hospital], CallingTls], words: str
) -> None:
    with pytest.raises(DestinationUnreachable, match=words):
        _echo(door.port, calling(hospital))


def test_the_sender_wants_the_certificate_to_name_the_host(hospital: Hospital) -> None:
    elsewhere = hospital.authority.pair("elsewhere", hosts=("pacs.example",))
    with _open(replace(hospital.listening, pair=elsewhere)) as door:
        with pytest.raises(DestinationUnreachable, match="IP address mismatch, certificate is not valid"):
            _echo(door.port, hospital.calling)
        _echo(door.port, replace(hospital.calling, check_host_name=False))


def test_a_name_in_the_certificate_is_enough(hospital: Hospital) -> None:
    with _open(replace(hospital.listening, pair=hospital.authority.pair("named", hosts=("localhost",)))) as door:
        _echo(door.port, hospital.calling, host="localhost")


def test_the_sender_says_that_a_plain_listener_speaks_no_tls(hospital: Hospital, scp: StorageSCP) -> None:
    with pytest.raises(DestinationUnreachable, match="no connection under TLS"):
        _echo(scp.port, hospital.calling)


def test_the_sender_does_not_wait_for_ever_for_a_handshake(hospital: Hospital) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(DestinationUnreachable, match="it did not finish the TLS handshake in time"),
    ):
        _echo(server.getsockname()[1], hospital.calling, timeout=0.5)


def test_a_port_where_nobody_listens_is_told_as_without_tls(hospital: Hospital) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DestinationUnreachable, match=r"does not answer at 127\.0\.0\.1"):
        _echo(port, hospital.calling)


def test_a_certificate_that_expires_soon_still_serves(hospital: Hospital) -> None:
    short = hospital.authority.pair("short", Validity(ends=DAY))
    with _open(replace(hospital.listening, pair=short)) as door:
        _echo(door.port, hospital.calling)
