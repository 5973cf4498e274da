"""Every Reception keeps the same promises: the node's own, and the shelf that stands in for it in other tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.ports import Reception
from dicomnode.domain.uids import AETitle
from dicomnode.journey.receive import Receiving
from dicomnode.ledger.studies import find_instance
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from tests.conftest import FakeClock
from tests.dimse.instances import data_set_of, series_files
from tests.dimse.shelf import Shelf

PEER = Association(calling_ae=AETitle("SCANNER"), called_ae=AETitle("NODE"), peer_address="10.1.2.3")
Holds = Callable[[str], bool]


@pytest.fixture(params=["node", "shelf"])
def reception(
    request: pytest.FixtureRequest, ledger: Ledger, spool: Spool, clock: FakeClock
) -> tuple[Reception, Holds]:
    """A reception, and a way to ask whether an instance was accepted."""
    if request.param == "node":
        return Receiving(ledger, spool, clock), lambda uid: _is_recorded(ledger, uid)
    shelf = Shelf()
    return shelf, lambda uid: uid in {offered.sop_instance_uid for offered, _data in shelf.accepted}


def _is_recorded(ledger: Ledger, uid: str) -> bool:
    with ledger.transaction() as tx:
        try:
            find_instance(tx, uid)
        except NotInLedger:
            return False
    return True


@pytest.fixture
def offer(tmp_path: Path) -> tuple[OfferedInstance, bytes]:
    """One instance as a sender offers it, with the bytes of its data set."""
    (item,) = series_files(tmp_path / "sent", slices=1)
    offered = OfferedInstance(
        sop_class_uid=item.sop_class_uid,
        sop_instance_uid=item.sop_instance_uid,
        transfer_syntax_uid=item.transfer_syntax_uid,
        association=PEER,
    )
    return offered, data_set_of(item)


def test_nothing_is_held_before_it_is_accepted(
    reception: tuple[Reception, Holds], offer: tuple[OfferedInstance, bytes]
) -> None:
    (receives, holds), (offered, data) = reception, offer
    sink = receives.open(offered)
    sink.write(data)
    assert not holds(offered.sop_instance_uid)
    sink.accept()
    assert holds(offered.sop_instance_uid)
    sink.discard()


def test_bytes_may_come_in_any_pieces(reception: tuple[Reception, Holds], offer: tuple[OfferedInstance, bytes]) -> None:
    (receives, holds), (offered, data) = reception, offer
    sink = receives.open(offered)
    for first in range(0, len(data), 1000):
        sink.write(memoryview(data)[first : first + 1000])
    sink.accept()
    sink.discard()
    assert holds(offered.sop_instance_uid)


@pytest.mark.parametrize("pieces", [0, 1])
def test_what_is_discarded_was_never_there(
    reception: tuple[Reception, Holds], offer: tuple[OfferedInstance, bytes], pieces: int
) -> None:
    (receives, holds), (offered, data) = reception, offer
    sink = receives.open(offered)
    for _ in range(pieces):
        sink.write(data[:100])
    sink.discard()
    sink.discard()
    assert not holds(offered.sop_instance_uid)


def test_discarding_after_accepting_takes_nothing_back(
    reception: tuple[Reception, Holds], offer: tuple[OfferedInstance, bytes]
) -> None:
    (receives, holds), (offered, data) = reception, offer
    sink = receives.open(offered)
    sink.write(data)
    sink.accept()
    sink.discard()
    sink.discard()
    assert holds(offered.sop_instance_uid)


def test_the_same_instance_may_be_offered_again(
    reception: tuple[Reception, Holds], offer: tuple[OfferedInstance, bytes]
) -> None:
    (receives, holds), (offered, data) = reception, offer
    for _ in range(2):
        sink = receives.open(offered)
        sink.write(data)
        sink.accept()
        sink.discard()
    assert holds(offered.sop_instance_uid)
