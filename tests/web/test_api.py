"""The interface for programs: peers are put, listed, asked and removed, and every refusal says what to correct."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.door import Cause, Visitor
from dicomnode.ledger.refusals import RefusalRecord, record_refusals
from tests.dimse.porter import listening_at
from tests.dimse.shelf import Shelf
from tests.web.holdings import Browser, Holdings

WHOLE: dict[str, Any] = {
    "networks": ["10.1.0.0/16", "2001:db8::/32"],
    "host": "mr1.example",
    "port": 104,
    "tls": {
        "trusted": "/etc/dicomnode/authority.pem",
        "certificate": "/etc/dicomnode/node.pem",
        "key": "/etc/dicomnode/node.key",
        "check_host_name": False,
    },
    "maximum_associations": 2,
    "description": "3T, room 2",
}


@pytest.fixture
def program(holdings: Holdings) -> Browser:
    """A program on this machine; it says nothing of where it comes from."""
    return Browser(holdings.app())


def _put(program: Browser, title: str, **document: Any) -> int:
    return program.put(f"/api/peers/{title}", json=document).status_code


def test_a_peer_is_put_and_read_back(program: Browser, holdings: Holdings) -> None:
    created = program.put("/api/peers/MR1", json=WHOLE)
    assert created.status_code == 201
    told = program.get("/api/peers/MR1").json()
    assert told == created.json()
    assert told == {
        **WHOLE,
        "ae_title": "MR1",
        "changed_at": holdings.clock.now().isoformat().replace("+00:00", "Z"),
        "echo": None,
        "heard_at": None,
        "heard_from": "",
    }
    assert program.get("/api/peers").json() == [told]


def test_what_is_put_again_is_changed_whole(program: Browser) -> None:
    assert _put(program, "MR1", **WHOLE) == 201
    assert _put(program, "MR1", description="moved") == 200
    told = program.get("/api/peers/MR1").json()
    assert (told["networks"], told["host"], told["port"], told["description"]) == ([], None, None, "moved")


def test_a_peer_is_removed_once(program: Browser) -> None:
    _put(program, "MR1")
    assert program.delete("/api/peers/MR1").status_code == 204
    assert program.get("/api/peers").json() == []
    gone = program.delete("/api/peers/MR1")
    assert (gone.status_code, gone.headers["content-type"]) == (404, "application/problem+json")
    assert gone.json()["detail"] == "MR1 is no peer of this node"


@pytest.mark.parametrize("title", ["CT/1", "A B", "MR1/echo", "100%"])
def test_a_title_may_have_any_printable_character(program: Browser, title: str) -> None:
    path = f"/api/peers/{title.replace('%', '%25')}"
    assert program.put(path, json={}).json()["ae_title"] == title
    assert program.get(path).json()["ae_title"] == title


@pytest.mark.parametrize(
    ("title", "document", "said"),
    [
        ("MUCH-TOO-LONG-A-TITLE", {}, "not an AE title"),
        ("A\\B", {}, "not an AE title"),
        ("MR1", {"networks": ["10.1.0.0/99"]}, "networks.0"),
        ("MR1", {"networks": ["10.1.0.7/16"]}, "has host bits set"),
        ("MR1", {"tls": {"trusted": "authority.pem"}}, "needs a host and a port"),
        ("MR1", {"tls": {"trusted": "a.pem", "key": "b.key"}, "host": "mr1", "port": 104}, "needs its key"),
        ("MR1", {"networks": ["mr1.example"]}, "networks.0"),
        ("MR1", {"host": "mr1.example"}, "host and port go together"),
        ("MR1", {"port": 104}, "host and port go together"),
        ("MR1", {"host": "mr1.example", "port": 70_000}, "port: Input should be less than or equal to 65535"),
        ("MR1", {"host": " ", "port": 104}, "host: String should have at least 1 character"),
        ("MR1", {"maximum_associations": 0}, "maximum_associations: Input should be greater than or equal to 1"),
        ("MR1", {"adress": "mr1.example"}, "adress: Extra inputs are not permitted"),
    ],
)
def test_what_is_no_peer_is_refused_and_named(program: Browser, title: str, document: Any, said: str) -> None:
    refused = program.put(f"/api/peers/{title}", json=document)
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    problem = refused.json()
    assert said in problem["detail"]
    assert problem["status"] == 422
    assert problem["help"]
    assert program.get("/api/peers").json() == []


def test_an_echo_is_answered_with_its_outcome_which_stays_on_the_peer(program: Browser) -> None:
    scp = StorageSCP(listening_at("MR1"), Shelf())
    scp.start()
    try:
        _put(program, "MR1", host="127.0.0.1", port=scp.port)
        echo = program.post("/api/peers/MR1/echo").json()
        assert (echo["succeeded"], echo["failure"]) == (True, "")
        assert echo["milliseconds"] > 0
        assert program.get("/api/peers/MR1").json()["echo"] == echo

        _put(program, "OTHER", host="127.0.0.1", port=scp.port)
        rejected = program.post("/api/peers/OTHER/echo").json()
        assert rejected["succeeded"] is False
        assert rejected["failure"].endswith("called AE title not recognized")
    finally:
        scp.stop()


def test_an_echo_needs_a_peer_with_an_address(program: Browser) -> None:
    assert program.post("/api/peers/MR1/echo").status_code == 404
    _put(program, "MR1")
    nowhere = program.post("/api/peers/MR1/echo")
    assert nowhere.status_code == 409
    assert "--at" in nowhere.json()["help"]


def test_who_was_turned_away_is_listed_the_latest_first(program: Browser, holdings: Holdings) -> None:
    now = holdings.clock.now()
    visitors = [Visitor(peer_address=f"10.1.2.{n}", calling_ae="MR1", called_ae="OTHER") for n in (3, 4)]
    with holdings.ledger.transaction() as tx:
        for visitor in visitors:
            refusal = RefusalRecord(
                visitor=visitor, cause=Cause.CALLED_AE, said="no title of ours", times=7, first_at=now, last_at=now
            )
            record_refusals(tx, [refusal])
    found = program.get("/api/refusals").json()
    assert {one["peer_address"] for one in found} == {"10.1.2.3", "10.1.2.4"}
    assert {(one["cause"], one["times"], one["said"]) for one in found} == {
        ("called AE title", 7, "no title of ours"),
    }
    assert len(program.get("/api/refusals?limit=1").json()) == 1
    assert program.get("/api/refusals?limit=0").status_code == 422


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_page_of_another_site_changes_nothing(holdings: Holdings, method: str) -> None:
    foreign = Browser(holdings.app())
    headers = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
    path = "/api/peers/MR1/echo" if method == "POST" else "/api/peers/MR1"
    assert foreign.request(method, path, headers=headers, json={}).status_code == 403


def test_the_interface_describes_itself(program: Browser) -> None:
    described = program.get("/api/openapi.json").json()
    operations = {
        (path, method): operation["operationId"]
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert (
        operations.items()
        >= {
            ("/peers", "get"): "list_peers",
            ("/refusals", "get"): "list_refusals",
            ("/peers/{ae_title}/echo", "post"): "echo_peer",
            ("/peers/{ae_title}", "get"): "read_peer",
            ("/peers/{ae_title}", "put"): "put_peer",
            ("/peers/{ae_title}", "delete"): "remove_peer",
        }.items()
    )
    assert len(set(operations.values())) == len(operations), "each operation has a name of its own"
    assert program.get("/api/nothing").json()["status"] == 404


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["networks", "host", "port", "maximum_associations", "description", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_whatever_a_program_says_is_taken_or_refused(program: Browser, body: Any) -> None:
    answer = program.put("/api/peers/ANY", json=body)
    assert answer.status_code in (200, 201, 422), answer.text
