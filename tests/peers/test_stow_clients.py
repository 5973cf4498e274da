"""Foreign clients of the node's DICOMweb: dicomweb-client, and Orthanc's plug-in, against a node that serves."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from dicomnode.dimse.storage_scu import StorageSCU
from tests.builders import a_series, uid, write_series
from tests.dimse.instances import data_set_of, outgoing
from tests.nodes import RememberingPacs, ServingNode
from tests.peers.conftest import NODE, Orthanc

pytestmark = pytest.mark.peer

CANNOT_UNDERSTAND = 0xC001


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServingNode]:
    with RememberingPacs() as pacs:
        node = ServingNode(tmp_path / "node", pacs.destination)
        node.start()
        yield node
        node.stop()


@pytest.fixture
def client(node: ServingNode) -> DICOMwebClient:
    return DICOMwebClient(url=f"{node.url}/dicom-web")


def as_read(folder: Path, series: Sequence[Dataset]) -> list[FileDataset]:
    """Read a series from files: the client writes a data set of another origin without its preamble (pydicom 3)."""
    return [dcmread(path) for path in write_series(folder, series)]


def stored(response: Dataset) -> list[tuple[str, str]]:
    """Class and UID of each instance that a Store Instances Response names as stored."""
    items: Sequence[Dataset] = response.get("ReferencedSOPSequence", [])
    return [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in items]


@pytest.mark.parametrize("slices", [1, 40])
def test_dicomweb_client_stores_and_finds_again_what_it_stored(
    node: ServingNode, client: DICOMwebClient, tmp_path: Path, slices: int
) -> None:
    series = as_read(tmp_path, a_series(slices=slices))
    response = client.store_instances(series)
    assert stored(response) == [(one.SOPClassUID, one.SOPInstanceUID) for one in series]
    assert "FailedSOPSequence" not in response
    # The client's Host header leaves the port out, and the addresses are those that it named.
    assert response.RetrieveURL == f"http://{node.settings.web_host}/dicom-web/studies/{uid('study')}"
    places = [item.RetrieveURL for item in response.ReferencedSOPSequence]
    assert all(place.startswith(f"{response.RetrieveURL}/series/{uid('study', 'series')}/") for place in places)

    found = client.search_for_instances(study_instance_uid=uid("study"), limit=100)
    assert {one["00080018"]["Value"][0] for one in found} == {one.SOPInstanceUID for one in series}
    headers = client.retrieve_series_metadata(uid("study"), uid("study", "series"))
    assert {one["00200013"]["Value"][0] for one in headers} == {one.InstanceNumber for one in series}
    given = {one.SOPInstanceUID: one for one in client.retrieve_series(uid("study"), uid("study", "series"))}
    assert {name: one.PixelData for name, one in given.items()} == {one.SOPInstanceUID: one.PixelData for one in series}
    assert all(given[one.SOPInstanceUID] == one for one in series)


def test_dicomweb_client_is_told_which_instance_was_not_taken(client: DICOMwebClient, tmp_path: Path) -> None:
    good, bad = as_read(tmp_path, a_series(slices=2))
    del bad.SeriesInstanceUID
    response = client.store_instances([good, bad])
    assert stored(response) == [(good.SOPClassUID, good.SOPInstanceUID)]
    (failed,) = response.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == (bad.SOPInstanceUID, CANNOT_UNDERSTAND)


def test_dicomweb_client_reads_one_frame_as_it_was_stored(client: DICOMwebClient, tmp_path: Path) -> None:
    (one,) = as_read(tmp_path, a_series(slices=1))
    client.store_instances([one], study_instance_uid=one.StudyInstanceUID)
    (frame,) = client.retrieve_instance_frames(one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID, [1])
    assert frame == one.PixelData


def test_orthanc_sends_a_study_by_stow(node: ServingNode, orthanc: Orthanc, tmp_path: Path) -> None:
    series = a_series(slices=12)
    items = tuple(outgoing(path) for path in write_series(tmp_path / "series", series))
    StorageSCU(orthanc.endpoint, NODE).store(items)
    httpx.put(f"{orthanc.dicomweb_url}/servers/node", json={"Url": f"{node.url}/dicom-web/"}).raise_for_status()
    (study,) = httpx.get(f"{orthanc.url}/studies").raise_for_status().json()
    job = {"Resources": [study], "Synchronous": True}
    sent = httpx.post(f"{orthanc.dicomweb_url}/servers/node/stow", json=job, timeout=60).raise_for_status().json()
    assert sent["InstancesCount"] == str(len(series))
    for item, one in zip(items, series, strict=True):
        place = f"studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        given = httpx.get(f"{node.url}/dicom-web/{place}", headers={"Accept": accept}).raise_for_status().content
        assert data_set_of(item) in given


def test_orthanc_sends_a_study_by_c_store(node: ServingNode, orthanc: Orthanc, tmp_path: Path) -> None:
    """By C-STORE, the way a site would set it up."""
    series = a_series(slices=12)
    items = tuple(outgoing(path) for path in write_series(tmp_path / "series", series))
    StorageSCU(orthanc.endpoint, NODE).store(items)
    settings = node.settings
    modality = {"AET": settings.ae_title, "Host": "127.0.0.1", "Port": settings.dicom_port}
    httpx.put(f"{orthanc.url}/modalities/node", json=modality).raise_for_status()
    (study,) = httpx.get(f"{orthanc.url}/studies").raise_for_status().json()
    sent = httpx.post(f"{orthanc.url}/modalities/node/store", content=study, timeout=60).raise_for_status().json()
    assert (sent["InstancesCount"], sent["FailedInstancesCount"]) == (len(series), 0)
    found = httpx.get(f"{node.url}/dicom-web/studies/{uid('study')}/instances").raise_for_status().json()
    assert {one["00080018"]["Value"][0] for one in found} == {one.SOPInstanceUID for one in series}
