"""What the pages stand on; `node` hands it in."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from dicomnode.dicomweb.intake import Intake
from dicomnode.domain.archive import Archive
from dicomnode.domain.capacity import Capacity
from dicomnode.domain.ports import Clock
from dicomnode.domain.tls import Certificates
from dicomnode.domain.uids import AETitle
from dicomnode.journey.peers import PeerBook
from dicomnode.ledger.transaction import Ledger


class Operator(Protocol):
    """What a person can ask for by a button; each answers with a sentence to show and raises a DicomnodeError."""

    def retry(self, derivation_key: str) -> str:
        """Try a failed or refused derivation once more."""
        ...

    def resend(self, derivation_key: str, destination: str) -> str:
        """Send a derived series to a destination once more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where studies are to be sent, for the pages that say how."""

    ae_title: AETitle
    host: str
    port: int
    is_under_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The node behind the pages; a worker silent for longer than `lease` is taken to be dead."""

    ledger: Ledger
    archive: Archive
    operator: Operator
    peers: PeerBook
    clock: Clock
    lease: timedelta
    listener: Listener
    version: str
    capacity: Capacity | None = None
    """Tells how much room the spool's disk has left; left out: the first page has no line about it."""
    certificates: Certificates | None = None
    """Tells how long the node's certificates are valid, a line for each on the first page."""
    intake: Intake | None = None
    """Takes instances over DICOMweb, where this process receives."""
