"""The node's sender and listener against a real Orthanc."""

from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.dimse.storage_scp import StorageSCP
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DestinationRefused
from dicomnode.domain.uids import AETitle
from tests.builders import a_series, write_series
from tests.dimse.instances import data_set_of, outgoing, series_in
from tests.dimse.shelf import Shelf
from tests.peers.conftest import NODE, Orthanc
from tests.waiting import wait_for

pytestmark = pytest.mark.peer


def _sender(orthanc: Orthanc) -> StorageSCU:
    return StorageSCU(orthanc.endpoint, NODE, timeout_seconds=10)


def test_an_echo_finds_orthanc(orthanc: Orthanc) -> None:
    VerificationSCU(NODE).echo(orthanc.endpoint)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        JPEGLSLossless,
        RLELossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_orthanc_holds_what_the_node_sent(orthanc: Orthanc, tmp_path: Path, syntax: UID) -> None:
    items = series_in(tmp_path, syntax)
    outcomes = _sender(orthanc).store(items)
    assert [(outcome.status, outcome.stored) for outcome in outcomes] == [(0, True)] * len(items)
    assert orthanc.sop_instance_uids() == {item.sop_instance_uid for item in items}

    kept = dcmread(BytesIO(orthanc.file(items[0].sop_instance_uid)))
    assert kept.file_meta.TransferSyntaxUID == syntax
    assert kept.to_json() == dcmread(items[0].file).to_json()


def test_the_same_series_again_is_stored_again_without_a_second_copy(orthanc: Orthanc, tmp_path: Path) -> None:
    items = series_in(tmp_path)
    for _ in range(2):
        assert all(outcome.stored for outcome in _sender(orthanc).store(items))
    assert orthanc.sop_instance_uids() == {item.sop_instance_uid for item in items}


def test_orthanc_under_another_title_refuses_for_good(orthanc: Orthanc, tmp_path: Path) -> None:
    wrong = Endpoint(name="orthanc", ae_title=AETitle("WRONG"), host="127.0.0.1", port=orthanc.dicom_port)
    with pytest.raises(DestinationRefused, match="called AE title not recognized"):
        StorageSCU(wrong, NODE).store(series_in(tmp_path))


def test_the_node_takes_what_orthanc_forwards(orthanc: Orthanc, scp: StorageSCP, shelf: Shelf, tmp_path: Path) -> None:
    items = series_in(tmp_path)
    _sender(orthanc).store(items)
    node = {"AET": "NODE", "Host": "127.0.0.1", "Port": scp.port, "LocalAet": "STORESCU"}
    httpx.put(f"{orthanc.url}/modalities/node", json=node).raise_for_status()
    (study,) = httpx.get(f"{orthanc.url}/studies").raise_for_status().json()
    sent = httpx.post(f"{orthanc.url}/modalities/node/store", content=study, timeout=60).raise_for_status().json()
    assert sent["InstancesCount"] == len(items)

    arrived = wait_for(lambda: len(shelf.accepted) == len(items) and dict(_by_uid(shelf)))
    assert arrived == {item.sop_instance_uid: data_set_of(item) for item in items}


def _by_uid(shelf: Shelf) -> list[tuple[str, bytes]]:
    return [(offered.sop_instance_uid, data) for offered, data in shelf.accepted]


def test_orthanc_shows_and_finds_the_mark_of_synthetic_data(orthanc: Orthanc, tmp_path: Path) -> None:
    """(0008,001C) is younger than its DCMTK; the fixture's dictionary entry is what a site has to add, too."""
    paths = write_series(tmp_path, a_series(slices=2, SyntheticData="YES"))
    _sender(orthanc).store(tuple(outgoing(path) for path in paths))
    found = httpx.get(
        f"{orthanc.dicomweb_url}/instances",
        params={"0008001C": "YES", "includefield": "0008001C"},
        headers={"Accept": "application/dicom+json"},
    ).raise_for_status()
    assert [instance["0008001C"]["Value"] for instance in found.json()] == [["YES"], ["YES"]]
