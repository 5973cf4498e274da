"""The door: who comes in is decided by the peers in the ledger, and who did not is remembered there."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dicomnode.domain.association import Association
from dicomnode.domain.capacity import Capacity
from dicomnode.domain.door import Cause, Door, Place, Refusal, UnknownPeers, Visitor
from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.domain.peer import Peer
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import AETitle
from dicomnode.engine.places import Places
from dicomnode.ledger.peers import list_peers, note_heard
from dicomnode.ledger.refusals import RefusalRecord, record_refusals
from dicomnode.ledger.transaction import Ledger

_logger = logging.getLogger(__name__)

_LONGEST_AGE = timedelta(seconds=1)
_ALL = "all"
_MOST_NOTES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPolicy:
    """What holds for everybody: this node's titles, whether strangers come in, how many associations in all."""

    called_ae: tuple[AETitle, ...]
    unknown_peers: UnknownPeers
    maximum_associations: int


class Doorkeeping:
    """Keeps the door of one process (domain.door.Doorkeeper); `places` counts over all processes of the host.

    What it notes reaches the ledger with `flush`, which is to be called every second and at the end: somebody who is
    turned away a hundred times a second must not keep the database from what is received.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, policy: DoorPolicy, places: Places, capacity: Capacity | None = None
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._policy = policy
        self._places = places
        self._capacity = capacity
        self._reading = threading.Lock()
        self._door: Door | None = None
        self._read_at: datetime | None = None
        self._notes = _Notes()

    def admit(self, association: Association) -> Place | Refusal:
        """Give an association a place, or say why it has none."""
        door = self._latest_door()
        if door is None:
            return Refusal(cause=Cause.CONGESTION, said="the database with the peers cannot be reached")
        refusal = door.refusal(association)
        if refusal is not None:
            return refusal
        congestion = self._capacity.congestion() if self._capacity else None
        if congestion is not None:
            return Refusal(cause=Cause.CONGESTION, said=congestion)
        try:
            return self._take(door.peers.get(association.calling_ae))
        except OSError as error:
            said = f"the open associations cannot be counted ({error.strerror})"
            return Refusal(cause=Cause.CONGESTION, said=said)

    def turned_away(self, visitor: Visitor, refusal: Refusal) -> None:
        """Note who was turned away, for the next `flush`."""
        if self._notes.refuse(visitor, refusal, self._clock.now()) >= _MOST_NOTES:
            self.flush()

    def heard(self, association: Association) -> None:
        """Note that a peer asked by C-ECHO, for the next `flush`."""
        self._notes.hear(association, self._clock.now())

    def flush(self) -> None:
        """Bring what was noted into the ledger; raises LedgerUnavailable, and keeps it for the next time then."""
        refusals, echoes = self._notes.take()
        if not refusals and not echoes:
            return
        try:
            with self._ledger.transaction() as tx:
                record_refusals(tx, refusals)
                for association, at in echoes:
                    note_heard(tx, association.calling_ae, association.peer_address, at)
        except LedgerUnavailable:
            self._notes.put_back(refusals[-_MOST_NOTES:], echoes)
            raise

    def close(self) -> None:
        """Bring the last notes into the ledger; where that fails, only the log has them."""
        try:
            self.flush()
        except LedgerUnavailable as error:
            _logger.warning("the last refusals could not be recorded: %s", error.reason)

    def _take(self, peer: Peer | None) -> Place | Refusal:
        """Take a place of all, and one of the peer's own where it has a limit."""
        limit = self._policy.maximum_associations
        place = self._places.take(_ALL, limit)
        if place is None:
            return Refusal(cause=Cause.LIMIT, said=f"{limit} associations are open, as many as this node allows")
        if peer is None or peer.maximum_associations is None:
            return place
        own = self._places.take(f"peer {peer.ae_title}", peer.maximum_associations)
        if own is None:
            place.free()
            said = f"{peer.ae_title} has {peer.maximum_associations} associations open, as many as it may"
            return Refusal(cause=Cause.LIMIT, said=said)
        return _TwoPlaces(place, own)

    def _latest_door(self) -> Door | None:
        """Give the door as of a second ago at most, or as last known while the ledger cannot be reached."""
        if self._is_fresh() or not self._reading.acquire(blocking=self._door is None):
            return self._door
        try:
            if not self._is_fresh():
                self._read_door()
        finally:
            self._reading.release()
        return self._door

    def _is_fresh(self) -> bool:
        # A clock that was set back makes an age below zero.
        return self._read_at is not None and timedelta(0) <= self._clock.now() - self._read_at < _LONGEST_AGE

    def _read_door(self) -> None:
        try:
            with self._ledger.transaction() as tx:
                records = list_peers(tx)
        except LedgerUnavailable as error:
            _logger.warning("the door stays as it was last known: %s", error.reason)
            return
        finally:
            self._read_at = self._clock.now()
        self._door = Door(
            called_ae=self._policy.called_ae,
            peers={record.peer.ae_title: record.peer for record in records},
            unknown_peers=self._policy.unknown_peers,
        )


class _TwoPlaces:
    """A place among all and one among the peer's own, which end together."""

    def __init__(self, *places: Place) -> None:
        self._places = places

    def free(self) -> None:
        for place in self._places:
            place.free()


class _Notes:
    """What was noted since it was last taken: refusals by visitor and cause, and the last echo of each title."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refusals: dict[tuple[Visitor, Cause], RefusalRecord] = {}
        self._echoes: dict[AETitle, tuple[Association, datetime]] = {}

    def refuse(self, visitor: Visitor, refusal: Refusal, at: datetime) -> int:
        """Add a refusal, and say how many visitors and causes are noted."""
        record = RefusalRecord(
            visitor=visitor, cause=refusal.cause, said=refusal.said, times=1, first_at=at, last_at=at
        )
        with self._lock:
            self._add(record)
            return len(self._refusals)

    def hear(self, association: Association, at: datetime) -> None:
        """Add an echo."""
        with self._lock:
            self._echoes[association.calling_ae] = (association, at)

    def take(self) -> tuple[Sequence[RefusalRecord], Sequence[tuple[Association, datetime]]]:
        """Give all, and forget it."""
        with self._lock:
            taken = tuple(self._refusals.values()), tuple(self._echoes.values())
            self._refusals, self._echoes = {}, {}
            return taken

    def put_back(self, refusals: Sequence[RefusalRecord], echoes: Sequence[tuple[Association, datetime]]) -> None:
        """Note again what could not be kept, under what came since."""
        with self._lock:
            for record in refusals:
                self._add(record)
            self._echoes = {association.calling_ae: (association, at) for association, at in echoes} | self._echoes

    def _add(self, record: RefusalRecord) -> None:
        key = (record.visitor, record.cause)
        known = self._refusals.get(key)
        if known is None:
            self._refusals[key] = record
            return
        latest = max(known, record, key=lambda one: one.last_at)
        self._refusals[key] = replace(
            latest, times=known.times + record.times, first_at=min(known.first_at, record.first_at)
        )
