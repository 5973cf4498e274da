"""The pages of the peers do what the interface for programs does, and say what to correct at the field it is about."""

from typing import Any

import pytest

from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.account import AccountRole
from dicomnode.domain.door import Cause, Visitor
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from dicomnode.ledger.peers import find_peer, list_peers
from dicomnode.ledger.refusals import RefusalRecord, record_refusals
from dicomnode.web.peer_form import PeerForm
from tests.dimse.porter import listening_at
from tests.dimse.shelf import Shelf
from tests.web.holdings import HOST, Browser, Holdings, visited_by
from tests.web.test_pages import Text, words

SAME_ORIGIN = {"Origin": HOST}
WHOLE = {
    "ae_title": "MR1",
    "description": "3T, room 2",
    "networks": "10.1.0.0/16\n2001:db8::/32",
    "maximum_associations": "2",
    "host": "mr1.example",
    "port": "104",
    "under_tls": "on",
    "tls_trusted": "/etc/dicomnode/authority.pem",
    "tls_certificate": "/etc/dicomnode/node.pem",
    "tls_key": "/etc/dicomnode/node.key",
}


@pytest.fixture
def browser(holdings: Holdings) -> Browser:
    return Browser(holdings.app())


def peer(holdings: Holdings, title: str = "MR1") -> Peer:
    with holdings.ledger.transaction() as tx:
        return find_peer(tx, AETitle(title)).peer


def post(browser: Browser, path: str, **fields: str) -> Any:
    return browser.post(path, data=fields, headers=SAME_ORIGIN)


def wrong(page: str) -> set[str]:
    """The fields that are marked as wrong, each of which must say why."""
    seen = Text(page)
    marked = [found for _tag, found in seen.tags if found.get("aria-invalid") == "true"]
    ids = {found.get("id") for _tag, found in seen.tags}
    assert all(found["aria-describedby"] in ids for found in marked)
    return {str(found["name"]) for found in marked}


def test_a_peer_is_added_shown_changed_and_removed(browser: Browser, holdings: Holdings) -> None:
    assert "No peer is known yet" in words(browser.get("/peers"))
    added = post(browser, "/new-peer", **WHOLE)
    assert (added.status_code, added.headers["location"]) == (303, "/peers/MR1")
    known = peer(holdings)
    assert [str(network) for network in known.networks] == ["10.1.0.0/16", "2001:db8::/32"]
    assert (known.host, known.port, known.maximum_associations) == ("mr1.example", 104, 2)
    assert known.tls is not None
    assert not known.tls.check_host_name
    assert "MR1 is a peer now" in words(browser.get("/peers/MR1"))

    shown = browser.get("/peers/MR1").text
    for value in ("mr1.example", "10.1.0.0/16", "3T, room 2", "/etc/dicomnode/node.pem"):
        assert value in shown
    post(browser, "/peers/MR1/change", description="moved")
    assert peer(holdings) == Peer(ae_title=AETitle("MR1"), description="moved")
    post(browser, "/peers/MR1/remove")
    with holdings.ledger.transaction() as tx:
        assert list_peers(tx) == ()


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"ae_title": "MUCH-TOO-LONG-A-TITLE"}, "ae_title", "AE title"),
        ({"networks": "10.1.0.0/99"}, "networks", "10.1.0.0/99"),
        ({"networks": "10.1.0.7/16"}, "networks", "host bits set"),
        ({"port": ""}, "port", "Host and port go together"),
        ({"port": "70000"}, "port", "less than or equal to 65535"),
        ({"port": "http"}, "port", "valid integer"),
        ({"maximum_associations": "0"}, "maximum_associations", "greater than or equal to 1"),
        ({"tls_trusted": ""}, "tls_trusted", "valid path"),
        ({"tls_key": ""}, "tls_key", "needs its key"),
        ({"host": "", "port": ""}, "host", "needs a host and a port"),
    ],
)
def test_what_is_no_peer_is_refused_at_its_field_and_nothing_typed_is_lost(
    browser: Browser, holdings: Holdings, changes: dict[str, str], field: str, said: str
) -> None:
    refused = post(browser, "/new-peer", **WHOLE | changes)
    told = words(refused, 422)
    assert wrong(refused.text) == {field}
    assert said in told
    for name in ("description", "tls_certificate"):
        assert WHOLE[name] in refused.text
    with holdings.ledger.transaction() as tx:
        assert list_peers(tx) == ()


def test_a_title_that_is_taken_is_refused_at_its_field(browser: Browser, holdings: Holdings) -> None:
    post(browser, "/new-peer", ae_title="MR1", description="first")
    taken = post(browser, "/new-peer", ae_title="MR1", description="second")
    assert "MR1 is a peer already" in words(taken, 409)
    assert wrong(taken.text) == {"ae_title"}
    assert peer(holdings).description == "first"


@pytest.mark.parametrize("title", ["CT/1", "A B", "MR1/echo", "new", "100%"])
def test_a_title_may_have_any_printable_character(browser: Browser, holdings: Holdings, title: str) -> None:
    where = post(browser, "/new-peer", ae_title=title).headers["location"]
    assert Text(browser.get(where).text).text.count(title) >= 1
    post(browser, f"{where}/change", description="changed")
    assert peer(holdings, title).description == "changed"
    assert where in Text(browser.get("/peers").text).attributes("a", "href")
    assert post(browser, f"{where}/remove").status_code == 303


def test_an_echo_says_at_once_how_it_went_and_stays_on_the_list(browser: Browser) -> None:
    scp = StorageSCP(listening_at("MR1"), Shelf())
    scp.start()
    try:
        post(browser, "/new-peer", ae_title="MR1", host="127.0.0.1", port=str(scp.port))
        post(browser, "/new-peer", ae_title="OTHER", host="127.0.0.1", port=str(scp.port))
        browser.get("/peers")
        assert post(browser, "/peers/MR1/echo").headers["location"] == "/peers"
        assert "MR1 answered C-ECHO in" in words(browser.get("/peers"))
        assert post(browser, "/peers/OTHER/echo?one").headers["location"] == "/peers/OTHER"
        failed = words(browser.get("/peers/OTHER"))
        assert "C-ECHO failed:" in failed
        assert "called AE title not recognized" in failed
    finally:
        scp.stop()
    assert "What to do:" in words(post(browser, "/peers/NOBODY/echo"), 404)


def test_who_was_turned_away_becomes_a_peer_with_one_link(browser: Browser, holdings: Holdings) -> None:
    assert "Nobody was turned away" in words(browser.get("/refusals"))
    now = holdings.clock.now()
    visitor = Visitor(peer_address="10.1.2.9", calling_ae="CT7", called_ae="DICOMNODE")
    said = "calling AE title CT7 is no peer of this node"
    refusal = RefusalRecord(visitor=visitor, cause=Cause.CALLING_AE, said=said, times=7, first_at=now, last_at=now)
    with holdings.ledger.transaction() as tx:
        record_refusals(tx, [refusal])
    told = words(browser.get("/refusals"))
    assert "Calling AE title CT7 is no peer of this node." in told
    assert "Make it a peer of this node" in told
    (link,) = [href for href in Text(browser.get("/refusals").text).attributes("a", "href") if href and "CT7" in href]
    form = Text(browser.get(link).text)
    fields = {str(found.get("name")): str(found.get("value")) for tag, found in form.tags if tag == "input"}
    assert fields["ae_title"] == "CT7"
    assert post(browser, "/new-peer", ae_title="CT7", networks="10.1.2.9").status_code == 303
    assert "Open peer" in words(browser.get("/refusals"))


def test_who_may_not_edit_sees_no_form_that_saves_and_no_path_of_a_key(holdings: Holdings) -> None:
    post(Browser(holdings.app()), "/new-peer", **WHOLE)
    viewer = Browser(visited_by(holdings.app(), AccountRole.VIEWER))
    shown = viewer.get("/peers/MR1").text
    assert "/etc/dicomnode" not in shown
    assert "Save" not in words(viewer.get("/peers/MR1"))
    for path in ("/new-peer", "/peers/MR1/change", "/peers/MR1/remove", "/peers/MR1/echo"):
        assert post(viewer, path, **WHOLE).status_code == 403


def test_a_form_reads_back_as_the_peer_it_was_filled_from() -> None:
    peer = PeerForm.read({**WHOLE, "tls_check_host_name": "on"}).checked()
    assert isinstance(peer, Peer)
    assert PeerForm.of(peer).checked() == peer
