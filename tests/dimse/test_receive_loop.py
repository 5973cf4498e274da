"""One loop for all associations: what ends together is accepted together, and nobody has to suffer for another."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from dicomnode.dimse.receive_loop import Channel, ReceiveLoop, Why
from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.errors import SpoolFull
from tests.dimse.conftest import Listeners
from tests.dimse.shelf import Shelf
from tests.dimse.wire import (
    ABORTED,
    ACCEPTED,
    DATA,
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
    """Broken associations are told by pynetdicom; they are expected here."""
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")
    caplog.handler.setLevel(logging.NOTSET)


@pytest.fixture
def inside(scp: StorageSCP, shelf: Shelf) -> Iterator[list[socket.socket]]:
    """Four associations, opened by hand."""
    connections = [_associated(scp.port) for _ in range(4)]
    yield connections
    shelf.is_open.set()
    for connection in connections:
        connection.close()


def _associated(port: int) -> socket.socket:
    connection = connect(port)
    connection.sendall(association_request())
    assert read_pdu(connection)[0] == ACCEPTED
    return connection


def _instance(number: int, size: int = 3000) -> bytes:
    return store_command(f"1.2.{number}") + data_pdu(bytes([number % 256]) * size, control=2)


def _status(connection: socket.socket) -> int:
    kind, body = read_pdu(connection)
    assert kind == DATA
    place = body.index(b"\0\0\0\x09\x02\0\0\0") + 8
    return int.from_bytes(body[place : place + 2], "little")


def test_what_ends_while_a_group_is_accepted_is_the_next_group(
    scp: StorageSCP, shelf: Shelf, inside: list[socket.socket]
) -> None:
    first, *others = inside
    shelf.is_open.clear()
    first.sendall(_instance(0))
    assert wait_for(lambda: shelf.batches == [1])
    for number, connection in enumerate(others, start=1):
        connection.sendall(_instance(number))
    time.sleep(0.2)
    assert shelf.batches == [1], "nobody may be answered, and nothing be accepted, while the first is not durable"
    shelf.is_open.set()
    assert [_status(connection) for connection in inside] == [0] * 4
    assert shelf.batches == [1, 3]


def test_in_a_group_only_the_one_that_failed_is_refused(
    scp: StorageSCP, shelf: Shelf, inside: list[socket.socket]
) -> None:
    first, *others = inside
    shelf.is_open.clear()
    first.sendall(_instance(0))
    assert wait_for(lambda: shelf.batches == [1])
    shelf.fails_for["1.2.2"] = SpoolFull("no room for this one")
    for number, connection in enumerate(others, start=1):
        connection.sendall(_instance(number))
    shelf.is_open.set()
    assert [_status(connection) for connection in inside] == [0, 0, 0xA700, 0]


def test_a_peer_that_reads_no_answers_keeps_nobody_else_waiting(
    scp: StorageSCP, shelf: Shelf, inside: list[socket.socket]
) -> None:
    deaf, *others = inside
    many = 40_000
    sender = threading.Thread(target=deaf.sendall, args=(b"".join(_instance(7, size=2) for _ in range(many)),))
    sender.start()
    for connection in others:
        for number in range(20):
            connection.sendall(_instance(number))
            assert _status(connection) == 0
    assert [_status(deaf) for _ in range(many)] == [0] * many
    sender.join()
    assert len(shelf.accepted) == many + 60


def test_a_defect_ends_the_associations_it_met_and_no_other(
    scp: StorageSCP, shelf: Shelf, inside: list[socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    met, other, *_rest = inside
    shelf.fails["accept"] = RuntimeError("Patient^Name would stand here")
    met.sendall(_instance(0))
    assert read_pdu(met)[0] == ABORTED
    shelf.fails.clear()
    other.sendall(_instance(1))
    assert _status(other) == 0
    assert "RuntimeError" in caplog.text
    assert "Patient^Name" not in caplog.text


def test_other_services_and_stores_may_follow_each_other_without_a_pause(listeners: Listeners, shelf: Shelf) -> None:
    scp = listeners.listen()
    request = association_request()
    with closing(connect(scp.port)) as connection:
        connection.sendall(request)
        assert read_pdu(connection)[0] == ACCEPTED
        connection.sendall(_instance(1) + _foreign() + _instance(2) + pdu(0x05, bytes(4)))
        kinds = []
        while (kind := read_pdu(connection)[0]) not in (0, ABORTED):
            kinds.append(kind)
    assert [offered.sop_instance_uid for offered, _data in shelf.accepted] == ["1.2.1", "1.2.2"]
    assert kinds.count(DATA) >= 2
    assert kinds[-1] == 0x06


def _foreign() -> bytes:
    """A C-ECHO request on the context of the images: not this loop's, and pynetdicom's to answer."""
    elements = (
        (0x0002, b"1.2.840.10008.1.1\0"),
        (0x0100, b"\x30\0"),
        (0x0110, b"\x07\0"),
        (0x0800, b"\x01\x01"),
    )
    encoded = b"".join(
        b"\0\0" + element.to_bytes(2, "little") + len(value).to_bytes(4, "little") + value
        for element, value in elements
    )
    return data_pdu(bytes.fromhex("0000000004000000") + len(encoded).to_bytes(4, "little") + encoded, control=3)


def test_whoever_sends_slowly_is_not_taken_for_idle(listeners: Listeners, shelf: Shelf) -> None:
    scp = listeners.listen(idle_seconds=1.5)
    with closing(_associated(scp.port)) as connection:
        connection.sendall(store_command("1.2.3"))
        for _ in range(8):
            time.sleep(0.5)
            connection.sendall(data_pdu(bytes(100), control=0))
        connection.sendall(data_pdu(bytes(100), control=2))
        assert _status(connection) == 0
    assert len(shelf.accepted[0][1]) == 900


def test_whoever_stops_in_the_middle_is_let_go_and_leaves_nothing(listeners: Listeners, shelf: Shelf) -> None:
    scp = listeners.listen(idle_seconds=1.5)
    with closing(_associated(scp.port)) as connection:
        connection.sendall(store_command("1.2.3") + data_pdu(bytes(1000), control=2)[:500])
        assert read_pdu(connection)[0] in (0, ABORTED)
    assert wait_for(lambda: shelf.discarded == 1)
    assert shelf.accepted == []


def test_a_stopped_loop_gives_every_connection_back() -> None:
    loop = ReceiveLoop(lambda ended: [])
    loop.start()
    ours, theirs = socket.socketpair()
    rung = threading.Event()
    with ours, theirs:
        channel = Channel(ours, _NoService(), rung.set)  # type: ignore[arg-type]
        loop.adopt(channel)
        loop.stop()
        assert rung.wait(5)
        returned = channel.take_returned()
        assert returned is not None
        assert returned.why is Why.CLOSED
        loop.withdraw(channel)
        assert not channel.is_with_loop


def test_a_connection_that_was_closed_after_it_was_lent_is_given_back_and_the_loop_goes_on() -> None:
    loop = ReceiveLoop(lambda ended: [])
    loop.start()
    ours, theirs = socket.socketpair()
    rung = threading.Event()
    channel = Channel(ours, _NoService(), rung.set)  # type: ignore[arg-type]
    channel.lend()
    ours.close()
    loop._order(loop._register, channel)
    assert rung.wait(5)
    assert loop._thread.is_alive()
    loop.stop()
    theirs.close()


def test_a_connection_whose_number_is_anothers_by_now_takes_nothing_from_it() -> None:
    loop = ReceiveLoop(lambda ended: [])
    loop.start()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        old, new = (Channel(ours, _NoService(), lambda: None) for _ in range(2))  # type: ignore[arg-type]
        old.lend()
        loop.adopt(new)
        loop.withdraw(old)
        assert loop._channels == {ours.fileno(): new}
        loop.stop()


class _NoService:
    def take_ended(self) -> tuple[()]:
        return ()
