"""TLS as PS3.15 section B.12 asks for it (BCP 195: RFC 8996 and 9325): TLS 1.2 and 1.3, nothing weaker negotiated."""

import logging
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from dicomnode.dimse.certificates import check_validity, load_pair, load_trusted
from dicomnode.domain.errors import InvalidSettings
from dicomnode.domain.ports import Clock
from dicomnode.domain.tls import CallingTls, ClientCertificate, ListeningTls

_logger = logging.getLogger(__name__)

_CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
    )
)
"""Those of TLS 1.2; the suites of TLS 1.3 are all strong, and OpenSSL keeps them apart."""
_VERIFY: Mapping[ClientCertificate, ssl.VerifyMode] = {
    ClientCertificate.REQUIRED: ssl.CERT_REQUIRED,
    ClientCertificate.OPTIONAL: ssl.CERT_OPTIONAL,
    ClientCertificate.NONE: ssl.CERT_NONE,
}
_WORDS: Mapping[str, str] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "UNSUPPORTED_PROTOCOL": "it speaks no version of TLS from 1.2 on",
    "VERSION_TOO_LOW": "it speaks no version of TLS from 1.2 on",
    "NO_SHARED_CIPHER": "it offers no cipher suite that PS3.15 section B.12 allows",
    "WRONG_VERSION_NUMBER": "what it sent is no TLS",
    "HTTP_REQUEST": "what it sent is no TLS but HTTP",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the certificate of this node",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it takes the certificate of this node for a bad one",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "it takes the certificate of this node for expired",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept the certificate of this node",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants to see a certificate of this node",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it found nothing in common with what this node offers",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it does not take the versions of TLS that this node offers",
}
"""OpenSSL's names of what can go wrong, in plain words."""

_Stamp = tuple[tuple[int, int, int], ...]


def in_words(error: OSError) -> str:
    """Say why a TLS handshake with a peer failed, as a sentence about the peer."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it did not finish the TLS handshake in time"
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        reason = error.reason or "no reason given"
        return _WORDS.get(reason, f"TLS failed ({reason.lower().replace('_', ' ')})")
    return "it hung up during the TLS handshake"


class ListenerCredentials:
    """What a listener shows and believes: files that may be replaced while it runs.

    Raises InvalidSettings when they cannot be used at the start. Later on, files that cannot be used change nothing:
    those that were read last stay in use.
    """

    def __init__(self, tls: ListeningTls, clock: Clock) -> None:
        self._tls = tls
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp = _stamp(tls)
        self._context = listening_context(tls, clock)

    def context(self) -> ssl.SSLContext:
        """Give what the next connection is to be made with; open connections keep what they began with."""
        with self._lock:
            stamp = _stamp(self._tls)
            if stamp != self._stamp:
                self._stamp = stamp
                self._read_again()
            return self._context

    def _read_again(self) -> None:
        name = self._tls.pair.certificate.name
        try:
            self._context = listening_context(self._tls, self._clock)
        except InvalidSettings as error:
            _logger.warning("changed TLS files are not used, the former ones stay in use: %s", error.reason)
        else:
            _logger.info("TLS files were changed: new connections use them (%s)", name)


def listening_context(tls: ListeningTls, clock: Clock) -> ssl.SSLContext:
    """Prepare the accepting side; raises InvalidSettings for files that are missing, do not fit or are not valid."""
    context = _strong(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = _VERIFY[tls.client_certificate]
    load_pair(context, tls.pair)
    if tls.trusted is not None:
        load_trusted(context, tls.trusted)
    check_validity(tls.pair.certificate, clock.now())
    return context


def calling_context(tls: CallingTls, told: Callable[[str], None]) -> ssl.SSLContext:
    """Prepare the asking side, which tells in words why it got no connection; raises InvalidSettings.

    With TLS 1.3 a peer refuses a certificate only after the handshake: the first read says so.
    """
    context = _strong(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.check_host_name
    load_trusted(context, tls.trusted)
    if tls.pair is not None:
        load_pair(context, tls.pair)

    class TellingSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except OSError as error:
                told(in_words(error))
                # pynetdicom would log an SSLError with its whole traceback.
                raise ConnectionAbortedError("no TLS connection") from error

        def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
            try:
                return super().recv(buflen, flags)
            except ssl.SSLError as error:
                told(in_words(error))
                raise ConnectionAbortedError("the TLS connection ended") from error

    context.sslsocket_class = TellingSocket
    return context


def _strong(side: int) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    return context


def _stamp(tls: ListeningTls) -> _Stamp:
    """Note what the files look like from outside; another stamp means that one was replaced."""
    files = [tls.pair.certificate, tls.pair.key, *([tls.trusted] if tls.trusted else [])]
    return tuple(_stamp_of(file) for file in files)


def _stamp_of(file: Path) -> tuple[int, int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_size, found.st_mtime_ns
