"""Peers as rows: whole, found by their titles, and with what C-ECHO last told each way."""

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.peer import EchoOutcome, Peer
from dicomnode.domain.tls import CallingTls, KeyPair
from dicomnode.domain.uids import AETitle
from dicomnode.ledger.peers import (
    PeerRecord,
    add_peer,
    change_peer,
    find_endpoint,
    find_peer,
    list_peers,
    note_echo,
    note_heard,
    remove_peer,
)
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, later

MR1, CT1 = AETitle("MR1"), AETitle("CT/1")
WHOLE = Peer(
    ae_title=MR1,
    networks=(ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")),
    host="mr1.example",
    port=104,
    tls=CallingTls(
        trusted=Path("/etc/dicomnode/authority.pem"),
        pair=KeyPair(certificate=Path("/etc/dicomnode/node.pem"), key=Path("/etc/dicomnode/node.key")),
        check_host_name=False,
    ),
    maximum_associations=3,
    description="3T, room “2”",
)


def _known(ledger: Ledger) -> tuple[PeerRecord, ...]:
    with ledger.transaction() as tx:
        return list_peers(tx)


def test_a_peer_comes_back_as_it_was_given_in_the_order_of_titles(ledger: Ledger) -> None:
    bare = Peer(ae_title=CT1)
    with ledger.transaction() as tx:
        assert add_peer(tx, WHOLE, NOW)
        assert add_peer(tx, bare, later(5))
    assert _known(ledger) == (PeerRecord(peer=bare, changed_at=later(5)), PeerRecord(peer=WHOLE, changed_at=NOW))
    with ledger.transaction() as tx:
        assert find_peer(tx, MR1).peer == WHOLE
        assert find_endpoint(tx, MR1) == WHOLE.endpoint
        assert find_endpoint(tx, CT1) is None
        assert find_endpoint(tx, AETitle("NOBODY")) is None


def test_a_title_is_added_once(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert add_peer(tx, WHOLE, NOW)
        assert not add_peer(tx, Peer(ae_title=MR1), later(1))
    assert _known(ledger) == (PeerRecord(peer=WHOLE, changed_at=NOW),)


def test_a_change_replaces_all_that_was_said_and_keeps_what_was_heard(ledger: Ledger) -> None:
    echo = EchoOutcome(at=later(1), milliseconds=3.5)
    with ledger.transaction() as tx:
        add_peer(tx, WHOLE, NOW)
        note_echo(tx, MR1, echo)
        change_peer(tx, Peer(ae_title=MR1, description="moved"), later(2))
    assert _known(ledger) == (PeerRecord(peer=Peer(ae_title=MR1, description="moved"), changed_at=later(2), echo=echo),)


def test_what_echo_told_is_kept_each_way(ledger: Ledger) -> None:
    failed = EchoOutcome(at=later(1), milliseconds=10_000.5, failure="MR1 does not answer at mr1.example port 104")
    with ledger.transaction() as tx:
        add_peer(tx, WHOLE, NOW)
        note_echo(tx, MR1, failed)
        note_heard(tx, MR1, "10.1.2.3", later(3))
        note_heard(tx, AETitle("NOBODY"), "10.9.9.9", later(3))
    (record,) = _known(ledger)
    assert (record.echo, record.heard_at, record.heard_from) == (failed, later(3), "10.1.2.3")
    worked = replace(failed, at=later(4), failure="")
    with ledger.transaction() as tx:
        note_echo(tx, MR1, worked)
    assert _known(ledger)[0].echo == worked


def test_who_is_no_peer_cannot_be_found_changed_asked_or_removed(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for verb in (
            lambda: find_peer(tx, MR1),
            lambda: change_peer(tx, WHOLE, NOW),
            lambda: note_echo(tx, MR1, EchoOutcome(at=NOW, milliseconds=1)),
            lambda: remove_peer(tx, MR1),
        ):
            with pytest.raises(NotInLedger, match="MR1 is no peer of this node"):
                verb()


def test_a_removed_peer_is_gone(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        add_peer(tx, WHOLE, NOW)
        remove_peer(tx, MR1)
    assert _known(ledger) == ()
