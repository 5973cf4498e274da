"""DCMTK's programs against the node's listener, and the node's sender against DCMTK's listener."""

import subprocess
import time
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)
from pynetdicom.dsutils import decode

from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.errors import DeliveryError, SpoolFull
from tests.dimse.instances import data_set_of, opaque_file, outgoing, series_in
from tests.dimse.shelf import Shelf
from tests.peers.conftest import NODE, WITHOUT_DELAY, StartStorescp, Storescp, program

pytestmark = pytest.mark.peer

PROPOSE = {
    ImplicitVRLittleEndian: "-xi",
    ExplicitVRLittleEndian: "-xe",
    ExplicitVRBigEndian: "-xb",
    DeflatedExplicitVRLittleEndian: "-xd",
    JPEGLSLossless: "-xt",
    RLELossless: "-xr",
}
"""What tells storescu to propose a transfer syntax."""
each_syntax = pytest.mark.parametrize("syntax", PROPOSE, ids=lambda syntax: syntax.name)


def _run(name: str, *words: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program(name), *words],
        env=WITHOUT_DELAY if environment is None else environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_echoscu_is_answered(scp: StorageSCP) -> None:
    echo = _run("echoscu", "-aec", "NODE", "127.0.0.1", str(scp.port))
    assert (echo.returncode, echo.stderr) == (0, "")


@each_syntax
def test_storescu_stores_in_each_transfer_syntax_as_sent(
    scp: StorageSCP, shelf: Shelf, tmp_path: Path, syntax: UID
) -> None:
    items = series_in(tmp_path / "series", syntax)
    sent = _run("storescu", PROPOSE[syntax], "-aec", "NODE", "127.0.0.1", str(scp.port), *(item.file for item in items))
    assert sent.returncode == 0, sent.stderr
    assert [offered.sop_instance_uid for offered, _data in shelf.accepted] == [item.sop_instance_uid for item in items]
    assert {offered.transfer_syntax_uid for offered, _data in shelf.accepted} == {str(syntax)}
    for item, (_offered, data) in zip(items, shelf.accepted, strict=True):
        assert _values(data, syntax) == _values(data_set_of(item), syntax)


def _values(encoded: bytes, syntax: UID) -> str:
    """Read an encoded data set: DCMTK writes anew what it sends, so lengths may differ where values do not."""
    data_set = decode(BytesIO(encoded), syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    return data_set.to_json()


def test_dcmsend_stores_a_whole_folder(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    items = series_in(tmp_path / "study" / "series", slices=20)
    sent = _run("dcmsend", "-aec", "NODE", "127.0.0.1", str(scp.port), "+sd", "+r", str(tmp_path / "study"))
    assert sent.returncode == 0, sent.stderr
    stored = {offered.sop_instance_uid: data for offered, data in shelf.accepted}
    assert stored.keys() == {item.sop_instance_uid for item in items}
    assert {offered.association.calling_ae for offered, _data in shelf.accepted} == {"DCMSEND"}


def test_storescu_is_told_when_there_is_no_room(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    shelf.fails = {"accept": SpoolFull("the disk refused the bytes (No space left on device)")}
    (item, *_rest) = series_in(tmp_path)
    sent = _run("storescu", "-v", "-aec", "NODE", "127.0.0.1", str(scp.port), item.file)
    assert "Refused: OutOfResources" in sent.stdout + sent.stderr
    assert shelf.accepted == []


def test_storescu_is_told_that_the_title_it_calls_is_another(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    (item, *_rest) = series_in(tmp_path)
    sent = _run("storescu", "-aec", "OTHER", "127.0.0.1", str(scp.port), item.file)
    assert sent.returncode != 0
    assert "Called AE Title Not Recognized" in sent.stderr
    assert shelf.accepted == []


def test_a_sender_as_dcmtk_ships_it_is_not_kept_waiting(scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    """Without TCP_NODELAY in its environment storescu waits for our ACK, 44 ms for each instance if it is delayed."""
    items = series_in(tmp_path, slices=60)
    plain = {name: value for name, value in WITHOUT_DELAY.items() if name != "TCP_NODELAY"}
    begun = time.monotonic()
    sent = _run(
        "storescu", "-aec", "NODE", "127.0.0.1", str(scp.port), *(item.file for item in items), environment=plain
    )
    seconds = time.monotonic() - begun
    assert sent.returncode == 0, sent.stderr
    assert len(shelf.accepted) == 60
    assert seconds < 60 * 0.040


def _sender(storescp: Storescp) -> StorageSCU:
    return StorageSCU(storescp.endpoint, NODE, timeout_seconds=10)


def test_an_echo_finds_storescp(start_storescp: StartStorescp) -> None:
    VerificationSCU(NODE).echo(start_storescp().endpoint)


@each_syntax
def test_storescp_gets_what_the_node_sends_byte_for_byte(
    start_storescp: StartStorescp, tmp_path: Path, syntax: UID
) -> None:
    storescp = start_storescp("+B", "+xa")
    items = series_in(tmp_path / "series", syntax)
    outcomes = _sender(storescp).store(items)
    assert [(outcome.status, outcome.stored) for outcome in outcomes] == [(0, True)] * len(items)

    written = {outgoing(path).sop_instance_uid: path for path in storescp.folder.iterdir()}
    for item in items:
        assert data_set_of(outgoing(written[item.sop_instance_uid])) == data_set_of(item)


def test_what_storescp_does_not_take_is_refused_and_the_rest_is_stored(
    start_storescp: StartStorescp, tmp_path: Path
) -> None:
    items = (
        *series_in(tmp_path / "plain"),
        opaque_file(tmp_path, "compressed", transfer_syntax=str(JPEGLSLossless)),
    )
    outcomes = _sender(start_storescp("+x=")).store(items)
    assert {outcome.sop_instance_uid: (outcome.status, outcome.stored) for outcome in outcomes} == {
        **{item.sop_instance_uid: (0, True) for item in items[:-1]},
        items[-1].sop_instance_uid: (0x0122, False),
    }


@pytest.mark.parametrize("leave", ["--abort-during", "--abort-after"])
def test_instances_that_storescp_aborted_may_be_sent_again(
    start_storescp: StartStorescp, tmp_path: Path, leave: str
) -> None:
    items = series_in(tmp_path / "series")
    outcomes = _sender(start_storescp(leave)).store(items)
    assert [(outcome.stored, outcome.retryable) for outcome in outcomes] == [(False, True)] * len(items)


def test_a_storescp_that_refuses_associations_has_nothing(start_storescp: StartStorescp, tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match="storescp did not let NODE in"):
        _sender(start_storescp("--refuse")).store(series_in(tmp_path / "series"))
