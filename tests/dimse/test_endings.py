"""How an association ended is told once for each that may have brought instances, whoever ends it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.domain.association import Association
from tests.dimse.conftest import associate
from tests.dimse.instances import opaque_file
from tests.dimse.porter import listening_at
from tests.dimse.shelf import Shelf
from tests.waiting import wait_for


class Ends:
    """Remembers how associations ended (domain.ports.AssociationEnds)."""

    def __init__(self) -> None:
        self.told: list[tuple[Association, bool]] = []
        self._lock = threading.Lock()

    def ended(self, association: Association, *, is_released: bool) -> None:
        with self._lock:
            self.told.append((association, is_released))


@pytest.fixture
def ends() -> Ends:
    return Ends()


@pytest.fixture
def listener(ends: Ends, shelf: Shelf) -> Iterator[StorageSCP]:
    scp = StorageSCP(listening_at(), shelf, (), ends)
    scp.start()
    yield scp
    scp.stop()


def test_a_release_is_told_with_who_was_there(listener: StorageSCP, ends: Ends, shelf: Shelf, tmp_path: Path) -> None:
    association = associate(listener.port, calling="MR-1")
    assert association.send_c_store(Path(opaque_file(tmp_path, "one").file)).Status == 0
    assert ends.told == []
    association.release()
    ((told, is_released),) = wait_for(lambda: ends.told)
    assert (told.calling_ae, told.called_ae, is_released) == ("MR-1", "NODE", True)
    ((offered, _data),) = shelf.accepted
    assert offered.association.serial == told.serial > 0


def test_an_abort_is_told_as_one(listener: StorageSCP, ends: Ends, tmp_path: Path) -> None:
    association = associate(listener.port)
    assert association.send_c_store(Path(opaque_file(tmp_path, "one").file)).Status == 0
    association.abort()
    assert [is_released for _told, is_released in wait_for(lambda: ends.told)] == [False]


def test_a_connection_that_is_cut_is_told_as_no_release(listener: StorageSCP, ends: Ends) -> None:
    association = associate(listener.port)
    transport = association.dul.socket
    assert transport is not None
    assert transport.socket is not None
    transport.socket.close()
    assert [is_released for _told, is_released in wait_for(lambda: ends.told)] == [False]


def test_each_association_is_told_once_and_by_a_serial_of_its_own(listener: StorageSCP, ends: Ends) -> None:
    opened = [associate(listener.port) for _ in range(4)]
    for association in opened:
        association.release()
    told = wait_for(lambda: ends.told if len(ends.told) == len(opened) else None)
    assert len({association.serial for association, _is_released in told}) == len(opened)
    listener.stop()
    assert len(ends.told) == len(opened)
