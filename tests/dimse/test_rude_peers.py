"""Peers that break off, fall silent or talk nonsense: nothing of theirs is kept, and the next one is served."""

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pynetdicom.association import Association

from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.door import Cause
from tests.dimse.conftest import Listeners, associate
from tests.dimse.instances import opaque_file
from tests.dimse.porter import Porter
from tests.dimse.shelf import Shelf
from tests.dimse.wire import (
    ABORTED,
    ACCEPTED,
    DATA,
    REJECTED,
    association_request,
    connect,
    data_pdu,
    pdu,
    read_pdu,
    store_command,
)
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def only_our_own_log(caplog: pytest.LogCaptureFixture) -> None:
    """Broken associations are told by pynetdicom with tracebacks; they are expected here."""
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")


def _serves(port: int, shelf: Shelf, folder: Path) -> bool:
    """Whether the next peer can store an instance, once there is place for it."""
    item = opaque_file(folder, "next")
    association = wait_for(lambda: (asked := associate(port)).is_established and asked)
    assert isinstance(association, Association)
    stored = association.send_c_store(Path(item.file)).get("Status") == 0
    association.release()
    return stored and shelf.accepted[-1][0].sop_instance_uid == item.sop_instance_uid


def _inside(port: int) -> socket.socket:
    """Open an association by hand, once there is place for it."""
    return wait_for(lambda: _accepted(port))


def _accepted(port: int) -> socket.socket | None:
    connection = connect(port)
    connection.sendall(association_request())
    if read_pdu(connection)[0] == ACCEPTED:
        return connection
    connection.close()
    return None


def _reset(connection: socket.socket) -> None:
    """Break off as a machine that lost its power or its cable does: with a reset, not a farewell."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def test_a_data_set_written_by_hand_is_kept(scp: StorageSCP, shelf: Shelf) -> None:
    """The peer of the following tests does what is right, until it does not."""
    with _inside(scp.port) as connection:
        connection.sendall(store_command() + data_pdu(b"one ", control=0) + data_pdu(b"two!", control=2))
        kind, _body = read_pdu(connection)
    assert kind == DATA
    ((offered, data),) = shelf.accepted
    assert (offered.sop_instance_uid, offered.association.calling_ae, data) == ("1.2.3", "RAW", b"one two!")


BEGUN = {
    "nothing": b"",
    "the command": store_command(),
    "half a data set": store_command() + data_pdu(b"x" * 5000, control=0),
    "half a PDU": store_command() + data_pdu(b"x" * 5000, control=2)[:100],
}
NONSENSE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: node\r\n\r\n",
    "noise": b"\xff" * 64,
    "an empty request": pdu(0x01, b"\0" * 80),
    "an unknown PDU": pdu(0x09, b""),
    "TLS": b"\x16\x03\x01",
}


@pytest.mark.parametrize(
    ("source", "reason", "said"),
    [(0, 0, "the peer aborted: by the application"), (2, 6, "the peer aborted: by its upper layer: invalid PDU param")],
)
@pytest.mark.parametrize("is_inside", [False, True], ids=["before its request", "within its association"])
def test_an_abort_by_the_peer_is_told_in_its_own_words(
    scp: StorageSCP, porter: Porter, is_inside: bool, source: int, reason: int, said: str
) -> None:
    with _inside(scp.port) if is_inside else connect(scp.port) as connection:
        connection.sendall(pdu(ABORTED, bytes((0, 0, source, reason))))
        ((visitor, refusal),) = wait_for(lambda: porter.away)
    assert visitor.calling_ae == ("RAW" if is_inside else "")
    assert refusal.cause is Cause.ABORT
    assert refusal.said.startswith(said)


def test_who_only_knocks_costs_nothing_and_was_not_turned_away(scp: StorageSCP, porter: Porter) -> None:
    """Load balancers do so every second: pynetdicom would keep a thread for each of them until a timer ends."""
    before = threading.active_count()
    for _ in range(5):
        connect(scp.port).close()
    wait_for(lambda: threading.active_count() <= before)
    assert porter.away == []


@pytest.mark.parametrize("said", BEGUN.values(), ids=BEGUN.keys())
@pytest.mark.parametrize("leave", [socket.socket.close, _reset], ids=["closes", "resets"])
def test_what_a_peer_that_breaks_off_had_begun_is_not_kept(
    scp: StorageSCP, shelf: Shelf, tmp_path: Path, said: bytes, leave: Callable[[socket.socket], None]
) -> None:
    connection = _inside(scp.port)
    connection.sendall(said)
    leave(connection)
    assert _serves(scp.port, shelf, tmp_path)
    assert len(shelf.accepted) == 1


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_ends_its_own_connection_only_and_is_noted(
    scp: StorageSCP, porter: Porter, shelf: Shelf, tmp_path: Path, said: bytes
) -> None:
    with connect(scp.port) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        kind, _body = read_pdu(connection)
    assert kind in (0, ABORTED, REJECTED)
    if kind == ABORTED:
        _visitor, refusal = wait_for(lambda: porter.away)[0]
        assert refusal.cause is Cause.PROTOCOL
    assert _serves(scp.port, shelf, tmp_path)


@pytest.mark.parametrize(
    "titles",
    [
        {"calling": b"A\\B"},
        {"calling": b" "},
        {"called": b" "},
        {"calling": b"\xc4RZTE"},
        {"calling": b"A\nB"},
        {"called": b"NODE\0"},
    ],
    ids=str,
)
def test_a_title_that_the_standard_does_not_allow_never_comes_in(
    scp: StorageSCP, porter: Porter, shelf: Shelf, tmp_path: Path, titles: dict[str, Any]
) -> None:
    with connect(scp.port) as connection:
        connection.sendall(association_request(**titles))
        kind, _body = read_pdu(connection)
    assert kind in (REJECTED, ABORTED)
    visitor, refusal = wait_for(lambda: porter.away)[0]
    expected = Cause.CALLED_AE if "called" in titles else Cause.CALLING_AE
    assert refusal.cause is (expected if kind == REJECTED else Cause.PROTOCOL)
    assert all(title.isascii() and title.isprintable() for title in (visitor.calling_ae, visitor.called_ae))
    assert _serves(scp.port, shelf, tmp_path)


def test_another_called_title_is_rejected_on_the_wire_as_the_standard_says(scp: StorageSCP, porter: Porter) -> None:
    """PS3.8 Table 9-21: result 1, source 1, reason 7."""
    with connect(scp.port) as connection:
        connection.sendall(association_request(called=b"OTHER"))
        assert read_pdu(connection) == (REJECTED, b"\0\1\1\7")
        assert read_pdu(connection) == (0, b"")
    wait_for(lambda: porter.away)


@pytest.mark.parametrize("said", [b"", association_request()[:50]], ids=["nothing", "half a request"])
def test_a_peer_that_does_not_come_to_its_request_gives_its_place_back(
    listeners: Listeners, shelf: Shelf, tmp_path: Path, said: bytes
) -> None:
    scp = listeners.listen(maximum_associations=1, idle_seconds=0.5)
    with connect(scp.port) as silent:
        silent.sendall(said)
        _ends_in_time(silent)
    visitor, refusal = wait_for(lambda: listeners.porters[scp].away)[0]
    assert (visitor.peer_address, visitor.calling_ae, visitor.called_ae) == ("127.0.0.1", "", "")
    assert refusal.cause is Cause.SILENCE
    assert refusal.said == "it connected and sent no association request within 0.5 s"
    assert _serves(scp.port, shelf, tmp_path)


@pytest.mark.parametrize("said", BEGUN.values(), ids=BEGUN.keys())
def test_a_peer_that_falls_silent_gives_its_place_back(
    listeners: Listeners, shelf: Shelf, tmp_path: Path, said: bytes
) -> None:
    scp = listeners.listen(maximum_associations=1, idle_seconds=1.2)
    with _inside(scp.port) as silent:
        silent.sendall(said)
        _ends_in_time(silent)
        assert _serves(scp.port, shelf, tmp_path)
    assert len(shelf.accepted) == 1
    silences = [visitor for visitor, refusal in listeners.porters[scp].away if refusal.cause is Cause.SILENCE]
    assert [visitor.calling_ae for visitor in silences] == ["RAW"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_peer_that_does_not_wait_to_be_let_in_gives_its_place_back(
    listeners: Listeners, shelf: Shelf, tmp_path: Path
) -> None:
    """A thread of pynetdicom's may end with an error here; the connection and its place must not stay behind."""
    scp = listeners.listen(maximum_associations=1, idle_seconds=0.5)
    with connect(scp.port) as hasty:
        hasty.sendall(association_request() + store_command())
        _ends_in_time(hasty)
        assert _serves(scp.port, shelf, tmp_path)


def _ends_in_time(connection: socket.socket) -> None:
    """Wait until the listener ends a connection of a silent peer."""
    begun = time.monotonic()
    with suppress(ConnectionResetError):
        while read_pdu(connection)[0] not in (0, ABORTED):
            pass
    assert time.monotonic() - begun < 10
