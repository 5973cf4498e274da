"""Who may open an association, and in which words the others are turned away."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from dicomnode.domain.association import Association
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle


class Cause(StrEnum):
    """Why somebody was turned away; the words an operator reads."""

    CALLED_AE = "called AE title"
    CALLING_AE = "calling AE title"
    ADDRESS = "address"
    LIMIT = "too many associations"
    CONGESTION = "no room"
    SILENCE = "silence"
    """It let a timer run out: before its request, within a message or between two."""
    PROTOCOL = "protocol error"
    TLS = "TLS"
    ABORT = "aborted by the peer"


class UnknownPeers(StrEnum):
    """What becomes of a calling AE title that is no peer of this node."""

    ADMIT = "admit"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who stands at the door: the titles as they were said, empty before anything was said, and an address."""

    peer_address: str
    calling_ae: str = ""
    called_ae: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why somebody was turned away: the kind of cause, and what happened in a sentence without patient data."""

    cause: Cause
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who may come in: whoever names one of this node's titles, and is a peer at its place or of no known title."""

    called_ae: tuple[AETitle, ...]
    peers: Mapping[AETitle, Peer] = field(default_factory=dict)
    unknown_peers: UnknownPeers = UnknownPeers.ADMIT

    def refusal(self, association: Association) -> Refusal | None:
        """Say why this association may not come in; None when it may."""
        called, calling = association.called_ae, association.calling_ae
        if called not in self.called_ae:
            return Refusal(cause=Cause.CALLED_AE, said=f"called AE title {called} is not one of this node's")
        peer = self.peers.get(calling)
        if peer is None:
            if self.unknown_peers is UnknownPeers.ADMIT:
                return None
            return Refusal(cause=Cause.CALLING_AE, said=f"calling AE title {calling} is no peer of this node")
        if not peer.is_at(association.peer_address):
            said = f"address {association.peer_address} is in none of the networks of {calling}"
            return Refusal(cause=Cause.ADDRESS, said=said)
        return None


class Place(Protocol):
    """Room for one association, held until it ends."""

    def free(self) -> None:
        """Give it back; safe to call again."""
        ...


class Doorkeeper(Protocol):
    """Decides for the listeners of a node who comes in, and remembers who did not."""

    def admit(self, association: Association) -> Place | Refusal:
        """Let an association in, or say why not."""
        ...

    def turned_away(self, visitor: Visitor, refusal: Refusal) -> None:
        """Take note of somebody who was turned away, by this doorkeeper or by what lies before it."""
        ...

    def heard(self, association: Association) -> None:
        """Take note that a peer asked by C-ECHO whether this node is there."""
        ...
