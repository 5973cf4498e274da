"""The listener: what is sent arrives byte for byte, success comes last, and who does not belong stays outside."""

import logging
import socket
import threading
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import ALL_TRANSFER_SYNTAXES
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicomnode.dimse.presentation import EXPLICIT_LITTLE_ENDIAN, VERIFICATION, storage_sop_classes
from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.door import Cause, UnknownPeers
from dicomnode.domain.errors import (
    DataSetMismatch,
    DicomnodeError,
    InvalidSettings,
    InvalidValue,
    LedgerUnavailable,
    MalformedInstance,
    SpoolFull,
)
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from tests.dimse.conftest import NODE, Listeners, associate
from tests.dimse.instances import MR_IMAGE_STORAGE, data_set_of, opaque_file, series_files
from tests.dimse.porter import Porter, listening_at, open_door
from tests.dimse.shelf import Shelf
from tests.dimse.wire import REJECTED, association_request, connect, read_pdu
from tests.waiting import wait_for

IMPLICIT_LITTLE_ENDIAN, EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
JPEG_2000_LOSSLESS, JPEG_BASELINE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
RETIRED_ULTRASOUND, RETIRED_NUCLEAR_MEDICINE = "1.2.840.10008.5.1.4.1.1.6", "1.2.840.10008.5.1.4.1.1.5"
SIEMENS_CSA_NON_IMAGE = "1.3.12.2.1107.5.9.1"
SCANNER, MR1 = AETitle("SCANNER"), AETitle("MR1")
STRICT: dict[str, Any] = {"peers": {MR1: Peer(ae_title=MR1)}, "unknown_peers": UnknownPeers.REFUSE}


def a_peer(*networks: str) -> Peer:
    return Peer(ae_title=SCANNER, networks=tuple(ip_network(network) for network in networks))


ELSEWHERE = {SCANNER: a_peer("10.0.0.0/8")}


def _answer(association: Association, file: str, number: int = 1) -> Dataset:
    return association.send_c_store(Path(file), msg_id=number)


def _rejection(association: Association) -> tuple[int | None, int | None, int | None]:
    assert not association.is_established
    # A rejection that comes at once may still wait to be read when pynetdicom sees the connection end.
    answer = association.acceptor.primitive or association.dul.peek_next_pdu()
    assert isinstance(answer, A_ASSOCIATE)
    return answer.result, answer.result_source, answer.diagnostic


def test_bytes_arrive_as_they_were_sent_in_every_transfer_syntax(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    sent = [
        opaque_file(tmp_path, f"in {syntax}", transfer_syntax=syntax, size=4000 + 2 * number)
        for number, syntax in enumerate(ALL_TRANSFER_SYNTAXES)
    ]
    association = associate(scp.port, *((MR_IMAGE_STORAGE, syntax) for syntax in ALL_TRANSFER_SYNTAXES))
    assert [_answer(association, item.file).Status for item in sent] == [0] * len(sent)
    association.release()

    assert {EXPLICIT_BIG_ENDIAN, JPEG_2000_LOSSLESS} <= set(ALL_TRANSFER_SYNTAXES)
    for item, (offered, data) in zip(sent, shelf.accepted, strict=True):
        assert data == data_set_of(item)
        assert (offered.sop_class_uid, offered.sop_instance_uid, offered.transfer_syntax_uid) == (
            item.sop_class_uid,
            item.sop_instance_uid,
            item.transfer_syntax_uid,
        )
    assert shelf.discarded == 0


def test_who_sent_it_is_known(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    association = associate(scp.port)
    _answer(association, opaque_file(tmp_path, "one").file)
    association.release()
    sender = shelf.accepted[0][0].association
    assert (sender.calling_ae, sender.called_ae, sender.peer_address) == ("SCANNER", "NODE", "127.0.0.1")


def test_a_real_series_arrives_in_the_order_it_was_sent(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    series = series_files(tmp_path)
    association = associate(scp.port)
    for number, item in enumerate(series, start=1):
        assert _answer(association, item.file, number).Status == 0
    association.release()
    assert [data for _offered, data in shelf.accepted] == [data_set_of(item) for item in series]


@pytest.mark.parametrize("size", [0, 1, 2, 16_381, 16_382, 5_000_001])
def test_instances_of_any_size_arrive_whole(scp: StorageSCP, shelf: Shelf, tmp_path: Path, size: int) -> None:
    item = opaque_file(tmp_path, "sized", size=size)
    association = associate(scp.port)
    assert _answer(association, item.file).Status == 0
    association.release()
    assert shelf.accepted[0][1] == data_set_of(item)


def test_associations_side_by_side_do_not_mix(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    sent = {name: [opaque_file(tmp_path, f"{name}-{n}", size=20_000) for n in range(5)] for name in ("A", "B", "C")}

    def send(name: str) -> None:
        association = associate(scp.port, calling=name)
        for item in sent[name]:
            assert _answer(association, item.file).Status == 0
        association.release()

    threads = [threading.Thread(target=send, args=(name,)) for name in sent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    arrived = {offered.sop_instance_uid: (offered.association.calling_ae, data) for offered, data in shelf.accepted}
    assert arrived == {
        item.sop_instance_uid: (name, data_set_of(item)) for name, items in sent.items() for item in items
    }


def test_an_echo_is_answered_and_noted(scp: StorageSCP, porter: Porter) -> None:
    association = associate(scp.port, (VERIFICATION, IMPLICIT_LITTLE_ENDIAN))
    assert association.send_c_echo().Status == 0
    association.release()
    assert [echo.calling_ae for echo in porter.echoes] == ["SCANNER"]


@pytest.mark.parametrize("moment", ["open", "write", "accept"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpoolFull("the disk refused the bytes (No space left on device)"), 0xA700),
        (LedgerUnavailable("the database did not take the change (OperationalError)"), 0xA700),
        (DataSetMismatch("the data set is another instance than announced"), 0xA900),
        (MalformedInstance("no Study Instance UID"), 0xC001),
        (InvalidValue("not a SOPInstanceUID"), 0xC000),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_cannot_be_kept_is_refused_with_status_and_reason(
    scp: StorageSCP, shelf: Shelf, tmp_path: Path, moment: str, error: DicomnodeError, status: int
) -> None:
    shelf.fails = {moment: error}
    item = opaque_file(tmp_path, "one")
    association = associate(scp.port)
    answer = _answer(association, item.file)
    assert (answer.Status, answer.ErrorComment) == (status, error.reason[:64])
    assert shelf.accepted == []
    assert shelf.discarded == (0 if moment == "open" else 1)

    shelf.fails = {}
    assert _answer(association, item.file).Status == 0
    association.release()


def test_any_reason_is_made_into_one_comment_of_64_plain_characters(
    scp: StorageSCP, shelf: Shelf, tmp_path: Path
) -> None:
    shelf.fails = {"accept": SpoolFull("“voll” on C:\\spool, für immer " * 3)}
    association = associate(scp.port)
    answer = _answer(association, opaque_file(tmp_path, "one").file)
    association.release()
    assert (answer.Status, answer.ErrorComment) == (0xA700, ("?voll? on C:/spool, f?r immer " * 3)[:64])


def test_a_defect_in_the_node_is_no_success_and_the_next_association_is_served(
    scp: StorageSCP, shelf: Shelf, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.fails = {"accept": ZeroDivisionError("a defect")}
    item = opaque_file(tmp_path, "one")
    association = associate(scp.port)
    with caplog.at_level(logging.CRITICAL):
        assert "Status" not in _answer(association, item.file)
        association.join(5)
    assert association.is_aborted
    assert shelf.discarded == 1
    shelf.fails = {}
    again = associate(scp.port)
    assert _answer(again, item.file).Status == 0
    again.release()


@pytest.mark.parametrize(
    ("door", "calling", "called", "diagnostic", "cause", "said"),
    [
        ({}, "SCANNER", "OTHER", 7, Cause.CALLED_AE, "called AE title OTHER"),
        ({}, "SCANNER", "node", 7, Cause.CALLED_AE, "called AE title node"),
        (STRICT, "SCANNER", "NODE", 3, Cause.CALLING_AE, "calling AE title SCANNER"),
        (STRICT, "SCANNER", "OTHER", 7, Cause.CALLED_AE, "called AE title OTHER"),
        ({"peers": ELSEWHERE}, "SCANNER", "NODE", 3, Cause.ADDRESS, "address 127.0.0.1"),
    ],
)
def test_who_does_not_belong_is_rejected_with_the_standards_reason(
    listeners: Listeners,
    door: dict[str, Any],
    calling: str,
    called: str,
    diagnostic: int,
    cause: Cause,
    said: str,
) -> None:
    """PS3.8 Table 9-21: rejected permanent, by the service user, 3 or 7."""
    scp = listeners.listen(**door)
    assert _rejection(associate(scp.port, calling=calling, called=called)) == (1, 1, diagnostic)
    ((visitor, refusal),) = wait_for(lambda: listeners.porters[scp].away)
    assert (visitor.calling_ae, visitor.called_ae, visitor.peer_address) == (calling, called, "127.0.0.1")
    assert refusal.cause is cause
    assert refusal.said.startswith(said)


@pytest.mark.parametrize(
    "door",
    [
        {"peers": {SCANNER: Peer(ae_title=SCANNER)}, "unknown_peers": UnknownPeers.REFUSE},
        {"called_ae": (NODE, AETitle("STAT"))},
        {"peers": {SCANNER: a_peer("10.0.0.0/8", "127.0.0.0/8")}},
    ],
    ids=["a peer", "either title", "one of its networks"],
)
def test_who_is_on_the_lists_comes_in(listeners: Listeners, door: dict[str, Any]) -> None:
    scp = listeners.listen(**door)
    association = associate(scp.port)
    assert association.is_established
    association.release()


def test_an_ipv4_peer_of_a_listener_on_every_address_is_held_against_ipv4_networks(
    listeners: Listeners,
) -> None:
    scp = listeners.listen(host="::", peers={SCANNER: a_peer("127.0.0.0/8")})
    association = associate(scp.port)
    assert association.is_established
    association.release()
    assert _rejection(associate(scp.port, host="::1")) == (1, 1, 3)


def test_a_refusal_that_cannot_be_recorded_is_a_refusal_all_the_same(
    scp: StorageSCP, porter: Porter, caplog: pytest.LogCaptureFixture
) -> None:
    porter.fails = LedgerUnavailable("the database did not take the change (OperationalError)")
    with caplog.at_level(logging.CRITICAL):
        assert _rejection(associate(scp.port, called="OTHER")) == (1, 1, 7)
    association = associate(scp.port)
    assert association.is_established
    association.release()


def test_one_association_too_many_is_asked_to_come_again(listeners: Listeners) -> None:
    """PS3.8 Table 9-21: rejected transient, by the presentation layer, local limit exceeded."""
    scp = listeners.listen(maximum_associations=2)
    inside = [associate(scp.port) for _ in range(2)]
    assert _rejection(associate(scp.port)) == (2, 3, 2)
    ((_visitor, refusal),) = listeners.porters[scp].away
    assert refusal.cause is Cause.LIMIT
    inside[0].release()
    latest = wait_for(lambda: (again := associate(scp.port)).is_established and again)
    for association in (inside[1], latest):
        assert isinstance(association, Association)
        association.release()


def test_every_storage_class_of_the_dictionary_is_taken(scp: StorageSCP) -> None:
    """A sender can offer 128 contexts at a time (PS3.8 section 9.3.2.2: odd numbers from 1 to 255)."""
    classes = storage_sop_classes()
    assert len(classes) > 128
    for first in range(0, len(classes), 128):
        offered = classes[first : first + 128]
        association = associate(scp.port, *((sop_class, IMPLICIT_LITTLE_ENDIAN) for sop_class in offered))
        assert {str(context.abstract_syntax) for context in association.accepted_contexts} == set(offered)
        association.release()


@pytest.mark.parametrize("sop_class", [RETIRED_ULTRASOUND, RETIRED_NUCLEAR_MEDICINE])
def test_instances_of_retired_classes_are_kept(scp: StorageSCP, shelf: Shelf, tmp_path: Path, sop_class: str) -> None:
    item = opaque_file(tmp_path, "old", sop_class=sop_class)
    association = associate(scp.port, (sop_class, EXPLICIT_LITTLE_ENDIAN))
    assert _answer(association, item.file).Status == 0
    association.release()
    assert shelf.accepted[0][1] == data_set_of(item)


def test_a_private_class_is_not_accepted_and_stands_in_nobodys_way(
    scp: StorageSCP, shelf: Shelf, tmp_path: Path
) -> None:
    association = associate(
        scp.port, (SIEMENS_CSA_NON_IMAGE, EXPLICIT_LITTLE_ENDIAN), (MR_IMAGE_STORAGE, EXPLICIT_LITTLE_ENDIAN)
    )
    assert [(context.abstract_syntax, context.result) for context in association.rejected_contexts] == [
        (SIEMENS_CSA_NON_IMAGE, 3)
    ]
    assert _answer(association, opaque_file(tmp_path, "one").file).Status == 0
    association.release()
    assert len(shelf.accepted) == 1


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ([JPEG_BASELINE, IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN], EXPLICIT_LITTLE_ENDIAN),
        ([JPEG_BASELINE, IMPLICIT_LITTLE_ENDIAN], IMPLICIT_LITTLE_ENDIAN),
        ([JPEG_BASELINE, JPEG_2000_LOSSLESS], None),
        ([JPEG_BASELINE], JPEG_BASELINE),
    ],
)
def test_a_sender_is_never_made_to_compress(scp: StorageSCP, offered: list[str], taken: str | None) -> None:
    association = associate(scp.port, (MR_IMAGE_STORAGE, offered))
    (context,) = association.accepted_contexts
    association.release()
    assert str(context.transfer_syntax[0]) in offered
    if taken is not None:
        assert context.transfer_syntax[0] == taken


def test_the_same_class_in_several_contexts_is_taken_in_each(scp: StorageSCP) -> None:
    syntaxes = [IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN, JPEG_2000_LOSSLESS]
    association = associate(scp.port, *((MR_IMAGE_STORAGE, syntax) for syntax in syntaxes))
    assert [context.transfer_syntax[0] for context in association.accepted_contexts] == syntaxes
    association.release()


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="only Linux lets a receiver hurry its ACK")
def test_a_sender_with_nagles_algorithm_is_not_kept_waiting(scp: StorageSCP, tmp_path: Path) -> None:
    """The foreign sender leaves it on, as DCMTK does: each delayed ACK would cost 40 ms."""
    items = [opaque_file(tmp_path, f"n{number}", size=200) for number in range(40)]
    association = associate(scp.port)
    waits = []
    for item in items:
        begun = time.monotonic()
        assert _answer(association, item.file).Status == 0
        waits.append(time.monotonic() - begun)
    association.release()
    assert sorted(waits)[len(waits) // 4] < 0.035


def test_stopping_ends_open_associations_and_gives_the_port_back(shelf: Shelf) -> None:
    scp = StorageSCP(listening_at(), shelf)
    scp.start()
    port = scp.port
    association = associate(port)
    scp.stop()
    wait_for(lambda: association.is_aborted)
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", port))
    scp.stop()


def test_a_port_that_is_taken_is_a_setting_to_correct(scp: StorageSCP, shelf: Shelf) -> None:
    second = StorageSCP(listening_at(port=scp.port), shelf)
    with pytest.raises(InvalidSettings, match=f"cannot listen on 127.0.0.1 port {scp.port}"):
        second.start()
    second.stop()


def test_two_listeners_that_agree_to_it_share_a_port() -> None:
    sharing = replace(listening_at(), reuse_port=True)
    first = StorageSCP(sharing, Shelf())
    first.start()
    second = StorageSCP(replace(sharing, port=first.port, doorkeeper=open_door()), Shelf())
    second.start()
    association = associate(first.port)
    assert association.is_established
    association.release()
    first.stop()
    for _ in range(4):
        association = associate(second.port)
        assert association.is_established
        association.release()
    second.stop()


def test_a_listener_stops_at_once_whatever_its_connections_are_at() -> None:
    """pynetdicom's own end would abort where the standard knows no abort, and break its thread."""
    scp = StorageSCP(replace(listening_at(), idle_seconds=60), Shelf())
    scp.start()
    silent, rejected = connect(scp.port), connect(scp.port)
    rejected.sendall(association_request(called=b"SOMEBODY"))
    assert read_pdu(rejected)[0] == REJECTED
    inside = associate(scp.port)
    assert inside.is_established
    begun = time.monotonic()
    scp.stop()
    assert time.monotonic() - begun < 5
    assert [silent.recv(1), rejected.recv(1)] == [b"", b""]
    wait_for(lambda: inside.is_aborted)
    silent.close()
    rejected.close()
