"""Accounts, identity provider and audit trail as the settings want them."""

import getpass
import hashlib
import os
import socket
import ssl
from datetime import timedelta
from pathlib import Path

from dicomnode.dimse.certificates import load_pair, load_trusted
from dicomnode.dimse.tls import ListenerCredentials
from dicomnode.domain.audit import SyslogTransport
from dicomnode.domain.errors import InvalidSettings
from dicomnode.domain.ports import Clock
from dicomnode.domain.tls import ClientCertificate, KeyPair, ListeningTls
from dicomnode.journey.accounts import Accounts
from dicomnode.journey.audit import AuditChannel, AuditDispatch
from dicomnode.journey.audit_channels import AuditFile, SyslogChannel, SyslogTarget
from dicomnode.journey.audit_message import AuditSource
from dicomnode.journey.logins import LoginPolicy
from dicomnode.ledger.audit import AuditOutlet
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.settings import Settings
from dicomnode.node.web_server import WebAddress
from dicomnode.node.web_settings import LoginMode, OidcSettings, SyslogSettings
from dicomnode.web.provider import IdentityProvider, ProviderTerms

_MIB = 2**20
_PRIVATE = 0o600


def open_accounts(settings: Settings, ledger: Ledger, clock: Clock) -> Accounts | None:
    """Open the accounts; none where nobody has to log in."""
    if settings.login is LoginMode.OFF:
        return None
    policy = LoginPolicy(session=timedelta(hours=settings.session_hours), idle=timedelta(minutes=settings.idle_minutes))
    return Accounts(ledger, clock, policy)


def identity_provider(settings: Settings, clock: Clock) -> IdentityProvider | None:
    """Make the identity provider, where there is one; raises InvalidSettings."""
    if settings.oidc is None or settings.login is LoginMode.OFF:
        return None
    return IdentityProvider(_terms(settings.oidc), clock)


def _terms(oidc: OidcSettings) -> ProviderTerms:
    try:
        secret = oidc.client_secret.read_text().strip()
    except OSError as error:
        raise InvalidSettings(f"oidc.client_secret: the file cannot be read ({error.strerror})") from error
    return ProviderTerms(
        issuer=oidc.issuer,
        client_id=oidc.client_id,
        client_secret=secret,
        title=oidc.title,
        scope=oidc.scope,
        name_claim=oidc.name_claim,
        roles_claim=oidc.roles_claim,
        roles=oidc.roles,
        context=None if oidc.trusted is None else _asking_context(oidc.trusted, None),
    )


def web_address(settings: Settings, clock: Clock) -> WebAddress:
    """Say where the pages are served; raises InvalidSettings for a certificate that cannot be used."""
    credentials = None
    if settings.web_certificate is not None and settings.web_key is not None:
        pair = KeyPair(certificate=settings.web_certificate, key=settings.web_key)
        shown = ListeningTls(pair=pair, client_certificate=ClientCertificate.NONE)
        credentials = ListenerCredentials(shown, clock)
    return WebAddress(
        host=str(settings.web_host),
        port=settings.web_port,
        context=None if credentials is None else credentials.context,
        proxies=settings.web_trusted_proxies,
    )


def setup_link(settings: Settings, accounts: Accounts) -> str | None:
    """Make the link for the first administrator, and keep it in a file; none where there is an account.

    It stands in no log: whoever may read the data folder may also read the images.
    """
    file = setup_file(settings)
    token = accounts.setup_token()
    if token is None:
        file.unlink(missing_ok=True)
        return None
    where = f"{settings.web_scheme}://{socket.gethostname()}:{settings.web_port}"
    link = f"{where if settings.web_host.is_unspecified else settings.web_url}/setup?token={token}"
    file.unlink(missing_ok=True)
    opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(opened, "w") as writing:
        writing.write(f"{link}\n")
    return link


def setup_file(settings: Settings) -> Path:
    """Name the file that holds the link for the first administrator."""
    return settings.data / "setup-link"


def audit_dispatch(settings: Settings, ledger: Ledger, clock: Clock) -> AuditDispatch | None:
    """Make what brings the audit trail to its channels; none where there is no channel. Raises InvalidSettings."""
    wanted = settings.audit
    channels: dict[AuditOutlet, AuditChannel] = {}
    if wanted.file is not None:
        channels[AuditOutlet.FILE] = AuditFile(wanted.file, int(wanted.file_mib * _MIB), wanted.files)
    if wanted.syslog is not None:
        channels[AuditOutlet.SYSLOG] = SyslogChannel(_target(wanted.syslog))
    source = AuditSource(ae_title=settings.ae_title, host=socket.gethostname(), site=wanted.site)
    return AuditDispatch(ledger, clock, source, channels) if channels else None


def _target(syslog: SyslogSettings) -> SyslogTarget:
    target = SyslogTarget(host=syslog.host, port=syslog.port, transport=syslog.transport, own_host=socket.gethostname())
    if syslog.transport is not SyslogTransport.TLS or syslog.trusted is None:
        return target
    trusted, pair = syslog.trusted, None
    if syslog.certificate is not None and syslog.key is not None:
        pair = KeyPair(certificate=syslog.certificate, key=syslog.key)
    _asking_context(trusted, pair)
    return SyslogTarget(
        host=target.host,
        port=target.port,
        transport=target.transport,
        own_host=target.own_host,
        context=lambda: _asking_context(trusted, pair),
    )


def _asking_context(trusted: Path, pair: KeyPair | None) -> ssl.SSLContext:
    """Prepare to ask under TLS, 1.2 or later; raises InvalidSettings."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_trusted(context, trusted)
    if pair is not None:
        load_pair(context, pair)
    return context


def settings_digest(settings: Settings) -> str:
    """Make a mark that changes with the settings, and tells none of them; processes of one node share it."""
    return hashlib.sha256(settings.model_dump_json(exclude={"roles", "database"}).encode()).hexdigest()


def who_runs() -> str:
    """Name the user of this host whose process this is."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
