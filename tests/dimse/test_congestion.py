"""While there is no room, whoever comes is asked to come again; whoever is inside may go on (PS3.8 Table 9-21)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.domain.door import Cause, Door, UnknownPeers
from dicomnode.domain.errors import SpoolFull
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from tests.dimse.conftest import NODE, associate
from tests.dimse.instances import opaque_file
from tests.dimse.porter import Porter
from tests.dimse.shelf import Shelf


class Room:
    """There is room until a test says that there is none."""

    def __init__(self) -> None:
        self.is_full = False

    def congestion(self) -> str | None:
        return "nothing is free" if self.is_full else None


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def strict_porter(room: Room) -> Porter:
    scanner = Peer(ae_title=AETitle("SCANNER"))
    door = Door(called_ae=(NODE,), peers={scanner.ae_title: scanner}, unknown_peers=UnknownPeers.REFUSE)
    porter = Porter(door)
    porter.congestion = room.congestion
    return porter


@pytest.fixture
def narrow_scp(shelf: Shelf, strict_porter: Porter) -> Iterator[StorageSCP]:
    scp = StorageSCP(Listening(host="127.0.0.1", port=0, ae_title=NODE, doorkeeper=strict_porter), shelf)
    scp.start()
    yield scp
    scp.stop()


def _rejection(port: int, **names: str) -> tuple[int | None, int | None, int | None]:
    association = associate(port, **names)
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert isinstance(answer, A_ASSOCIATE)
    return answer.result, answer.result_source, answer.diagnostic


def test_without_room_associations_are_rejected_for_now(
    narrow_scp: StorageSCP, room: Room, strict_porter: Porter, shelf: Shelf, tmp_path: Path
) -> None:
    inside = associate(narrow_scp.port)
    room.is_full = True
    assert _rejection(narrow_scp.port) == (2, 3, 1)
    shelf.fails = {"open": SpoolFull("nothing is free")}
    answer = inside.send_c_store(Path(opaque_file(tmp_path, "one").file))
    assert (answer.Status, answer.ErrorComment) == (0xA700, "nothing is free")
    assert [(refusal.cause, refusal.said) for _visitor, refusal in strict_porter.away] == [
        (Cause.CONGESTION, "nothing is free")
    ]

    room.is_full, shelf.fails = False, {}
    assert inside.send_c_store(Path(opaque_file(tmp_path, "two").file)).Status == 0
    inside.release()
    again = associate(narrow_scp.port)
    assert again.is_established
    again.release()


def test_who_does_not_belong_is_told_that_and_not_how_full_the_disk_is(narrow_scp: StorageSCP, room: Room) -> None:
    room.is_full = True
    assert _rejection(narrow_scp.port, calling="STRANGER") == (1, 1, 3)
