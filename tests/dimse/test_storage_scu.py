"""The sender: an outcome for each instance, true to what the peer said, whatever becomes of the association."""

import logging
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.dimse.presentation import storage_sop_classes
from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.domain.delivery import Endpoint, OutgoingInstance
from dicomnode.domain.door import UnknownPeers
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable
from dicomnode.domain.uids import AETitle
from tests.dimse.conftest import Listeners
from tests.dimse.foreign import (
    CT_IMAGE_STORAGE,
    ForeignPacs,
    answer_success,
    let_in,
    reject,
    scripted_peer,
    take_instance,
)
from tests.dimse.instances import MR_IMAGE_STORAGE, data_set_of, opaque_file, series_files
from tests.dimse.shelf import Shelf


@pytest.fixture(autouse=True)
def only_our_own_log(caplog: pytest.LogCaptureFixture) -> None:
    """Failed associations are told by pynetdicom as errors; they are expected here."""
    caplog.set_level(logging.CRITICAL, logger="pynetdicom")


@pytest.fixture(scope="module")
def lasting_pacs() -> Iterator[ForeignPacs]:
    pacs = ForeignPacs()
    yield pacs
    pacs.stop()


@pytest.fixture
def pacs(lasting_pacs: ForeignPacs) -> ForeignPacs:
    lasting_pacs.clear()
    return lasting_pacs


def _sender(port: int, *, host: str = "127.0.0.1", ae_title: str = "PACS", timeout: float = 10) -> StorageSCU:
    endpoint = Endpoint(name="pacs", ae_title=AETitle(ae_title), host=host, port=port)
    return StorageSCU(endpoint, AETitle("NODE"), timeout_seconds=timeout)


def test_a_series_is_stored_byte_for_byte(pacs: ForeignPacs, tmp_path: Path) -> None:
    series = series_files(tmp_path)
    outcomes = _sender(pacs.port).store(series)

    assert [(outcome.sop_instance_uid, outcome.status, outcome.stored) for outcome in outcomes] == [
        (item.sop_instance_uid, 0, True) for item in series
    ]
    assert pacs.received == [(item.sop_instance_uid, data_set_of(item)) for item in series]
    assert pacs.associations == 1


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_a_warning_means_stored(pacs: ForeignPacs, tmp_path: Path, status: int) -> None:
    """PS3.4 Table B.2-1."""
    pacs.statuses = [(status, "elements discarded")]
    (outcome,) = _sender(pacs.port).store((opaque_file(tmp_path, "one"),))
    assert (outcome.status, outcome.stored, outcome.retryable) == (status, True, False)


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0xA900, 0xC000, 0xC123, 0x0124, 0x0110])
def test_a_failure_is_told_with_the_peers_comment(pacs: ForeignPacs, tmp_path: Path, status: int) -> None:
    """Only "out of resources" (A7xx) is worth another try as it is."""
    pacs.statuses = [(0, ""), (status, "no room")]
    items = tuple(opaque_file(tmp_path, f"n{number}") for number in range(3))
    outcomes = _sender(pacs.port).store(items)
    assert [(outcome.status, outcome.stored, outcome.retryable, outcome.comment) for outcome in outcomes] == [
        (0, True, False, ""),
        (status, False, 0xA700 <= status < 0xA800, "no room"),
        (0, True, False, ""),
    ]


def test_what_the_peer_takes_no_context_for_is_refused_and_the_rest_is_sent(pacs: ForeignPacs, tmp_path: Path) -> None:
    items = (
        opaque_file(tmp_path, "ct", sop_class=CT_IMAGE_STORAGE),
        opaque_file(tmp_path, "mr"),
        opaque_file(tmp_path, "compressed", transfer_syntax="1.2.840.10008.1.2.4.90"),
    )
    outcomes = _sender(pacs.port).store(items)
    assert {outcome.sop_instance_uid: (outcome.status, outcome.stored, outcome.retryable) for outcome in outcomes} == {
        items[0].sop_instance_uid: (0x0122, False, False),
        items[1].sop_instance_uid: (0, True, False),
        items[2].sop_instance_uid: (0x0122, False, False),
    }


def test_a_peer_that_takes_nothing_offered_refuses_it_all(pacs: ForeignPacs, tmp_path: Path) -> None:
    items = tuple(opaque_file(tmp_path, f"ct{number}", sop_class=CT_IMAGE_STORAGE) for number in range(2))
    outcomes = _sender(pacs.port).store(items)
    assert [(outcome.status, outcome.stored, outcome.retryable) for outcome in outcomes] == [(0x0122, False, False)] * 2


def test_more_kinds_than_one_association_can_offer_go_over_several(
    scp: StorageSCP, shelf: Shelf, tmp_path: Path
) -> None:
    """128 contexts are all that one association has numbers for (PS3.8 section 9.3.2.2)."""
    kinds = [(MR_IMAGE_STORAGE, f"1.2.840.10008.1.2.4.{number}") for number in (50, 57, 70, 80, 90)]
    kinds += [(f"1.2.840.10008.5.1.4.1.1.{number}", "1.2.840.10008.1.2.1") for number in _image_classes()]
    items = tuple(
        opaque_file(tmp_path, f"n{number}", sop_class=sop_class, transfer_syntax=syntax, size=100)
        for number, (sop_class, syntax) in enumerate(kinds)
    )
    assert len(items) > 128
    outcomes = _sender(scp.port, ae_title="NODE").store(items)
    assert all(outcome.stored for outcome in outcomes)
    assert {outcome.sop_instance_uid for outcome in outcomes} == {item.sop_instance_uid for item in items}
    assert len(shelf.accepted) == len(items)


def _image_classes() -> list[str]:
    """Name the storage classes under one root by the part after it."""
    root = "1.2.840.10008.5.1.4.1.1."
    return [uid.removeprefix(root) for uid in storage_sop_classes() if uid.startswith(root) and uid != MR_IMAGE_STORAGE]


def test_nothing_to_send_says_nothing() -> None:
    assert _sender(1).store(()) == ()


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DestinationUnreachable, match=f"pacs does not answer at 127.0.0.1 port {port}"):
        _sender(port).store((opaque_file(tmp_path, "one"),))


def test_a_name_without_an_address_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(DestinationUnreachable, match="no address of pacs"):
        _sender(104, host="pacs.invalid").store((opaque_file(tmp_path, "one"),))


def test_a_title_the_peer_does_not_know_is_refused_for_good_with_its_reason(pacs: ForeignPacs, tmp_path: Path) -> None:
    with pytest.raises(DestinationRefused, match=r"pacs did not let NODE in: rejected for good .* called AE title"):
        _sender(pacs.port, ae_title="WRONG").store((opaque_file(tmp_path, "one"),))


def test_a_rejection_that_may_pass_is_unreachable(tmp_path: Path) -> None:
    with (
        scripted_peer(lambda connection: reject(connection, 2, 3, 1)) as port,
        pytest.raises(DestinationUnreachable, match=r"rejected for now by its upper layer .*: temporary congestion"),
    ):
        _sender(port).store((opaque_file(tmp_path, "one"),))


def test_a_node_that_refuses_is_told_from_one_that_is_full(listeners: Listeners, shelf: Shelf, tmp_path: Path) -> None:
    scp = listeners.listen(unknown_peers=UnknownPeers.REFUSE)
    with pytest.raises(DestinationRefused, match="calling AE title not recognized"):
        _sender(scp.port, ae_title="NODE").store((opaque_file(tmp_path, "one"),))


@pytest.mark.parametrize("leave", ["close", "reset", "abort"])
def test_what_was_not_answered_when_the_peer_vanished_may_be_sent_again(tmp_path: Path, leave: str) -> None:
    def take_one_and_go(connection: socket.socket) -> None:
        let_in(connection)
        answer_success(connection, take_instance(connection))
        take_instance(connection)
        if leave == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if leave == "abort":
            connection.sendall(b"\x07\0\0\0\0\x04\0\0\0\0")

    items = tuple(opaque_file(tmp_path, f"n{number}") for number in range(4))
    with scripted_peer(take_one_and_go) as port:
        outcomes = _sender(port).store(items)
    assert [(outcome.stored, outcome.retryable) for outcome in outcomes] == [(True, False)] + [(False, True)] * 3
    assert all(outcome.comment for outcome in outcomes[1:])
    assert any("the peer aborted, by the application" in outcome.comment for outcome in outcomes) == (leave == "abort")


def test_a_peer_that_never_answers_is_given_up_in_time(tmp_path: Path) -> None:
    def take_and_be_silent(connection: socket.socket) -> None:
        let_in(connection)
        take_instance(connection)
        connection.recv(1)

    with scripted_peer(take_and_be_silent) as port:
        _is_given_up(port, tuple(opaque_file(tmp_path, f"n{number}") for number in range(3)))


def test_a_peer_that_stops_reading_is_given_up_in_time(tmp_path: Path) -> None:
    """Once the buffers between the two are full, a write waits as long as it may."""

    def read_nothing(connection: socket.socket) -> None:
        let_in(connection)
        time.sleep(2)

    with scripted_peer(read_nothing) as port:
        _is_given_up(port, (opaque_file(tmp_path, "large", size=30_000_000), opaque_file(tmp_path, "small")))


def test_a_peer_that_lets_nobody_in_is_unreachable_in_time(tmp_path: Path) -> None:
    begun = time.monotonic()
    with (
        scripted_peer(lambda connection: time.sleep(1.5)) as port,
        pytest.raises(DestinationUnreachable),
    ):
        _sender(port, timeout=0.5).store((opaque_file(tmp_path, "one"),))
    assert time.monotonic() - begun < 10


def _is_given_up(port: int, items: tuple[OutgoingInstance, ...]) -> None:
    """Check that sending ends in time and everything may be sent again."""
    begun = time.monotonic()
    outcomes = _sender(port, timeout=0.5).store(items)
    assert time.monotonic() - begun < 10
    assert [(outcome.stored, outcome.retryable) for outcome in outcomes] == [(False, True)] * len(items)
