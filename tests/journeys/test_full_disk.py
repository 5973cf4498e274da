"""A disk that fills up, at every point where an instance is written: nothing acknowledged is lost, and it goes on."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom.pdu_primitives import A_ASSOCIATE

from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.domain.capacity import DiskLevel, Watermark
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import LedgerUnavailable, ReceptionError, SpoolFull
from dicomnode.domain.steps import Done
from dicomnode.domain.uids import AETitle
from dicomnode.journey.deliver import Delivering, Outlet
from dicomnode.journey.receive import Receiving
from dicomnode.journey.reconcile import Reconciling
from dicomnode.ledger.studies import list_instances
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.space import SpoolSpace
from dicomnode.spool.store import Spool
from tests.builders import a_series, write_series
from tests.conftest import FakeClock
from tests.dimse.conftest import associate
from tests.dimse.porter import listening_at, open_door
from tests.dimse.shelf import Shelf
from tests.journey.bench import STUDY, data_set, offered
from tests.small_disks import SmallDisk, small_disk
from tests.web.holdings import Holdings, a_synthetic_series

pytestmark = pytest.mark.peer

GIB = 2**30
NODE = AETitle("DICOMNODE")


@dataclass
class SmallNode:
    """Spool and ledger on one small disk."""

    disk: SmallDisk
    spool: Spool
    ledger: Ledger
    clock: FakeClock
    acknowledged: list[str]

    @property
    def space(self) -> SpoolSpace:
        return SpoolSpace(self.spool.root, warn=Watermark(percent=50, size=GIB), refuse=Watermark(percent=25, size=GIB))

    def receive(self, dataset: Dataset, when: Callable[[], AbstractContextManager[None]] | None = None) -> None:
        """Take one instance as a listener does; its `accept` happens while `when` lasts."""
        sink = Receiving(self.ledger, self.spool, self.clock).open(offered(dataset))
        try:
            sink.write(data_set(dataset))
            if when is None:
                sink.accept()
            else:
                with when():
                    sink.accept()
        finally:
            sink.discard()
        self.acknowledged.append(str(dataset.SOPInstanceUID))

    def assert_nothing_is_lost(self) -> None:
        """All that was acknowledged, and nothing else, is recorded and lies whole in the spool."""
        found = Reconciling(self.ledger, self.spool, self.clock).reconcile(timedelta(0), deep=True)
        assert found.agrees
        with self.ledger.transaction() as tx:
            recorded = [one.sop_instance_uid for one in list_instances(tx, STUDY)]
        assert sorted(recorded) == sorted(set(self.acknowledged))
        assert list((self.spool.root / "incoming").iterdir()) == []


@pytest.fixture
def node(tmp_path: Path, sqlite_template: Path) -> Iterator[SmallNode]:
    with small_disk(tmp_path / "disk", mebibytes=4, inodes=600) as disk:
        shutil.copyfile(sqlite_template, disk.folder / "ledger.db")
        ledger = Ledger(f"sqlite:///{disk.folder / 'ledger.db'}")
        # The age of a file counts by the clock of the disk.
        clock = FakeClock(datetime.now(UTC) + timedelta(minutes=1))
        yield SmallNode(disk, Spool(disk.folder / "spool"), ledger, clock, [])
        ledger.close()


SERIES = a_series(slices=6, shape=(100, 100))


REFUSALS: dict[str, tuple[type[ReceptionError], str]] = {
    "open": (SpoolFull, "cannot open a file"),
    "write": (SpoolFull, "the disk refused the bytes"),
    "fsync": (SpoolFull, "could not be made durable"),
    "rename": (SpoolFull, "could not be made durable"),
    "directory fsync": (SpoolFull, "could not be made durable"),
    "commit": (LedgerUnavailable, "did not take the change"),
}


@pytest.fixture(params=REFUSALS)
def refuse_at(request: pytest.FixtureRequest, node: SmallNode, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the disk be full at one point of an instance's way; gives the verb that then must be refused."""
    point = str(request.param)

    def refuse() -> None:
        if point == "open":
            with node.disk.without_inodes():
                node.receive(SERIES[1])
        elif point == "write":
            with node.disk.filled(leaving=8192):
                node.receive(SERIES[1])
        elif point == "commit":
            # The last connection gone, the next has to make the write-ahead log anew.
            node.ledger.close()
            node.receive(SERIES[1], node.disk.filled)
        else:
            node.receive(SERIES[1], lambda: _failing(monkeypatch, point))

    return refuse


@contextmanager
def _failing(monkeypatch: pytest.MonkeyPatch, point: str) -> Iterator[None]:
    """Let the one system call that a tmpfs never refuses say that there is no space."""
    name, number = {"fsync": ("fdatasync", 1), "rename": ("rename", 1), "directory fsync": ("fsync", 1)}[point]
    really, calls = getattr(os, name), []

    def call(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, call)
        yield
    assert len(calls) >= number


def test_wherever_the_disk_is_full_nothing_acknowledged_is_lost_and_it_goes_on(
    node: SmallNode, refuse_at: Callable[[], None], request: pytest.FixtureRequest
) -> None:
    node.receive(SERIES[0])
    point = request.node.callspec.params["refuse_at"]
    error, reason = REFUSALS[point]
    with pytest.raises(error, match=reason) as raised:
        refuse_at()
    assert (raised.value.dimse_status, raised.value.retryable) == (0xA700, True)
    node.assert_nothing_is_lost()
    for dataset in SERIES[1:]:
        node.receive(dataset)
    node.assert_nothing_is_lost()
    assert len(node.acknowledged) == 6


def test_bytes_that_cannot_be_placed_are_not_lost_on_a_full_disk_either(node: SmallNode) -> None:
    sink = Receiving(node.ledger, node.spool, node.clock).open(offered(SERIES[0]))
    sink.write(b"no data set at all")
    node.ledger.close()
    with node.disk.filled(), pytest.raises(LedgerUnavailable):
        sink.accept()
    assert Reconciling(node.ledger, node.spool, node.clock).reconcile(timedelta(0)).recorded == 1


def test_it_fills_up_and_empties_again_in_the_middle_of_an_association(node: SmallNode, tmp_path: Path) -> None:
    """The marks hold before the disk is full: what is open is answered 0xA700, who comes is rejected for now."""
    files = write_series(tmp_path / "series", SERIES)
    porter = open_door(NODE)
    porter.congestion = node.space.congestion
    listening = Listening(host="127.0.0.1", port=0, ae_title=NODE, doorkeeper=porter)
    scp = StorageSCP(listening, Receiving(node.ledger, node.spool, node.clock, node.space))
    scp.start()
    try:
        inside = associate(scp.port, called=NODE)
        assert inside.send_c_store(files[0]).Status == 0
        with node.disk.filled(leaving=node.space.state().total // 5):
            assert node.space.state().level is DiskLevel.FULL
            assert [inside.send_c_store(file).Status for file in files[1:3]] == [0xA700] * 2
            late = associate(scp.port, called=NODE)
            answer = late.acceptor.primitive
            assert isinstance(answer, A_ASSOCIATE)
            assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 1)
        assert [inside.send_c_store(file).Status for file in files[1:]] == [0] * 5
        inside.release()
    finally:
        scp.stop()
    node.acknowledged += [str(dataset.SOPInstanceUID) for dataset in SERIES]
    node.assert_nothing_is_lost()


def test_deliveries_go_on_while_new_instances_are_refused(node: SmallNode) -> None:
    made = Holdings(node.ledger, node.spool, node.clock)
    source = made.receive(a_series(slices=3))
    derivation = made.ask(source)
    made.derive(derivation, a_synthetic_series("study", "derived", slices=3))
    pacs = Shelf()
    scp = StorageSCP(listening_at("PACS"), pacs)
    scp.start()
    try:
        where = Endpoint(name="pacs", ae_title=AETitle("PACS"), host="127.0.0.1", port=scp.port)
        outlets = {"pacs": Outlet(destination=StorageSCU(where, NODE))}
        delivering = Delivering(node.ledger, node.spool, node.clock, outlets, 3)
        with node.disk.filled(leaving=node.space.state().total // 5):
            with pytest.raises(SpoolFull):
                Receiving(node.ledger, node.spool, node.clock, node.space).open(offered(SERIES[0]))
            assert isinstance(delivering(derivation.key, "pacs", attempt=1), Done)
        assert len(pacs.accepted) == 3
    finally:
        scp.stop()
