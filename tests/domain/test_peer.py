"""A peer: from where it may come, where it listens, and what is no peer at all."""

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle

SCANNER = AETitle("SCANNER")


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
        ("unknown", False),
    ],
)
def test_an_address_has_to_be_in_one_of_the_networks(address: str, *, is_inside: bool) -> None:
    peer = Peer(ae_title=SCANNER, networks=(ip_network("10.1.0.0/16"), ip_network("2001:db8::/32")))
    assert peer.is_at(address) == is_inside


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_a_peer_without_networks_may_come_from_anywhere(address: IPv4Address | IPv6Address) -> None:
    assert Peer(ae_title=SCANNER).is_at(str(address))


@given(st.ip_addresses(v=4), st.integers(min_value=0, max_value=32))
def test_every_address_lies_in_its_own_network_whichever_way_it_is_seen(address: IPv4Address, bits: int) -> None:
    peer = Peer(ae_title=SCANNER, networks=(ip_network(f"{address}/{bits}", strict=False),))
    assert peer.is_at(str(address))
    assert peer.is_at(f"::ffff:{address}")


def test_a_peer_that_listens_has_an_endpoint() -> None:
    endpoint = Peer(ae_title=SCANNER, host="scanner.example", port=104).endpoint
    assert endpoint is not None
    assert (endpoint.name, endpoint.ae_title, endpoint.host, endpoint.port) == (
        "SCANNER",
        "SCANNER",
        "scanner.example",
        104,
    )
    assert Peer(ae_title=SCANNER).endpoint is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"host": "scanner"}, "give both, or neither"),
        ({"port": 104}, "give both, or neither"),
        ({"host": "scanner", "port": 0}, "between 1 and 65535"),
        ({"host": "scanner", "port": 65_536}, "between 1 and 65535"),
        ({"host": " ", "port": 104}, "no name"),
        ({"maximum_associations": 0}, "at least one association"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_what_is_no_peer_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidValue, match=said):
        Peer(ae_title=SCANNER, **fields)
