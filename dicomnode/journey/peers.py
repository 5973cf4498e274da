"""What a person can do with the peers of the node: look, add, change, remove, and ask one whether it is there."""

import time

from dicomnode.domain.errors import DeliveryError, PeerExists, PeerUnknown
from dicomnode.domain.peer import EchoOutcome, Peer, Verification
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import AETitle
from dicomnode.ledger.peers import PeerRecord, add_peer, change_peer, find_peer, list_peers, note_echo, remove_peer
from dicomnode.ledger.refusals import RefusalRecord, list_refusals
from dicomnode.ledger.transaction import Ledger


class PeerBook:
    """The peers of a node; what is changed here holds at its listeners for whoever asks a second later."""

    def __init__(self, ledger: Ledger, clock: Clock, verification: Verification) -> None:
        self._ledger = ledger
        self._clock = clock
        self._verification = verification

    def peers(self) -> tuple[PeerRecord, ...]:
        """List all peers by their titles."""
        with self._ledger.transaction() as tx:
            return list_peers(tx)

    def find(self, ae_title: AETitle) -> PeerRecord:
        """Read one peer; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            return find_peer(tx, ae_title)

    def add(self, peer: Peer) -> None:
        """Add a peer; raises PeerExists."""
        with self._ledger.transaction() as tx:
            if not add_peer(tx, peer, self._clock.now()):
                raise PeerExists(f"{peer.ae_title} is a peer already")

    def change(self, peer: Peer) -> None:
        """Put a peer in the place of the one of its title; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            change_peer(tx, peer, self._clock.now())

    def put(self, peer: Peer) -> bool:
        """Make a peer what is said here, whether it was there or not; says whether it is new."""
        with self._ledger.transaction() as tx:
            is_new = add_peer(tx, peer, self._clock.now())
            if not is_new:
                change_peer(tx, peer, self._clock.now())
        return is_new

    def remove(self, ae_title: AETitle) -> None:
        """Forget a peer; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            remove_peer(tx, ae_title)

    def echo(self, ae_title: AETitle) -> EchoOutcome:
        """Ask a peer by C-ECHO whether it is there, and keep what came of it.

        Raises NotInLedger, or PeerUnknown when nobody knows where it listens.
        """
        where = self.find(ae_title).peer.endpoint
        if where is None:
            raise PeerUnknown(f"it is not known where {ae_title} listens")
        begun, failure = time.perf_counter(), ""
        try:
            self._verification.echo(where)
        except DeliveryError as error:
            failure = error.reason
        milliseconds = (time.perf_counter() - begun) * 1000
        outcome = EchoOutcome(at=self._clock.now(), milliseconds=round(milliseconds, 1), failure=failure)
        with self._ledger.transaction() as tx:
            note_echo(tx, ae_title, outcome)
        return outcome

    def refusals(self, limit: int = 100) -> tuple[RefusalRecord, ...]:
        """List who was turned away, the latest first."""
        with self._ledger.transaction() as tx:
            return list_refusals(tx, limit)
