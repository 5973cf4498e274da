"""Who may open an association."""

from ipaddress import ip_network

import pytest

from dicomnode.domain.association import Association
from dicomnode.domain.door import Cause, Door, UnknownPeers
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle

NODE, SCANNER = AETitle("NODE"), AETitle("SCANNER")


def _association(calling: str = "SCANNER", called: str = "NODE", address: str = "10.1.2.3") -> Association:
    return Association(calling_ae=AETitle(calling), called_ae=AETitle(called), peer_address=address)


def _door(unknown_peers: UnknownPeers, *networks: str) -> Door:
    scanner = Peer(ae_title=SCANNER, networks=tuple(ip_network(network) for network in networks))
    return Door(called_ae=(NODE,), peers={SCANNER: scanner}, unknown_peers=unknown_peers)


def _cause(door: Door, association: Association) -> Cause | None:
    refusal = door.refusal(association)
    return None if refusal is None else refusal.cause


def test_a_door_without_peers_lets_everyone_in_who_knows_its_name() -> None:
    assert Door(called_ae=(NODE,)).refusal(_association(calling="ANYONE", address="2001:db8::1")) is None


def test_another_called_title_is_refused_and_the_reason_names_it() -> None:
    refusal = Door(called_ae=(NODE,)).refusal(_association(called="OTHER"))
    assert refusal is not None
    assert refusal.cause is Cause.CALLED_AE
    assert "OTHER" in refusal.said


def test_titles_are_compared_exactly() -> None:
    assert _cause(Door(called_ae=(NODE,)), _association(called="node")) is Cause.CALLED_AE


def test_a_node_may_have_several_names() -> None:
    door = Door(called_ae=(NODE, AETitle("STAT")))
    assert door.refusal(_association(called="STAT")) is None


def test_only_peers_come_in_where_unknown_ones_are_refused() -> None:
    door = _door(UnknownPeers.REFUSE)
    assert door.refusal(_association()) is None
    refusal = door.refusal(_association(calling="INTRUDER"))
    assert refusal is not None
    assert refusal.cause is Cause.CALLING_AE
    assert "calling AE title INTRUDER" in refusal.said


@pytest.mark.parametrize("unknown_peers", UnknownPeers)
def test_a_peer_has_to_come_from_its_place_whoever_else_is_let_in(unknown_peers: UnknownPeers) -> None:
    door = _door(unknown_peers, "10.1.0.0/16")
    assert door.refusal(_association()) is None
    assert _cause(door, _association(address="10.2.0.1")) is Cause.ADDRESS


def test_the_networks_of_a_peer_do_not_hold_for_others() -> None:
    door = _door(UnknownPeers.ADMIT, "10.1.0.0/16")
    assert door.refusal(_association(calling="OTHER", address="192.168.1.1")) is None
