"""Audit messages arrive in a private file, and at repositories that listen on loopback over UDP, TCP and TLS."""

import os
import re
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.domain.audit import AuditAction, AuditEvent, SyslogTransport
from dicomnode.journey.audit_channels import AuditFile, SyslogChannel, SyslogTarget
from dicomnode.ledger.audit import AuditRecord
from tests.certificates import Authority
from tests.waiting import wait_for

AT = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)
RECORD = AuditRecord(id=1, event=AuditEvent(at=AT, who="ada", action=AuditAction.LOGIN))
FRAME = re.compile(
    rb"<85>1 2026-03-01T10:15:00\.000Z node\.example dicomnode \d+ DICOM\+RFC3881 - \xef\xbb\xbf(.*)", re.S
)


class Receiver:
    """A repository that takes one connection after another, and counts octets as RFC 6587 says."""

    def __init__(self, port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.messages: list[bytes] = []
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Go down, and hang up on whoever is connected."""
        # A thread that waits in accept keeps the port: wake it first.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._connections:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listening.accept()
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            self._connections.append(connection)
            with connection, connection.makefile("rb") as stream:
                self._read(stream)

    def _read(self, stream: object) -> None:
        while True:
            digits = b""
            try:
                while (one := stream.read(1)) not in (b" ", b""):  # type: ignore[attr-defined]
                    digits += one
                if not digits:
                    return
                self.messages.append(stream.read(int(digits)))  # type: ignore[attr-defined]
            except OSError:
                return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def target(port: int, transport: SyslogTransport, trusted: Path | None = None) -> SyslogTarget:
    def context() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=trusted)

    return SyslogTarget(
        host="127.0.0.1",
        port=port,
        transport=transport,
        own_host="node.example",
        context=context if trusted else None,
    )


def server_context(authority: Authority) -> ssl.SSLContext:
    pair = authority.pair("repository")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def body(framed: bytes) -> bytes:
    found = FRAME.fullmatch(framed)
    assert found, framed
    return found[1]


def test_a_datagram_is_one_message() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiving:
        receiving.bind(("127.0.0.1", 0))
        receiving.settimeout(5)
        SyslogChannel(target(receiving.getsockname()[1], SyslogTransport.UDP)).put("<é/>".encode(), RECORD)
        assert body(receiving.recv(65_535)) == "<é/>".encode()


def test_octets_are_counted_over_tcp(receiver: Receiver) -> None:
    channel = SyslogChannel(target(receiver.port, SyslogTransport.TCP))
    sent = [b"<a/>", "<ü\n/>".encode(), b"x" * 40_000]
    for one in sent:
        channel.put(one, RECORD)
    wait_for(lambda: len(receiver.messages) == 3)
    channel.close()
    assert [body(one) for one in receiver.messages] == sent


def test_octets_are_counted_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    receiver = Receiver(context=server_context(authority))
    channel = SyslogChannel(target(receiver.port, SyslogTransport.TLS, authority.trusted))
    for one in (b"<a/>", b"x" * 40_000):
        channel.put(one, RECORD)
    wait_for(lambda: len(receiver.messages) == 2)
    channel.close()
    receiver.close()
    assert [body(one) for one in receiver.messages] == [b"<a/>", b"x" * 40_000]


def test_a_repository_with_a_strange_certificate_gets_nothing(tmp_path: Path) -> None:
    stranger = Receiver(context=server_context(Authority(tmp_path / "stranger")))
    trusted = Authority(tmp_path / "own").trusted
    with pytest.raises(OSError, match="certificate verify failed"):
        SyslogChannel(target(stranger.port, SyslogTransport.TLS, trusted)).put(b"<a/>", RECORD)
    stranger.close()
    assert stranger.messages == []


@pytest.mark.parametrize("under_tls", [False, True])
def test_a_repository_that_was_down_gets_all_in_order(tmp_path: Path, under_tls: bool) -> None:
    authority = Authority(tmp_path)
    context = server_context(authority) if under_tls else None
    first = Receiver(context=context)
    transport = SyslogTransport.TLS if under_tls else SyslogTransport.TCP
    channel = SyslogChannel(target(first.port, transport, authority.trusted if under_tls else None))
    channel.put(b"1", RECORD)
    wait_for(lambda: len(first.messages) == 1)
    first.close()
    for _time in range(2):
        with pytest.raises(ConnectionRefusedError):
            channel.put(b"2", RECORD)
    again = Receiver(first.port, context)
    for one in (b"2", b"3"):
        channel.put(one, RECORD)
    wait_for(lambda: len(again.messages) == 2)
    channel.close()
    again.close()
    assert [body(one) for one in (*first.messages, *again.messages)] == [b"1", b"2", b"3"]


def test_a_file_is_for_its_owner_alone_and_put_aside_when_full(tmp_path: Path) -> None:
    path = tmp_path / "audit.xml"
    old_mask = os.umask(0)
    try:
        file = AuditFile(path, most_bytes=12, keep=2)
        for number in range(8):
            file.put(b"<%d/>" % number, RECORD)
    finally:
        os.umask(old_mask)
    files = {one.name: one.read_bytes() for one in tmp_path.iterdir()}
    assert files == {
        "audit.xml": b"<6/>\n<7/>\n",
        "audit.xml.1": b"<4/>\n<5/>\n",
        "audit.xml.2": b"<2/>\n<3/>\n",
    }
    assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.iterdir()} == {0o600}


def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AuditFile(tmp_path / "missing" / "audit.xml", most_bytes=100, keep=1).put(b"<a/>", RECORD)
