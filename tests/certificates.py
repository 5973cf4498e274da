"""An authority of the tests' own, and certificates that it signs, in PEM files (X.509, RFC 5280)."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from dicomnode.domain.tls import KeyPair

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """From when until when, counted from now."""

    begins: timedelta = -DAY
    ends: timedelta = 365 * DAY


LONG = Validity()
EXPIRED = Validity(begins=-10 * DAY, ends=-DAY)
NOT_YET = Validity(begins=DAY)


class Authority:
    """Signs certificates into a folder; nobody trusts it who was not given its file `trusted`."""

    def __init__(self, folder: Path, name: str = "the authority of the tests") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.trusted = folder / "authority.pem"
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        certificate = (
            _begun(self._name, self._key.public_key(), LONG)
            .issuer_name(self._name)
            .add_extension(constraint, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.trusted.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def pair(
        self,
        name: str,
        validity: Validity = LONG,
        *,
        hosts: Sequence[str] = ("127.0.0.1",),
        passphrase: bytes = b"",
    ) -> KeyPair:
        """Make a key and its certificate, in files of that name; the same name again replaces them."""
        # DCMTK takes RSA keys everywhere.
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternatives = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        certificate = (
            _begun(subject, key.public_key(), validity)
            .issuer_name(self._name)
            .add_extension(alternatives, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        pair = KeyPair(certificate=self._folder / f"{name}.pem", key=self._folder / f"{name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(_private_bytes(key, passphrase))
        return pair


def _begun(
    subject: x509.Name, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, validity: Validity
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + validity.begins)
        .not_valid_after(now + validity.ends)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private_bytes(key: rsa.RSAPrivateKey, passphrase: bytes) -> bytes:
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)
