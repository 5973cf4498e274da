"""Where audit messages go: a file on this host, or a repository by syslog (PS3.15 sections A.6 and A.7)."""

import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from dicomnode.domain.audit import SyslogTransport
from dicomnode.ledger.audit import AuditRecord

_PRIORITY = 10 * 8 + 5
"""Facility 10 (security), severity 5 (notice): PS3.15 section A.6."""
_VERSION = 1
_MESSAGE_ID = "DICOM+RFC3881"
_BOM = b"\xef\xbb\xbf"
_SECONDS = 5.0
_PRIVATE = 0o600


class AuditFile:
    """A file with one message a line, for its owner alone; when it is full it is put aside, and the oldest goes."""

    def __init__(self, path: Path, most_bytes: int, keep: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._keep = keep

    def put(self, message: bytes, _record: AuditRecord) -> None:
        """Write a message down and wait for the disk; raises OSError."""
        line = message + b"\n"
        if self._path.exists() and self._path.stat().st_size + len(line) > self._most_bytes:
            self._put_aside()
        opened = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _PRIVATE)
        try:
            os.fchmod(opened, _PRIVATE)
            view = memoryview(line)
            while view:
                view = view[os.write(opened, view) :]
            os.fsync(opened)
        finally:
            os.close(opened)

    def _put_aside(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            if self._aside(number).exists():
                self._aside(number).rename(self._aside(number + 1))
        if self._keep:
            self._path.rename(self._aside(1))
        else:
            self._path.unlink()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogTarget:
    """An audit repository; `context` makes what TLS needs, anew for each connection."""

    host: str
    port: int
    transport: SyslogTransport
    own_host: str
    context: Callable[[], ssl.SSLContext] | None = None


class SyslogChannel:
    """Sends messages by syslog (RFC 5424); over TCP and TLS through one connection that is opened again when needed."""

    def __init__(self, target: SyslogTarget) -> None:
        self._target = target
        self._connection: socket.socket | None = None

    def put(self, message: bytes, record: AuditRecord) -> None:
        """Send a message; raises OSError."""
        framed = self._header(record) + _BOM + message
        if self._target.transport is SyslogTransport.UDP:
            self._send_datagram(framed)
            return
        try:
            connection = self._open()
            connection.sendall(b"%d " % len(framed) + framed)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Leave the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _header(self, record: AuditRecord) -> bytes:
        at = record.event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        host = self._target.own_host or "-"
        words = f"<{_PRIORITY}>{_VERSION} {at} {host} dicomnode {os.getpid()} {_MESSAGE_ID} - "
        return words.encode("ascii", "replace")

    def _send_datagram(self, framed: bytes) -> None:
        target = self._target
        family, kind, protocol, _name, address = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as sending:
            sending.settimeout(_SECONDS)
            sending.sendto(framed, address)

    def _open(self) -> socket.socket:
        if self._connection is not None and _was_left(self._connection):
            self.close()
        if self._connection is None:
            target = self._target
            plain = socket.create_connection((target.host, target.port), timeout=_SECONDS)
            if target.context is None:
                self._connection = plain
            else:
                self._connection = target.context().wrap_socket(plain, server_hostname=target.host)
        return self._connection


def _was_left(connection: socket.socket) -> bool:
    """Whether the repository hung up: what is written after that would be lost without an error."""
    connection.settimeout(0)
    try:
        # It has nothing to say; what TLS itself sends now and then is taken in by looking.
        return not connection.recv(1)
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    finally:
        connection.settimeout(_SECONDS)
