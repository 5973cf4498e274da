"""How pages leave this machine: with a login and under TLS, or not at all; and what the settings make of it."""

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from dicomnode.domain.audit import SyslogTransport
from dicomnode.domain.errors import InvalidSettings
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.clock import SystemClock
from dicomnode.node.settings import Settings, as_environment, read_settings
from dicomnode.node.web_access import (
    audit_dispatch,
    identity_provider,
    open_accounts,
    settings_digest,
    setup_link,
    web_address,
)
from dicomnode.node.web_server import WebServer
from dicomnode.node.web_settings import AuditSettings, LoginMode, OidcSettings, SyslogSettings
from tests.certificates import Authority
from tests.conftest import FakeClock
from tests.nodes import free_port

PASSWORD = "correct horse battery"


def _refused(tmp_path: Path, text: str) -> str:
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(InvalidSettings) as refused:
        read_settings(tmp_path / "node.toml")
    return refused.value.reason


def test_a_login_is_asked_for_unless_somebody_says_otherwise() -> None:
    assert Settings().login is LoginMode.REQUIRED
    assert Settings().web_host.is_loopback


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('web_host = "0.0.0.0"\nlogin = "off"\n', "only be served on loopback"),
        ('web_host = "0.0.0.0"\n', "web_certificate"),
        ('web_certificate = "a.pem"\n', "web_key"),
        ("session_hours = 0\n", "session_hours"),
        ('[audit.syslog]\nhost = "arr"\nport = 6514\n', "trusted"),
        ('[audit.syslog]\nhost = "arr"\nport = 514\ntransport = "udp"\ntrusted = "a.pem"\n', "trusted"),
        ('[oidc]\nissuer = "https://idp"\nclient_id = "a"\nclient_secret = "s"\n[oidc.roles]\nx = "king"\n', "roles"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in _refused(tmp_path, text)


@pytest.mark.parametrize(
    "further",
    [
        {"web_behind_proxy": True},
        {"web_certificate": Path("a.pem"), "web_key": Path("a.key")},
        {"web_behind_proxy": True, "web_trusted_proxies": ("10.0.0.2",), "web_trusted_hosts": ("node.example",)},
    ],
)
def test_with_a_login_and_tls_pages_may_leave_this_machine(further: dict[str, Any]) -> None:
    settings = Settings(web_host="0.0.0.0", **further)
    assert settings.web_scheme == ("https" if "web_certificate" in further else "http")


def test_other_processes_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(
        data=tmp_path,
        login=LoginMode.REQUIRED,
        audit=AuditSettings(
            file=tmp_path / "audit.xml",
            syslog=SyslogSettings(host="arr", port=514, transport=SyslogTransport.UDP),
        ),
        oidc=OidcSettings(
            issuer="https://idp.example", client_id="a", client_secret=tmp_path / "secret", roles={"x": "viewer"}
        ),
    )
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
    assert settings_digest(Settings()) == settings_digest(settings)
    assert settings_digest(settings) != settings_digest(settings.model_copy(update={"idle_minutes": 5}))


def test_pages_are_served_under_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.pair("web")
    settings = Settings(web_port=free_port(), web_certificate=pair.certificate, web_key=pair.key)
    app = FastAPI()
    app.add_api_route("/", lambda: "here")
    server = WebServer(app, web_address(settings, SystemClock()))
    server.start()
    try:
        context = ssl.create_default_context(cafile=str(authority.trusted))
        assert httpx.get(f"{settings.web_url}/", verify=context).json() == "here"
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{settings.web_port}/")
    finally:
        server.stop()


def test_a_certificate_that_is_of_no_use_is_told_at_the_start(tmp_path: Path) -> None:
    settings = Settings(web_certificate=tmp_path / "none.pem", web_key=tmp_path / "none.key")
    with pytest.raises(InvalidSettings, match=r"none\.pem"):
        web_address(settings, SystemClock())


def test_the_link_of_the_first_start_goes_when_there_is_an_account(tmp_path: Path, ledger: Ledger) -> None:
    settings = Settings(data=tmp_path)
    accounts = open_accounts(settings, ledger, SystemClock())
    assert accounts is not None
    link, again = setup_link(settings, accounts), setup_link(settings, accounts)
    assert link is not None
    assert again is not None
    assert link != again
    file = tmp_path / "setup-link"
    assert file.read_text().strip() == again
    assert file.stat().st_mode & 0o777 == 0o600
    accounts.set_up(link.partition("=")[2], "ann", PASSWORD, "")
    assert setup_link(settings, accounts) is None
    assert not file.exists()


def test_without_a_login_there_is_neither_account_nor_provider(tmp_path: Path, ledger: Ledger) -> None:
    settings = Settings(data=tmp_path, login=LoginMode.OFF)
    assert open_accounts(settings, ledger, SystemClock()) is None
    assert identity_provider(settings, SystemClock()) is None


def test_a_secret_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    oidc = OidcSettings(issuer="https://idp", client_id="a", client_secret=tmp_path / "none", roles={})
    with pytest.raises(InvalidSettings, match="client_secret"):
        identity_provider(Settings(oidc=oidc), SystemClock())


def test_lines_reach_the_file_of_the_settings(tmp_path: Path, ledger: Ledger, clock: FakeClock) -> None:
    settings = Settings(data=tmp_path, audit=AuditSettings(file=tmp_path / "audit.xml", site="Hospital"))
    accounts = open_accounts(settings, ledger, clock)
    assert accounts is not None
    token = accounts.setup_token()
    assert token is not None
    accounts.set_up(token, "ann", PASSWORD, "10.0.0.1")
    dispatch = audit_dispatch(settings, ledger, clock)
    assert dispatch is not None
    dispatch.step()
    (line,) = (tmp_path / "audit.xml").read_text().splitlines()
    assert 'AuditEnterpriseSiteID="Hospital"' in line
    assert audit_dispatch(Settings(data=tmp_path), ledger, clock) is None
