"""The commands `dicomnode peer …` and `dicomnode refusals`: who may come in, who answers, and who was turned away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.uids import AETitle
from dicomnode.node.settings import read_settings

if TYPE_CHECKING:
    from dicomnode.domain.peer import Peer
    from dicomnode.domain.tls import CallingTls
    from dicomnode.journey.peers import PeerBook

peer_app = typer.Typer(
    no_args_is_help=True, help="See, add and change the systems this node knows, and ask them by C-ECHO."
)
_console = Console()
_NOT_OK = 1

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file; left out: dicomnode.toml in this folder, if there is one.")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the node's spool and database.")]
Title = Annotated[str, typer.Argument(help="AE title of the system.")]
Networks = Annotated[
    list[str] | None,
    typer.Option("--network", help="From where it may come: an address or a network such as 10.1.0.0/16; repeatable."),
]
Address = Annotated[str | None, typer.Option("--at", help="Where it listens, as host:port ([::1]:104 for IPv6).")]
Tls = Annotated[
    str | None, typer.Option("--tls", help="Reach it under TLS: PEM file of the authorities its certificate is from.")
]
TlsCertificate = Annotated[
    Path | None, typer.Option("--tls-certificate", help="PEM file with what this node shows to it; with --tls-key.")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="PEM file of the key to that certificate.")]
TlsAnyName = Annotated[bool, typer.Option("--tls-any-name", help="Its certificate need not name its host.")]
Most = Annotated[int | None, typer.Option("--at-most", help="How many associations it may have open at a time.")]
Description = Annotated[str | None, typer.Option(help="What it is, for whoever reads the list.")]


@peer_app.command("list")
def peer_list(settings: SettingsFile = None, data: DataFolder = None) -> None:
    """List the peers: from where each may come, where it listens, and how C-ECHO last went, both ways."""
    from dicomnode.node.peer_report import peer_table

    with _book(settings, data) as book:
        records = book.peers()
    _console.print(peer_table(records) if records else "No peer is known yet; `dicomnode peer add` makes one.")


@peer_app.command("add")
def peer_add(  # noqa: PLR0913  a command's options
    ae_title: Title,
    *,
    network: Networks = None,
    at: Address = None,
    tls: Tls = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_any_name: TlsAnyName = False,
    at_most: Most = None,
    description: Description = None,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Let a system in, from anywhere or from its networks only; a running node knows it within a second."""
    from dicomnode.domain.peer import Peer

    files = _TlsFiles(trusted=tls, certificate=tls_certificate, key=tls_key, any_name=tls_any_name)
    given = _Given(networks=network, at=at, tls=files, at_most=at_most, description=description)
    peer = given.put_on(Peer(ae_title=_title(ae_title)))
    with _book(settings, data) as book:
        book.add(peer)
    _console.print(f"{escape(peer.ae_title)} is a peer now", highlight=False)


@peer_app.command("change")
def peer_change(  # noqa: PLR0913  a command's options
    ae_title: Title,
    *,
    network: Networks = None,
    at: Address = None,
    tls: Tls = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_any_name: TlsAnyName = False,
    at_most: Most = None,
    description: Description = None,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Change what is given of a peer. --network any, --at none, --tls none and --at-most 0 take a condition away."""

    files = _TlsFiles(trusted=tls, certificate=tls_certificate, key=tls_key, any_name=tls_any_name)
    given = _Given(networks=network, at=at, tls=files, at_most=at_most, description=description)
    with _book(settings, data) as book:
        known = book.find(_title(ae_title)).peer
        book.change(given.put_on(known))
    _console.print(f"{escape(known.ae_title)} is changed", highlight=False)


@peer_app.command("remove")
def peer_remove(ae_title: Title, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Forget a peer. Whether its title is let in after that is what the setting unknown_peers says."""

    with _book(settings, data) as book:
        book.remove(_title(ae_title))
    _console.print(f"{escape(ae_title)} is no peer any more", highlight=False)


@peer_app.command("echo")
def peer_echo(ae_title: Title, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Ask a peer by C-ECHO whether it is there and lets this node in; ends with status 1 when it does not."""
    from dicomnode.node.peer_report import echo_text

    with _book(settings, data) as book:
        outcome = book.echo(_title(ae_title))
    _console.print(echo_text(outcome), soft_wrap=True, highlight=False)
    if outcome.failure:
        raise typer.Exit(_NOT_OK)


def refusals(
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List who was turned away, the latest first: one line for each visitor and cause, however often it came."""
    from dicomnode.node.peer_report import refusal_table

    with _book(settings, data) as book:
        found = book.refusals(limit)
    _console.print(refusal_table(found) if found else "Nobody was turned away.")


def _title(text: str) -> AETitle:
    try:
        return AETitle(text)
    except InvalidValue as error:
        raise typer.BadParameter(error.reason) from error


@contextmanager
def _book(settings: Path | None, data: Path | None) -> "Iterator[PeerBook]":
    """Open the peers of the node, beside the running node or before its first start."""
    from dicomnode.dimse.verification import VerificationSCU
    from dicomnode.journey.peers import PeerBook
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.records import open_ledger

    read = read_settings(settings, **({} if data is None else {"data": data}))
    with open_ledger(read, create=True) as ledger:
        yield PeerBook(ledger, SystemClock(), VerificationSCU(AETitle(read.ae_title)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _TlsFiles:
    """What a person says of reaching a peer under TLS."""

    trusted: str | None
    certificate: Path | None
    key: Path | None
    any_name: bool

    def calling(self) -> "CallingTls | None":
        """Put it together; None for `none`. Raises InvalidValue."""
        from dicomnode.domain.tls import CallingTls, KeyPair

        if self.trusted is None or (self.certificate is None) != (self.key is None):
            raise InvalidValue("--tls-certificate and --tls-key go together, and all of TLS with --tls")
        if self.trusted == "none":
            return None
        pair = None
        if self.certificate is not None and self.key is not None:
            pair = KeyPair(certificate=self.certificate.absolute(), key=self.key.absolute())
        return CallingTls(trusted=Path(self.trusted).absolute(), pair=pair, check_host_name=not self.any_name)

    @property
    def is_given(self) -> bool:
        """Whether anything was said."""
        return self.any_name or any(value is not None for value in (self.trusted, self.certificate, self.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What a person says of a peer; what is None was not said."""

    networks: list[str] | None
    at: str | None
    tls: _TlsFiles
    at_most: int | None
    description: str | None

    def put_on(self, peer: "Peer") -> "Peer":
        """Change what is given of a peer; raises BadParameter."""
        try:
            return replace(peer, **self._changes())
        except InvalidValue as error:
            raise typer.BadParameter(error.reason) from error

    def _changes(self) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if self.networks:
            is_any = self.networks == ["any"]
            changes["networks"] = () if is_any else tuple(_network(text) for text in self.networks)
        if self.at is not None:
            host, port = (None, None) if self.at == "none" else _address(self.at)
            changes |= {"host": host, "port": port} | ({} if host else {"tls": None})
        if self.tls.is_given:
            changes["tls"] = self.tls.calling()
        if self.at_most is not None:
            changes["maximum_associations"] = self.at_most or None
        return changes if self.description is None else {**changes, "description": self.description}


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise InvalidValue(f"--network {text}: {error}") from error


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()):
        raise InvalidValue(f"--at {text}: give host:port, such as 10.1.0.7:104")
    return host.removeprefix("[").removesuffix("]"), int(port)
