"""DCMTK at the doors of a running node: who is turned away, in which words, and how soon a change holds."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from dicomnode.domain.door import Cause
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from dicomnode.ledger.refusals import RefusalRecord
from dicomnode.node.settings import DestinationSettings
from tests.dimse.conftest import associate
from tests.dimse.instances import series_in
from tests.dimse.wire import connect
from tests.nodes import ServingNode
from tests.peers.conftest import WITHOUT_DELAY, StartStorescp, program
from tests.waiting import wait_for

pytestmark = [pytest.mark.peer, pytest.mark.timeout(200)]

NOBODY = DestinationSettings(name="pacs", ae_title="NOBODY", host="127.0.0.1", port=9)
TITLE = "DICOMNODE"
SCANNER = Peer(ae_title=AETitle("SCANNER"), networks=(ip_network("127.0.0.1"),))


@contextmanager
def _serving(folder: Path, *peers: Peer, **settings: Any) -> Iterator[ServingNode]:
    node = ServingNode(folder, NOBODY, unknown_peers="refuse", **settings)
    node.start()
    try:
        for peer in peers:
            node.know(peer)
        yield node
    finally:
        node.kill()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingNode]:
    """A node that knows one scanner, which may come from 127.0.0.1."""
    with _serving(tmp_path_factory.mktemp("node"), SCANNER) as node:
        wait_for(lambda: _echoscu(node).returncode == 0)
        yield node


def _echoscu(node: ServingNode, calling: str = "SCANNER", called: str = TITLE) -> subprocess.CompletedProcess[str]:
    where = ("127.0.0.1", str(node.settings.dicom_port))
    return _run("echoscu", "-v", "-aet", calling, "-aec", called, *where)


def _run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(name), *words], env=WITHOUT_DELAY, capture_output=True, text=True, check=False, timeout=120
    )


def _refusal(node: ServingNode, cause: Cause, calling: str) -> RefusalRecord:
    """Wait for the one row of a cause and a calling title."""

    def look() -> list[RefusalRecord]:
        return [one for one in node.refusals() if (one.cause, one.visitor.calling_ae) == (cause, calling)]

    (found,) = wait_for(look)
    return found


def _put(node: ServingNode, peer: str, **document: Any) -> None:
    httpx.put(f"{node.url}/api/peers/{peer}", json=document).raise_for_status()


def test_storescu_comes_in_under_its_title_and_stores(node: ServingNode, tmp_path: Path) -> None:
    (item, *_rest) = series_in(tmp_path)
    where = ("127.0.0.1", str(node.settings.dicom_port))
    sent = _run("storescu", "-aet", "SCANNER", "-aec", TITLE, *where, item.file)
    assert (sent.returncode, sent.stderr) == (0, "")


def test_a_wrong_called_title_is_one_row_however_often_it_comes(node: ServingNode) -> None:
    for _ in range(3):
        told = _echoscu(node, called="OTHER")
        assert told.returncode != 0
        assert "Called AE Title Not Recognized" in told.stderr + told.stdout
    wait_for(lambda: _refusal(node, Cause.CALLED_AE, "SCANNER").times == 3)
    refusal = _refusal(node, Cause.CALLED_AE, "SCANNER")
    assert (refusal.visitor.called_ae, refusal.visitor.peer_address) == ("OTHER", "127.0.0.1")


def test_a_calling_title_that_is_no_peer_stays_outside_until_it_is_one(node: ServingNode) -> None:
    told = _echoscu(node, calling="MR9")
    assert "Calling AE Title Not Recognized" in told.stderr + told.stdout
    assert _refusal(node, Cause.CALLING_AE, "MR9").said == "calling AE title MR9 is no peer of this node"
    _put(node, "MR9")
    wait_for(lambda: _echoscu(node, calling="MR9").returncode == 0, 5)
    httpx.delete(f"{node.url}/api/peers/MR9").raise_for_status()
    wait_for(lambda: _echoscu(node, calling="MR9").returncode != 0, 5)


def test_a_peer_from_another_address_stays_outside(node: ServingNode) -> None:
    _put(node, "MR8", networks=["127.0.0.2", "10.0.0.0/8"])
    told = _echoscu(node, calling="MR8")
    assert "Calling AE Title Not Recognized" in told.stderr + told.stdout
    wait_for(lambda: (_echoscu(node, calling="MR8"), _address_refusals(node))[1])
    _put(node, "MR8", networks=["127.0.0.0/8"])
    wait_for(lambda: _echoscu(node, calling="MR8").returncode == 0, 5)


def _address_refusals(node: ServingNode) -> list[RefusalRecord]:
    return [one for one in node.refusals() if one.cause is Cause.ADDRESS and one.visitor.calling_ae == "MR8"]


def test_a_peer_with_too_many_associations_is_asked_to_come_again_and_others_are_not(node: ServingNode) -> None:
    _put(node, "MR7", maximum_associations=2)
    wait_for(lambda: _echoscu(node, calling="MR7").returncode == 0, 5)
    port = node.settings.dicom_port
    inside = [wait_for(lambda: _inside(port, "MR7")) for _ in range(2)]
    # A receiver that has not read the new row yet says that it knows no such title.
    wait_for(lambda: "Local Limit Exceeded" in (told := _echoscu(node, calling="MR7")).stderr + told.stdout, 5)
    assert _refusal(node, Cause.LIMIT, "MR7").said == "MR7 has 2 associations open, as many as it may"
    assert _echoscu(node).returncode == 0
    inside[0].release()
    inside[1].abort()
    wait_for(lambda: _echoscu(node, calling="MR7").returncode == 0, 5)


def _inside(port: int, calling: str) -> Any:
    association = associate(port, calling=calling, called=TITLE)
    return association if association.is_established else None


def test_who_talks_something_else_is_noted_with_what_it_did(node: ServingNode) -> None:
    with connect(node.settings.dicom_port) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
        browser.recv(100)
    assert _refusal(node, Cause.PROTOCOL, "").visitor.peer_address == "127.0.0.1"


def test_the_page_and_the_programs_see_the_refusals(node: ServingNode) -> None:
    _echoscu(node, calling="NOSY")
    _refusal(node, Cause.CALLING_AE, "NOSY")
    told = httpx.get(f"{node.url}/api/refusals").json()
    assert "calling AE title NOSY is no peer of this node" in [one["said"] for one in told]
    assert "(last: " in httpx.get(node.url).text


def test_too_many_associations_in_all_are_asked_to_come_again(tmp_path: Path) -> None:
    with _serving(
        tmp_path, SCANNER, replace(SCANNER, ae_title=AETitle("CT1")), maximum_associations=2, receivers=3
    ) as node:
        port = node.settings.dicom_port
        wait_for(lambda: _echoscu(node, calling="CT1").returncode == 0)
        inside = [_inside(port, title) for title in ("SCANNER", "CT1")]
        assert all(inside)
        told = _echoscu(node)
        assert "Local Limit Exceeded" in told.stderr + told.stdout
        inside[0].release()
        wait_for(lambda: _echoscu(node).returncode == 0, 5)
        inside[1].release()


def test_echo_goes_both_ways_and_stays_on_the_peer(node: ServingNode, start_storescp: StartStorescp) -> None:
    storescp = start_storescp()
    _put(node, "STORESCP", host="127.0.0.1", port=storescp.port)
    told = httpx.post(f"{node.url}/api/peers/STORESCP/echo", timeout=30).json()
    assert (told["succeeded"], told["failure"]) == (True, "")
    wait_for(lambda: _echoscu(node, calling="STORESCP").returncode == 0, 5)
    heard = wait_for(lambda: _known(node, "STORESCP")["heard_at"] and _known(node, "STORESCP"))
    assert heard["heard_from"] == "127.0.0.1"
    assert heard["echo"] == told


def test_an_echo_tells_storescps_own_words_when_it_refuses(node: ServingNode, start_storescp: StartStorescp) -> None:
    storescp = start_storescp("--refuse")
    _put(node, "REFUSER", host="127.0.0.1", port=storescp.port)
    told = httpx.post(f"{node.url}/api/peers/REFUSER/echo", timeout=30).json()
    assert told["succeeded"] is False
    assert told["failure"] == "REFUSER did not let DICOMNODE in: rejected for good by the application: no reason given"


def _known(node: ServingNode, title: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{node.url}/api/peers/{title}").json()
    return found
