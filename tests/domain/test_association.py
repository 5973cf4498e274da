"""Who may open an association."""

from ipaddress import ip_network

import pytest

from dicomnode.domain.association import Association, Door
from dicomnode.domain.uids import AETitle

NODE, SCANNER = AETitle("NODE"), AETitle("SCANNER")


def _association(calling: str = "SCANNER", called: str = "NODE", address: str = "10.1.2.3") -> Association:
    return Association(calling_ae=AETitle(calling), called_ae=AETitle(called), peer_address=address)


def test_a_door_without_lists_lets_everyone_in_who_knows_its_name() -> None:
    assert Door(called_ae=(NODE,)).refusal(_association(calling="ANYONE", address="2001:db8::1")) is None


def test_another_called_title_is_refused_and_the_reason_names_it() -> None:
    assert "OTHER" in (Door(called_ae=(NODE,)).refusal(_association(called="OTHER")) or "")


def test_titles_are_compared_exactly() -> None:
    assert Door(called_ae=(NODE,)).refusal(_association(called="node")) is not None


def test_a_node_may_have_several_names() -> None:
    door = Door(called_ae=(NODE, AETitle("STAT")))
    assert door.refusal(_association(called="STAT")) is None


def test_a_calling_title_has_to_be_on_the_list_when_there_is_one() -> None:
    door = Door(called_ae=(NODE,), calling_ae=(SCANNER,))
    assert door.refusal(_association()) is None
    assert "calling AE title INTRUDER" in (door.refusal(_association(calling="INTRUDER")) or "")


@pytest.mark.parametrize(
    ("address", "is_inside"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("2001:db8::7", True),
        ("2001:db9::7", False),
        ("::ffff:10.1.2.3", True),  # how a listener on [::] sees an IPv4 peer
        ("::ffff:10.2.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_an_address_has_to_be_in_one_of_the_networks(address: str, *, is_inside: bool) -> None:
    door = Door(called_ae=(NODE,), networks=(ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")))
    assert (door.refusal(_association(address=address)) is None) == is_inside


def test_an_address_that_is_none_is_refused_where_networks_are_asked_for() -> None:
    door = Door(called_ae=(NODE,), networks=(ip_network("10.1.0.0/16"),))
    assert door.refusal(_association(address="unknown")) is not None
