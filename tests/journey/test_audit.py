"""The audit trail: one viewing is one line, and no line is lost on its way out."""

import socket
import socketserver
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.domain.account import LOCAL_VISITOR, Visitor
from dicomnode.domain.audit import AuditAction, AuditEvent, SyslogTransport
from dicomnode.journey.audit import AuditChannel, AuditDispatch, AuditTrail, Deed
from dicomnode.journey.audit_channels import AuditFile, SyslogChannel, SyslogTarget
from dicomnode.journey.audit_message import AuditSource
from dicomnode.ledger.audit import AuditOutlet, AuditQuery, AuditRecord
from dicomnode.ledger.transaction import Ledger
from tests.builders import uid
from tests.certificates import Authority
from tests.conftest import FakeClock
from tests.journey.audit_schema import faults

ANN = Visitor(name="ann", permissions=frozenset(), account="ann", session="a-session")
SOURCE = AuditSource(ae_title="DICOMNODE", host="node.example")
RECORD = AuditRecord(id=1, event=AuditEvent(at=datetime(2026, 3, 1, tzinfo=UTC), who="ann", action=AuditAction.LOGIN))
BOM = b"\xef\xbb\xbf"


def _see(study: str) -> Deed:
    return Deed(action=AuditAction.SEE, study_instance_uid=study)


@pytest.fixture
def trail(ledger: Ledger, clock: FakeClock) -> AuditTrail:
    return AuditTrail(ledger, clock)


def test_one_viewing_is_one_line(trail: AuditTrail, clock: FakeClock) -> None:
    for _ in range(500):
        trail.look(ANN, _see(uid("study")), "10.0.0.1")
    assert len(trail.lines(AuditQuery())) == 1
    trail.look(ANN, _see(uid("other")), "10.0.0.1")
    trail.look(ANN, Deed(action=AuditAction.RETRIEVE, study_instance_uid=uid("study")), "10.0.0.1")
    trail.look(LOCAL_VISITOR, _see(uid("study")), "10.0.0.1")
    assert len(trail.lines(AuditQuery())) == 4
    clock.advance(15 * 60)
    trail.look(ANN, _see(uid("study")), "10.0.0.1")
    assert len(trail.lines(AuditQuery(who="ann", object=uid("study")))) == 3


def test_two_sessions_of_one_account_are_two_viewings(trail: AuditTrail) -> None:
    other = Visitor(name="ann", permissions=frozenset(), account="ann", session="another-session")
    for visitor in (ANN, other, ANN):
        trail.look(visitor, _see(uid("study")), "10.0.0.1")
    assert len(trail.lines(AuditQuery())) == 2


def test_the_settings_are_told_when_they_changed(trail: AuditTrail) -> None:
    for digest in ("one", "one", "two", "two", "one"):
        trail.settings_are(digest, "root")
    assert [one.event.object for one in trail.lines(AuditQuery(action=AuditAction.SETTINGS))] == ["one", "two", "one"]


class Repository:
    """An outlet that can be away."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.takes = True

    def put(self, message: bytes, record: AuditRecord) -> None:
        assert faults(message) == []
        if not self.takes:
            raise ConnectionRefusedError(111, "Connection refused")
        self.taken.append(record.id)


def test_what_fails_is_told_again_in_order_and_once(ledger: Ledger, clock: FakeClock, trail: AuditTrail) -> None:
    file, repository = Repository(), Repository()
    channels: dict[AuditOutlet, AuditChannel] = {AuditOutlet.FILE: file, AuditOutlet.SYSLOG: repository}
    dispatch = AuditDispatch(ledger, clock, SOURCE, channels)
    repository.takes = False
    for number in range(250):
        trail.note(ANN, Deed(action=AuditAction.CHANGE, object=str(number)), "10.0.0.1")
    for _ in range(3):
        dispatch.step()
    ids = [one.id for one in trail.lines(AuditQuery())][::-1]
    assert file.taken == ids
    assert repository.taken == []
    repository.takes = True
    dispatch.step()
    dispatch.step()
    assert repository.taken == ids
    assert file.taken == ids


def test_a_new_process_goes_on_where_the_last_one_was(ledger: Ledger, clock: FakeClock, trail: AuditTrail) -> None:
    first, second = Repository(), Repository()
    for channel in (first, second):
        trail.note(ANN, Deed(action=AuditAction.CHANGE), "10.0.0.1")
        AuditDispatch(ledger, clock, SOURCE, {AuditOutlet.SYSLOG: channel}).step()
    assert len(first.taken) == len(second.taken) == 1
    assert first.taken != second.taken


def test_the_file_is_for_its_owner_alone_and_goes_round(tmp_path: Path) -> None:
    file = tmp_path / "audit.xml"
    channel = AuditFile(file, most_bytes=100, keep=2)
    for number in range(20):
        channel.put(b"<AuditMessage %02d/>" % number, RECORD)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["audit.xml", "audit.xml.1", "audit.xml.2"]
    kept = b"".join((tmp_path / name).read_bytes() for name in ("audit.xml.2", "audit.xml.1", "audit.xml"))
    lines = kept.splitlines()
    assert lines == [b"<AuditMessage %02d/>" % number for number in range(20 - len(lines), 20)]
    assert all(one.stat().st_size <= 100 for one in tmp_path.iterdir())
    assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}


class Listening:
    """A syslog receiver over TCP or TLS that counts octets (RFC 6587, RFC 5425)."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.messages: list[bytes] = []
        self.came = threading.Condition()
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while length := b"".join(iter(lambda: self.rfile.read(1).strip(), b"")):
                    outer.take(self.rfile.read(int(length)))

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

            def get_request(self) -> tuple[socket.socket, object]:
                accepted, address = super().get_request()
                self.last = accepted if context is None else context.wrap_socket(accepted, server_side=True)
                return self.last, address

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def take(self, message: bytes) -> None:
        with self.came:
            self.messages.append(message)
            self.came.notify_all()

    def wait_for(self, count: int) -> list[bytes]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.messages) >= count, 10)
        return self.messages

    def hang_up(self) -> None:
        self.server.last.shutdown(socket.SHUT_RDWR)


@contextmanager
def _repository(context: ssl.SSLContext | None = None) -> Iterator[Listening]:
    listening = Listening(context)
    yield listening
    listening.server.shutdown()
    listening.server.server_close()


def _channel(
    port: int, transport: SyslogTransport, context: Callable[[], ssl.SSLContext] | None = None
) -> SyslogChannel:
    target = SyslogTarget(host="localhost", port=port, transport=transport, own_host="node", context=context)
    return SyslogChannel(target)


def _is_syslog(framed: bytes, message: bytes) -> bool:
    """RFC 5424: <85> is facility 10, severity 5 (PS3.15 A.6); then time, host, application, process, id, no data."""
    words = framed.split(b" ", 7)
    return (
        words[:4] == [b"<85>1", b"2026-03-01T00:00:00.000Z", b"node", b"dicomnode"]
        and words[4].isdigit()
        and words[5:7] == [b"DICOM+RFC3881", b"-"]
        and words[7] == BOM + message
    )


def test_syslog_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        target = SyslogTarget(
            host="127.0.0.1", port=listening.getsockname()[1], transport=SyslogTransport.UDP, own_host="node"
        )
        SyslogChannel(target).put(b"<AuditMessage/>", RECORD)
        assert _is_syslog(listening.recv(65_536), b"<AuditMessage/>")


def test_syslog_over_tcp_counts_octets_and_comes_back_after_a_break() -> None:
    with _repository() as repository:
        channel = _channel(repository.port, SyslogTransport.TCP)
        message = b"<AuditMessage>\xc3\xa4</AuditMessage>"
        channel.put(message, RECORD)
        channel.put(message, RECORD)
        assert all(_is_syslog(one, message) for one in repository.wait_for(2))
        repository.hang_up()
        channel.put(b"<AuditMessage n='3'/>", RECORD)
        assert _is_syslog(repository.wait_for(3)[2], b"<AuditMessage n='3'/>")
        channel.close()


def test_syslog_over_tls_believes_one_authority_only(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = authority.pair("repository", hosts=("localhost",))
    shown.load_cert_chain(pair.certificate, pair.key)

    def believing(trusted: Path) -> Callable[[], ssl.SSLContext]:
        return lambda: ssl.create_default_context(cafile=str(trusted))

    with _repository(shown) as repository:
        channel = _channel(repository.port, SyslogTransport.TLS, believing(authority.trusted))
        for _ in range(3):
            channel.put(b"<AuditMessage/>", RECORD)
        assert len(repository.wait_for(3)) == 3
        with pytest.raises(OSError, match="certificate verify failed"):
            _channel(repository.port, SyslogTransport.TLS, believing(stranger.trusted)).put(b"<AuditMessage/>", RECORD)
        channel.close()


def test_a_repository_that_is_away_is_an_error_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        _channel(port, SyslogTransport.TCP).put(b"<AuditMessage/>", RECORD)
