"""How the pages are served, who may use them, and where the audit trail goes."""

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings

from dicomnode.domain.account import AccountRole
from dicomnode.domain.audit import SyslogTransport

_Port = Annotated[int, Field(ge=0, le=65535)]


class LoginMode(StrEnum):
    """Whether whoever opens a page has to log in."""

    REQUIRED = "required"
    OFF = "off"
    """Everybody on this machine may everything; the pages are then served on loopback alone."""


class OidcSettings(BaseModel):
    """An identity provider that speaks OpenID Connect, where people may log in besides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(description="Its address, exactly as it calls itself.")
    client_id: str = Field(description="How it calls this node. The way back to be entered there: /login/return.")
    client_secret: Path = Field(description="File with what this node shows to it.")
    title: str = Field(default="your organisation", description="How the button on the login page is called.")
    scope: str = Field(default="openid profile", description="What it is asked for, with spaces between.")
    name_claim: str = Field(default="preferred_username", description="Which claim names the account.")
    roles_claim: str = Field(default="groups", description="Which claim lists groups or roles; dots lead inwards.")
    roles: dict[str, AccountRole] = Field(
        description="What its groups are here: viewer, operator, administrator or ml-engineer."
    )
    trusted: Path | None = Field(
        default=None, description="PEM file of the authorities its certificate may come from; left out: this host's."
    )


class SyslogSettings(BaseModel):
    """An audit repository that takes messages by syslog (PS3.15 sections A.6 and A.7)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: _Port = Field(description="6514 is registered for syslog over TLS, 514 for UDP.")
    transport: SyslogTransport = SyslogTransport.TLS
    trusted: Path | None = Field(default=None, description="PEM file of the authorities it may come from, under TLS.")
    certificate: Path | None = Field(default=None, description="What this node shows to it, with its `key`.")
    key: Path | None = None

    @model_validator(mode="after")
    def _has_what_tls_needs(self) -> Self:
        if (self.transport is SyslogTransport.TLS) != (self.trusted is not None):
            raise ValueError("`trusted` goes with transport tls, and only with it")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate needs its key: give both, or neither")
        return self


class AuditSettings(BaseModel):
    """Where audit messages go; the lines themselves are in the database in any case, and on the page Audit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: Path | None = Field(default=None, description="One XML message a line; for its owner alone.")
    file_mib: float = Field(default=64, gt=0, description="How large it gets before it is put aside.")
    files: int = Field(default=10, ge=0, description="How many are put aside before the oldest is deleted.")
    syslog: SyslogSettings | None = None
    site: str = Field(default="", description="How the site is called in the messages.")


class WebSettings(BaseSettings):
    """What `Settings` says of the pages."""

    web_host: IPv4Address | IPv6Address = Field(
        default=IPv4Address("127.0.0.1"),
        description="Address to serve the pages at; beyond loopback only with a login, and under TLS.",
    )
    web_port: _Port = 8080
    web_certificate: Path | None = Field(default=None, description="PEM file; with web_key, pages are under TLS.")
    web_key: Path | None = Field(default=None, description="PEM file of the key to web_certificate.")
    web_behind_proxy: bool = Field(
        default=False, description="Whether a proxy in front ends TLS, so that pages leave loopback without it."
    )
    web_trusted_proxies: tuple[str, ...] = Field(
        default=("127.0.0.1", "::1"), description="Addresses of proxies that are believed where a request comes from."
    )
    web_trusted_hosts: tuple[str, ...] = Field(
        default=(), description="Names that the pages answer under, besides localhost and the node's own addresses."
    )
    login: LoginMode = Field(default=LoginMode.REQUIRED, description="Whether pages ask who comes: required or off.")
    session_hours: float = Field(default=12, gt=0, le=720, description="How long somebody stays logged in.")
    idle_minutes: float = Field(default=60, gt=0, description="How long somebody stays logged in who does nothing.")
    oidc: OidcSettings | None = Field(default=None, description="An identity provider; left out: passwords only.")
    audit: AuditSettings = Field(default=AuditSettings(), description="Where audit messages go.")

    @model_validator(mode="after")
    def _let_nobody_in_unseen(self) -> Self:
        """Refuse pages that anybody could open, or passwords that anybody could read on the way."""
        if (self.web_certificate is None) != (self.web_key is None):
            raise ValueError("web_certificate needs web_key: give both, or neither")
        if self.web_host.is_loopback:
            return self
        if self.login is LoginMode.OFF:
            raise ValueError('web_host: with login = "off" the pages may only be served on loopback')
        if self.web_certificate is None and not self.web_behind_proxy:
            raise ValueError(
                "web_host: beyond loopback the pages need web_certificate and web_key, or a proxy in front of them "
                "that ends TLS (web_behind_proxy)"
            )
        return self

    @property
    def web_scheme(self) -> str:
        """How the node itself serves the pages: http or https."""
        return "http" if self.web_certificate is None else "https"

    @property
    def web_url(self) -> str:
        """Where the pages are, for whoever is on this machine."""
        host = f"[{self.web_host}]" if self.web_host.version == 6 else str(self.web_host)
        return f"{self.web_scheme}://{host}:{self.web_port}"
