"""TLS in the terms of PS3.15: what a listener or a sender is given, and how the certificates in use stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol

_WARN = timedelta(days=30)
_ALARM = timedelta(days=7)


class ClientCertificate(StrEnum):
    """What a listener asks of whoever connects."""

    REQUIRED = "required"
    """A certificate that the node trusts: mutual authentication."""
    OPTIONAL = "optional"
    """None, or one that the node trusts."""
    NONE = "none"
    """Nothing: the connection is encrypted, but anybody may open it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate with its chain and its private key, both files in PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ListeningTls:
    """How a listener shows who it is, and whom it believes; `trusted` holds certificates of authorities in PEM."""

    pair: KeyPair
    trusted: Path | None = None
    client_certificate: ClientCertificate = ClientCertificate.REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class CallingTls:
    """How a sender knows a peer, and shows who it is where the peer asks; without `trusted` it believes nobody."""

    trusted: Path
    pair: KeyPair | None = None
    check_host_name: bool = True


class CertificateLevel(StrEnum):
    """How a certificate stands."""

    OK = "ok"
    EXPIRES = "expires soon"
    """Within 30 days."""
    ALARM = "alarm"
    """Within 7 days, or it cannot be used at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateState:
    """One certificate of the node: where it is used, until when it is valid, or why its files are of no use."""

    used_by: str
    expires_at: datetime | None = None
    problem: str = ""

    def level(self, now: datetime) -> CertificateLevel:
        """Judge it at an instant."""
        if self.expires_at is None or self.expires_at - now < _ALARM:
            return CertificateLevel.ALARM
        return CertificateLevel.EXPIRES if self.expires_at - now < _WARN else CertificateLevel.OK

    def in_words(self, now: datetime) -> str:
        """Say how long it is still valid, or what is wrong."""
        if self.expires_at is None:
            return self.problem
        days = (self.expires_at - now).days
        return f"expires in {days} day{'' if days == 1 else 's'}, on {self.expires_at:%Y-%m-%d}"


class Certificates(Protocol):
    """Tells how the certificates of a node stand."""

    def states(self) -> Sequence[CertificateState]:
        """Look at each certificate that the node shows to others, as it lies on the disk now."""
        ...
