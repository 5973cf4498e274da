"""The book of peers: what a person asks of it is done at once, and an echo leaves its outcome whatever it is."""

import pytest

from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DeliveryError, DestinationUnreachable, NotInLedger, PeerExists, PeerUnknown
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from dicomnode.journey.peers import PeerBook
from dicomnode.ledger.refusals import record_refusals
from dicomnode.ledger.transaction import Ledger
from tests.conftest import FakeClock
from tests.journey.bench import sqlite_only
from tests.ledger.values import a_refusal

MR1 = AETitle("MR1")
LISTENING = Peer(ae_title=MR1, host="mr1.example", port=104)


class ScriptedPeers:
    """Peers that answer C-ECHO as a test says (domain.peer.Verification)."""

    def __init__(self) -> None:
        self.asked: list[Endpoint] = []
        self.fails: DeliveryError | None = None

    def echo(self, peer: Endpoint) -> None:
        self.asked.append(peer)
        if self.fails is not None:
            raise self.fails


@pytest.fixture
def peers() -> ScriptedPeers:
    return ScriptedPeers()


@pytest.fixture
def book(ledger: Ledger, clock: FakeClock, peers: ScriptedPeers) -> PeerBook:
    return PeerBook(ledger, clock, peers)


def test_peers_are_added_once_changed_and_removed(book: PeerBook, clock: FakeClock) -> None:
    book.add(LISTENING)
    with pytest.raises(PeerExists, match="MR1"):
        book.add(LISTENING)
    clock.advance(5)
    moved = Peer(ae_title=MR1, description="moved")
    book.change(moved)
    assert (book.find(MR1).peer, book.find(MR1).changed_at) == (moved, clock.now())
    book.remove(MR1)
    assert book.peers() == ()
    with pytest.raises(NotInLedger):
        book.change(moved)


def test_what_is_put_is_there_whether_it_was_or_not(book: PeerBook) -> None:
    assert book.put(LISTENING)
    assert not book.put(Peer(ae_title=MR1))
    (record,) = book.peers()
    assert record.peer == Peer(ae_title=MR1)


@sqlite_only
def test_an_echo_asks_where_the_peer_listens_and_keeps_the_outcome(
    book: PeerBook, peers: ScriptedPeers, clock: FakeClock
) -> None:
    book.add(LISTENING)
    outcome = book.echo(MR1)
    assert peers.asked == [LISTENING.endpoint]
    assert (outcome.at, outcome.failure) == (clock.now(), "")
    assert outcome.milliseconds >= 0
    assert book.find(MR1).echo == outcome

    peers.fails = DestinationUnreachable("MR1 does not answer at mr1.example port 104")
    assert book.echo(MR1).failure == "MR1 does not answer at mr1.example port 104"
    assert book.find(MR1).echo == book.peers()[0].echo != outcome


@sqlite_only
def test_nobody_can_be_asked_whose_address_is_not_known(book: PeerBook, peers: ScriptedPeers) -> None:
    with pytest.raises(NotInLedger):
        book.echo(MR1)
    book.add(Peer(ae_title=MR1))
    with pytest.raises(PeerUnknown, match="not known where MR1 listens"):
        book.echo(MR1)
    assert peers.asked == []


@sqlite_only
def test_refusals_are_read(book: PeerBook, ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_refusals(tx, [a_refusal(times=2)])
    assert book.refusals() == (a_refusal(times=2),)
