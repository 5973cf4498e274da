"""The systems this node knows by name: from where each may come, and where it listens."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.tls import CallingTls
from dicomnode.domain.uids import AETitle

_HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One application entity at the other end: how it is let in, and how it is reached."""

    ae_title: AETitle
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """From where it may come; none named: from any address."""
    host: str | None = None
    """Where it listens, for C-ECHO and for reports of storage commitment."""
    port: int | None = None
    tls: CallingTls | None = None
    """How it is reached under TLS; None: over a plain connection. How it comes in is a matter of the listeners."""
    maximum_associations: int | None = None
    """How many it may have open at a time, over all receivers of a host; None: only the node's own limit holds."""
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse half an address and limits that let nobody in; raises InvalidValue."""
        if (self.host is None) != (self.port is None):
            raise InvalidValue("a peer listens at a host and a port: give both, or neither")
        if self.port is not None and not 1 <= self.port <= _HIGHEST_PORT:
            raise InvalidValue(f"a port lies between 1 and {_HIGHEST_PORT}")
        if self.host is not None and not self.host.strip():
            raise InvalidValue("the host of a peer has no name")
        if self.tls is not None and self.host is None:
            raise InvalidValue("a peer that is reached under TLS listens somewhere: give its host and port")
        if self.maximum_associations is not None and self.maximum_associations < 1:
            raise InvalidValue("a peer may have at least one association; to keep it out, remove it")

    @property
    def endpoint(self) -> Endpoint | None:
        """Where to reach it; None when that is not known."""
        if self.host is None or self.port is None:
            return None
        return Endpoint(name=self.ae_title, ae_title=self.ae_title, host=self.host, port=self.port, tls=self.tls)

    def is_at(self, address: str) -> bool:
        """Whether it may come from this address; what is no address lies in no network."""
        if not self.networks:
            return True
        try:
            found = ip_address(address)
        except ValueError:
            return False
        # A listener on [::] sees an IPv4 peer as ::ffff:10.1.2.3.
        plain = (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
        return any(plain in network for network in self.networks)


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoOutcome:
    """What came of one C-ECHO to a peer: when, how long it took in milliseconds, and why it failed ("": it did not)."""

    at: datetime
    milliseconds: float
    failure: str = ""


class Verification(Protocol):
    """A way to ask a peer whether it is there."""

    def echo(self, peer: Endpoint) -> None:
        """Ask, and return when it has answered with success; raises DeliveryError."""
        ...
