"""Places: taken when an association comes in, and given back however it ends; the words for each cause."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from pynetdicom.association import Association

from dicomnode.dimse import admission
from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.domain.door import Cause, Door, Refusal, UnknownPeers
from dicomnode.domain.uids import AETitle
from tests.dimse.conftest import NODE, associate
from tests.dimse.porter import Porter
from tests.dimse.shelf import Shelf
from tests.dimse.wire import ACCEPTED, REJECTED, association_request, connect, pdu, read_pdu
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def only_our_own_log(caplog: pytest.LogCaptureFixture) -> None:
    """Broken associations are told by pynetdicom as errors; they are expected here."""
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")


@pytest.fixture(scope="module")
def lasting_porter() -> Porter:
    return Porter(Door(called_ae=(NODE,)), maximum_associations=3)


@pytest.fixture(scope="module")
def scp(lasting_porter: Porter) -> Iterator[StorageSCP]:
    scp = _listener(lasting_porter)
    yield scp
    # A listener that is stopped while pynetdicom still waits for a peer's farewell ends that thread with an error.
    wait_for(lambda: not any(isinstance(thread, Association) for thread in threading.enumerate()))
    scp.stop()


def _listener(porter: Porter) -> StorageSCP:
    listening = Listening(host="127.0.0.1", port=0, ae_title=NODE, doorkeeper=porter, idle_seconds=3)
    scp = StorageSCP(listening, Shelf())
    scp.start()
    return scp


@pytest.fixture
def porter(lasting_porter: Porter) -> Porter:
    """The doorkeeper of that listener, when nobody of an earlier test is inside any more."""
    wait_for(lambda: not lasting_porter.inside)
    lasting_porter.clear()
    return lasting_porter


@pytest.mark.parametrize("end", [Association.release, Association.abort, Association.kill])
def test_the_place_comes_back_however_the_peer_ends(
    scp: StorageSCP, porter: Porter, end: Callable[[Association], None]
) -> None:
    association = associate(scp.port)
    assert [one.calling_ae for one in porter.inside] == ["SCANNER"]
    end(association)
    if association.dul.socket is not None:
        association.dul.socket.close()
    wait_for(lambda: not porter.inside)


@pytest.mark.parametrize("last_words", [pdu(0x05, bytes(4)), pdu(0x07, bytes(4)), b"nonsense", b""])
def test_the_place_comes_back_whatever_the_peer_says_last(scp: StorageSCP, porter: Porter, last_words: bytes) -> None:
    with connect(scp.port) as connection:
        connection.sendall(association_request())
        assert read_pdu(connection)[0] == ACCEPTED
        assert len(porter.inside) == 1
        connection.sendall(last_words)
    wait_for(lambda: not porter.inside)


def test_a_peer_that_is_gone_before_it_is_let_in_leaves_no_place_taken(scp: StorageSCP, porter: Porter) -> None:
    for _ in range(5):
        with connect(scp.port) as connection:
            connection.sendall(association_request())
    # Each is judged in a thread of its own: until all five were, "nobody is inside" may only mean "not yet".
    wait_for(lambda: porter.left + len(porter.away) == 5)
    assert not porter.inside


def test_stopping_gives_all_places_back() -> None:
    porter = Porter(Door(called_ae=(NODE,)), maximum_associations=3)
    scp = _listener(porter)
    inside = [associate(scp.port) for _ in range(3)]
    assert all(association.is_established for association in inside)
    scp.stop()
    wait_for(lambda: not porter.inside)
    assert [refusal.cause for _visitor, refusal in porter.away] == []


def test_of_many_at_once_no_more_come_in_than_may(scp: StorageSCP, porter: Porter) -> None:
    answers: list[int] = []
    inside = threading.Barrier(9)

    def knock() -> None:
        with connect(scp.port) as connection:
            connection.sendall(association_request())
            answers.append(read_pdu(connection)[0])
            inside.wait(20)

    threads = [threading.Thread(target=knock) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(answers) == 8)
    assert sorted(answers) == [ACCEPTED] * 3 + [REJECTED] * 5
    inside.wait(20)
    for thread in threads:
        thread.join()
    wait_for(lambda: not porter.inside)


@pytest.mark.parametrize(
    ("cause", "numbers"),
    [
        (Cause.CALLED_AE, b"\x01\x01\x07"),
        (Cause.CALLING_AE, b"\x01\x01\x03"),
        (Cause.ADDRESS, b"\x01\x01\x03"),
        (Cause.LIMIT, b"\x02\x03\x02"),
        (Cause.CONGESTION, b"\x02\x03\x01"),
    ],
)
def test_each_cause_has_its_numbers_on_the_wire(
    scp: StorageSCP, porter: Porter, monkeypatch: pytest.MonkeyPatch, cause: Cause, numbers: bytes
) -> None:
    """PS3.8 Table 9-21: result, source, reason."""
    refusal = Refusal(cause=cause, said="because")
    monkeypatch.setattr(porter, "admit", lambda _association: refusal)
    with connect(scp.port) as connection:
        connection.sendall(association_request())
        assert read_pdu(connection) == (REJECTED, b"\0" + numbers)
    ((visitor, noted),) = wait_for(lambda: porter.away)
    assert (visitor.calling_ae, visitor.called_ae, noted) == ("RAW", "NODE", refusal)
    # A listener that is stopped while pynetdicom still waits for the peer's farewell ends that thread with an error.
    wait_for(lambda: not any(isinstance(thread, Association) for thread in threading.enumerate()))


def test_who_only_connects_does_not_keep_out_who_asks(
    scp: StorageSCP, porter: Porter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_MOST_WAITING", 4)
    waiting = [connect(scp.port, seconds=0.3) for _ in range(7)]
    kept = [connection for connection in waiting if not _is_closed(connection)]
    assert len(kept) == 4
    assert [refusal.cause for _visitor, refusal in porter.away] == [Cause.LIMIT] * 3
    kept.pop().close()
    asking = wait_for(lambda: (again := associate(scp.port)).is_established and again)
    assert isinstance(asking, Association)
    asking.release()
    for connection in waiting:
        connection.close()


def _is_closed(connection: socket.socket) -> bool:
    """Whether the listener has ended a connection."""
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False


def test_turning_a_crowd_away_leaves_no_thread_behind(
    scp: StorageSCP, porter: Porter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(porter, "_door", Door(called_ae=(NODE,), unknown_peers=UnknownPeers.REFUSE))
    before = threading.active_count()
    for _ in range(20):
        with connect(scp.port) as connection:
            connection.sendall(association_request())
            assert read_pdu(connection)[0] == REJECTED
    begun = time.monotonic()
    wait_for(lambda: threading.active_count() <= before)
    assert time.monotonic() - begun < 5
    assert AETitle("RAW") not in [one.calling_ae for one in porter.inside]
