"""The door: the peers in the ledger decide, soon after they change; who was turned away is remembered."""

import threading
from ipaddress import ip_network
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomnode.domain.association import Association
from dicomnode.domain.capacity import DiskLevel, DiskState
from dicomnode.domain.door import Cause, Place, Refusal, UnknownPeers, Visitor
from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from dicomnode.engine.places import Places
from dicomnode.journey.door import Doorkeeping, DoorPolicy
from dicomnode.ledger.peers import add_peer, change_peer, find_peer, remove_peer
from dicomnode.ledger.refusals import RefusalRecord, list_refusals
from dicomnode.ledger.transaction import Ledger
from tests.conftest import FakeClock
from tests.journey.bench import sqlite_only, without_table

NODE, SCANNER, STRANGER = AETitle("NODE"), AETitle("SCANNER"), AETitle("STRANGER")


class Door:
    """A doorkeeper over a real ledger, and the verbs of these tests."""

    def __init__(self, ledger: Ledger, clock: FakeClock, folder: Path) -> None:
        self.ledger = ledger
        self.clock = clock
        self.folder = folder
        self.full: str | None = None
        self.keeping = self.another()

    def another(self, unknown: UnknownPeers = UnknownPeers.REFUSE, most: int = 10) -> Doorkeeping:
        """The doorkeeper of another process on the same host."""
        policy = DoorPolicy(called_ae=(NODE,), unknown_peers=unknown, maximum_associations=most)
        return Doorkeeping(self.ledger, self.clock, policy, Places(self.folder), self)

    def state(self) -> DiskState:
        """The disk under the spool (domain.capacity.Capacity)."""
        return DiskState(level=DiskLevel.FULL if self.full else DiskLevel.OK, free=0, total=1)

    def congestion(self) -> str | None:
        return self.full

    def know(self, **of: object) -> None:
        peer = Peer(ae_title=SCANNER, **of)  # type: ignore[arg-type]
        with self.ledger.transaction() as tx:
            if not add_peer(tx, peer, self.clock.now()):
                change_peer(tx, peer, self.clock.now())

    def forget(self) -> None:
        with self.ledger.transaction() as tx:
            remove_peer(tx, SCANNER)

    def refusals(self) -> tuple[RefusalRecord, ...]:
        with self.ledger.transaction() as tx:
            return list_refusals(tx)


def ask(keeping: Doorkeeping, calling: AETitle = SCANNER, address: str = "10.1.2.3") -> Place | Refusal:
    return keeping.admit(Association(calling_ae=calling, called_ae=NODE, peer_address=address))


def cause(answer: Place | Refusal) -> Cause | None:
    if isinstance(answer, Refusal):
        return answer.cause
    answer.free()
    return None


@pytest.fixture
def door(ledger: Ledger, clock: FakeClock, tmp_path: Path) -> Door:
    return Door(ledger, clock, tmp_path / "places")


def test_a_change_of_the_peers_holds_a_second_later_and_without_a_restart(door: Door) -> None:
    other_process = door.another()
    for keeping in (door.keeping, other_process):
        assert cause(ask(keeping)) is Cause.CALLING_AE
    door.know(networks=(ip_network("10.1.0.0/16"),))
    door.clock.advance(1)
    for keeping in (door.keeping, other_process):
        assert cause(ask(keeping)) is None
        assert cause(ask(keeping, address="10.2.0.1")) is Cause.ADDRESS
    door.forget()
    door.clock.advance(1)
    for keeping in (door.keeping, other_process):
        assert cause(ask(keeping)) is Cause.CALLING_AE


@sqlite_only
def test_the_ledger_is_not_asked_for_every_association(door: Door) -> None:
    door.know()
    assert cause(ask(door.keeping)) is None
    asked: list[str] = []
    sa.event.listen(door.ledger.engine, "before_cursor_execute", lambda *words: asked.append(words[2]))
    for _ in range(20):
        assert cause(ask(door.keeping)) is None
    assert asked == []


@sqlite_only
def test_strangers_come_in_where_they_may_but_a_peer_keeps_its_conditions(door: Door) -> None:
    door.know(networks=(ip_network("10.1.0.0/16"),), maximum_associations=1)
    keeping = door.another(UnknownPeers.ADMIT)
    assert cause(ask(keeping, STRANGER, "192.168.1.1")) is None
    assert cause(ask(keeping, address="192.168.1.1")) is Cause.ADDRESS
    inside = ask(keeping)
    assert cause(ask(keeping)) is Cause.LIMIT
    assert cause(inside) is None


@sqlite_only
def test_while_the_ledger_is_away_the_last_known_door_stands(door: Door) -> None:
    door.know()
    assert cause(ask(door.keeping)) is None
    with without_table(door.ledger, "peer"):
        door.clock.advance(60)
        assert cause(ask(door.keeping)) is None
        assert cause(ask(door.keeping, STRANGER)) is Cause.CALLING_AE
        newly_started = door.another()
        answer = ask(newly_started)
        assert isinstance(answer, Refusal)
        assert (answer.cause, answer.said) == (Cause.CONGESTION, "the database with the peers cannot be reached")
    door.clock.advance(1)
    assert cause(ask(newly_started)) is None


@sqlite_only
def test_a_clock_that_is_set_back_does_not_keep_an_old_door(door: Door) -> None:
    assert cause(ask(door.keeping)) is Cause.CALLING_AE
    door.know()
    door.clock.advance(-3600)
    assert cause(ask(door.keeping)) is None


@sqlite_only
def test_without_room_nobody_comes_in_but_who_does_not_belong_is_told_that(door: Door) -> None:
    door.know()
    door.full = "nothing is free"
    assert ask(door.keeping) == Refusal(cause=Cause.CONGESTION, said="nothing is free")
    assert cause(ask(door.keeping, STRANGER)) is Cause.CALLING_AE


@sqlite_only
def test_limits_hold_over_processes_and_places_come_back(door: Door) -> None:
    door.know(maximum_associations=2)
    one, two = door.another(most=3), door.another(most=3)
    first, second = ask(one), ask(two)
    third = ask(one)
    assert isinstance(third, Refusal)
    assert third == Refusal(cause=Cause.LIMIT, said="SCANNER has 2 associations open, as many as it may")
    assert cause(first) is None
    assert cause(ask(two)) is None

    free_for_all = [ask(door.another(UnknownPeers.ADMIT, most=3), STRANGER) for _ in range(2)]
    assert ask(two) == Refusal(cause=Cause.LIMIT, said="3 associations are open, as many as this node allows")
    assert [cause(answer) for answer in (second, *free_for_all)] == [None] * 3
    assert cause(ask(two)) is None


@sqlite_only
def test_a_refused_peer_leaves_no_place_taken(door: Door) -> None:
    door.know(maximum_associations=1)
    keeping = door.another(most=2)
    inside = ask(keeping)
    for _ in range(10):
        assert cause(ask(keeping)) is Cause.LIMIT
    assert cause(ask(door.another(UnknownPeers.ADMIT, most=2), STRANGER)) is None
    assert cause(inside) is None


@sqlite_only
def test_places_that_cannot_be_counted_let_nobody_in_for_now(door: Door) -> None:
    door.know()
    door.folder.write_text("no folder")
    answer = ask(door.keeping)
    assert isinstance(answer, Refusal)
    assert answer.cause is Cause.CONGESTION
    assert "cannot be counted" in answer.said


def test_who_is_turned_away_again_and_again_is_one_row(door: Door) -> None:
    visitor = Visitor(peer_address="10.1.2.3", calling_ae="SCANNER", called_ae="OTHER")
    begun = door.clock.now()
    for number in range(5):
        door.keeping.turned_away(visitor, Refusal(cause=Cause.CALLED_AE, said=f"time {number}"))
        door.clock.advance(60)
        if number in (1, 3):
            door.keeping.flush()
    door.keeping.turned_away(visitor, Refusal(cause=Cause.LIMIT, said="too many"))
    door.keeping.flush()
    rows = {row.cause: row for row in door.refusals()}
    assert set(rows) == {Cause.CALLED_AE, Cause.LIMIT}
    row = rows[Cause.CALLED_AE]
    assert (row.visitor, row.times, row.said, row.first_at) == (visitor, 5, "time 4", begun)
    assert (row.last_at - begun).total_seconds() == 240


def test_two_processes_add_to_the_same_row(door: Door) -> None:
    visitor, refusal = Visitor(peer_address="10.1.2.3"), Refusal(cause=Cause.SILENCE, said="it said nothing")
    keepings = [door.another() for _ in range(4)]

    def turn_away(keeping: Doorkeeping) -> None:
        for _ in range(5):
            keeping.turned_away(visitor, refusal)
            keeping.flush()

    threads = [threading.Thread(target=turn_away, args=(keeping,)) for keeping in keepings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (row,) = door.refusals()
    assert row.times == 20


@sqlite_only
def test_what_could_not_be_recorded_is_recorded_later(door: Door) -> None:
    door.know()
    visitor, refusal = Visitor(peer_address="10.1.2.3"), Refusal(cause=Cause.TLS, said="no certificate")
    door.keeping.turned_away(visitor, refusal)
    door.keeping.heard(Association(calling_ae=SCANNER, called_ae=NODE, peer_address="10.1.2.3"))
    with without_table(door.ledger, "refusal"):
        with pytest.raises(LedgerUnavailable):
            door.keeping.flush()
        door.keeping.turned_away(visitor, refusal)
        door.keeping.close()
    door.keeping.close()
    (row,) = door.refusals()
    assert (row.times, row.cause) == (2, Cause.TLS)
    with door.ledger.transaction() as tx:
        assert find_peer(tx, SCANNER).heard_from == "10.1.2.3"


@sqlite_only
def test_a_flood_of_new_titles_is_brought_into_the_ledger_before_it_fills_the_memory(door: Door) -> None:
    for number in range(1000):
        visitor = Visitor(peer_address="10.1.2.3", calling_ae=f"T{number}")
        door.keeping.turned_away(visitor, Refusal(cause=Cause.CALLING_AE, said="no peer"))
    with door.ledger.transaction() as tx:
        assert len(list_refusals(tx, limit=2000)) == 1000


def test_a_peer_that_asks_by_echo_is_heard_and_others_leave_nothing(door: Door) -> None:
    door.know()
    for title in (SCANNER, STRANGER):
        door.keeping.heard(Association(calling_ae=title, called_ae=NODE, peer_address="10.1.2.3"))
    door.keeping.flush()
    with door.ledger.transaction() as tx:
        record = find_peer(tx, SCANNER)
    assert (record.heard_at, record.heard_from) == (door.clock.now(), "10.1.2.3")
