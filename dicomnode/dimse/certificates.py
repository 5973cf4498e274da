"""The files behind TLS: certificates (X.509, RFC 5280) and private keys in PEM, and what is wrong with them."""

import ssl
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509

from dicomnode.domain.errors import InvalidSettings
from dicomnode.domain.ports import Clock
from dicomnode.domain.tls import CertificateState, KeyPair

_DO_NOT_FIT = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH")


class CertificateFiles:
    """Looks at the certificates that a node shows to others (domain.tls.Certificates): where used -> its files."""

    def __init__(self, used: Mapping[str, KeyPair], clock: Clock) -> None:
        self._used = used
        self._clock = clock

    def states(self) -> Sequence[CertificateState]:
        """Read all of them as they lie on the disk now."""
        return [self._state(used_by, pair) for used_by, pair in self._used.items()]

    def _state(self, used_by: str, pair: KeyPair) -> CertificateState:
        try:
            load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pair)
            expires_at = check_validity(pair.certificate, self._clock.now())
        except InvalidSettings as error:
            return CertificateState(used_by=used_by, problem=error.reason)
        return CertificateState(used_by=used_by, expires_at=expires_at)


def check_validity(file: Path, now: datetime) -> datetime:
    """Tell until when a certificate is valid; raises InvalidSettings when it is not valid now."""
    certificate = _read(file)
    begins_at, ends_at = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends_at < now:
        raise InvalidSettings(f"the certificate {file} expired on {ends_at:%Y-%m-%d}")
    if begins_at > now:
        raise InvalidSettings(f"the certificate {file} is valid only from {begins_at:%Y-%m-%d} on")
    return ends_at


def load_pair(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Let a context show a certificate; raises InvalidSettings with what is wrong with the files."""
    _read(pair.certificate)
    _check_readable(pair.key)
    try:
        context.load_cert_chain(pair.certificate, pair.key, password=_no_passphrase)
    except ssl.SSLError as error:
        if error.reason in _DO_NOT_FIT:
            what = f"the key {pair.key} does not belong to the certificate {pair.certificate}"
        elif error.reason and error.reason.endswith(("TOO_SMALL", "TOO_WEAK")):
            what = f"the certificate {pair.certificate} is too weak ({error.reason.lower().replace('_', ' ')})"
        else:
            what = f"{pair.key} holds no private key in PEM, or one under a passphrase, which nobody could enter"
        raise InvalidSettings(what) from error


def load_trusted(context: ssl.SSLContext, trusted: Path) -> None:
    """Let a context believe the authorities of a file; raises InvalidSettings."""
    _check_readable(trusted)
    try:
        context.load_verify_locations(trusted)
    except ssl.SSLError as error:
        raise InvalidSettings(f"{trusted} holds no certificate in PEM") from error


def _read(file: Path) -> x509.Certificate:
    """Read the first certificate of a file, that of its owner; raises InvalidSettings."""
    _check_readable(file)
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except ValueError as error:
        raise InvalidSettings(f"{file} holds no certificate in PEM") from error


def _check_readable(file: Path) -> None:
    try:
        with file.open("rb"):
            return
    except OSError as error:
        raise InvalidSettings(f"the file {file} of TLS cannot be read ({error.strerror})") from error


def _no_passphrase() -> str:
    """Keep OpenSSL from asking at a terminal: a service has nobody there."""
    return ""
