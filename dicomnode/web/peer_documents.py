"""The JSON forms of peers, echoes and refusals."""

from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from dicomnode.domain.door import Cause
from dicomnode.domain.peer import EchoOutcome, Peer
from dicomnode.domain.tls_document import CallingTlsDocument
from dicomnode.domain.uids import AETitle
from dicomnode.ledger.peers import PeerRecord
from dicomnode.ledger.refusals import RefusalRecord


def _network(text: str) -> str:
    """Write a network as it is written; raises ValueError, which says what is wrong with it."""
    return str(ip_network(text))


NetworkText = Annotated[str, AfterValidator(_network)]
"""An IPv4 or IPv6 network in CIDR form, or one address."""


class PeerTlsDocument(CallingTlsDocument):
    """How a peer is reached under TLS; every file in PEM, on the machine of the node."""


class PeerDocument(BaseModel):
    """What can be said of a peer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    networks: tuple[NetworkText, ...] = Field(
        default=(),
        description="Addresses and networks (CIDR) from where it may come; empty: anywhere.",
        examples=[["10.1.0.0/16"]],
    )
    host: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)] | None = Field(
        default=None, description="Where it listens, for C-ECHO and for reports of storage commitment."
    )
    port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    tls: PeerTlsDocument | None = Field(default=None, description="null: it is reached over a plain connection.")
    maximum_associations: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="How many associations it may have open at a time; null: the node's own limit holds."
    )
    description: str = Field(default="", max_length=1000)

    @model_validator(mode="after")
    def _has_a_whole_address(self) -> Self:
        if (self.host is None) != (self.port is None):
            raise ValueError("host and port go together: give both, or neither")
        if self.tls is not None and self.host is None:
            raise ValueError("a peer that is reached under TLS needs a host and a port")
        return self

    def peer(self, ae_title: AETitle) -> Peer:
        """Turn into the domain's value."""
        return Peer(
            ae_title=ae_title,
            networks=tuple(ip_network(text) for text in self.networks),
            host=self.host,
            port=self.port,
            tls=self.tls.value if self.tls else None,
            maximum_associations=self.maximum_associations,
            description=self.description,
        )


class EchoDocument(BaseModel):
    """What came of a C-ECHO to a peer."""

    at: datetime
    succeeded: bool
    milliseconds: float
    failure: str = Field(description="Why it failed, in the peer's words where it gave any; empty when it did not.")

    @classmethod
    def of(cls, outcome: EchoOutcome) -> Self:
        """Write an outcome."""
        return cls(
            at=outcome.at,
            succeeded=not outcome.failure,
            milliseconds=outcome.milliseconds,
            failure=outcome.failure,
        )


class KnownPeer(PeerDocument):
    """A peer as the node knows it."""

    ae_title: str
    changed_at: datetime
    echo: EchoDocument | None = Field(description="The last C-ECHO of this node to it.")
    heard_at: datetime | None = Field(description="When it last asked this node by C-ECHO.")
    heard_from: str

    @classmethod
    def of(cls, record: PeerRecord) -> Self:
        """Write a record."""
        peer = record.peer
        return cls(
            ae_title=peer.ae_title,
            networks=tuple(str(network) for network in peer.networks),
            host=peer.host,
            port=peer.port,
            tls=None if peer.tls is None else PeerTlsDocument.of(peer.tls),
            maximum_associations=peer.maximum_associations,
            description=peer.description,
            changed_at=record.changed_at,
            echo=None if record.echo is None else EchoDocument.of(record.echo),
            heard_at=record.heard_at,
            heard_from=record.heard_from,
        )


class RefusalDocument(BaseModel):
    """Who was turned away for one cause, and how often."""

    peer_address: str
    calling_ae: str = Field(description="As the visitor wrote it; empty when it was turned away before it said so.")
    called_ae: str
    cause: Cause
    said: str = Field(description="What happened the last time, in a sentence.")
    times: int
    first_at: datetime
    last_at: datetime

    @classmethod
    def of(cls, record: RefusalRecord) -> Self:
        """Write a record."""
        return cls(
            peer_address=record.visitor.peer_address,
            calling_ae=record.visitor.calling_ae,
            called_ae=record.visitor.called_ae,
            cause=record.cause,
            said=record.said,
            times=record.times,
            first_at=record.first_at,
            last_at=record.last_at,
        )


class Problem(BaseModel):
    """What went wrong, and what to do about it (RFC 9457)."""

    title: str
    status: int
    detail: str
    help: str
