"""Storage commitment and performed procedure steps with a running node: Orthanc asks, a modality comes back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import UID

from dicomnode.dimse.mpps import PERFORMED_PROCEDURE_STEP
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from dicomnode.node.settings import DestinationSettings
from tests.builders import a_series, uid, write_series
from tests.dimse.commitment_peer import IMPLICIT_LITTLE_ENDIAN, Modality, ask, named, new_transaction, request
from tests.dimse.conftest import associate
from tests.dimse.instances import outgoing
from tests.dimse.step_data_sets import STEP, a_series_item, an_end, begun
from tests.nodes import ServingNode, free_port
from tests.peers.conftest import Orthanc
from tests.waiting import wait_for

pytestmark = [pytest.mark.peer, pytest.mark.timeout(200)]

NOBODY = DestinationSettings(name="pacs", ae_title="NOBODY", host="127.0.0.1", port=9)
SLICES = 4


@contextmanager
def _serving(folder: Path, peer: Peer) -> Iterator[ServingNode]:
    node = ServingNode(folder, NOBODY)
    node.start()
    try:
        node.know(peer)
        yield node
    finally:
        node.kill()


def _told(orthanc: Orthanc, *sop_instance_uids: str) -> dict[str, Any]:
    """Let Orthanc ask the node about instances of the series, and wait for what it is told."""
    sop_class = str(a_series(slices=1)[0].SOPClassUID)
    asked = {"DicomInstances": [[sop_class, instance] for instance in sop_instance_uids], "Timeout": 30}
    answer = httpx.post(f"{orthanc.url}/modalities/node/storage-commitment", json=asked, timeout=60)
    path = answer.raise_for_status().json()["Path"]

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = httpx.get(f"{orthanc.url}{path}").raise_for_status().json()
        return None if found["Status"] == "Pending" else found

    found = wait_for(look)
    assert found is not None
    return found


def test_orthanc_asks_whether_what_it_sent_is_kept(orthanc: Orthanc, tmp_path: Path) -> None:
    series = a_series(slices=SLICES)
    files = tuple(outgoing(path) for path in write_series(tmp_path / "series", series))
    assert all(outcome.stored for outcome in StorageSCU(orthanc.endpoint, AETitle("SCANNER")).store(files))
    peer = Peer(ae_title=AETitle(orthanc.aet), host="127.0.0.1", port=orthanc.dicom_port)
    with _serving(tmp_path / "node", peer) as node:
        settings = node.settings
        modality = {"AET": settings.ae_title, "Host": "127.0.0.1", "Port": settings.dicom_port}
        httpx.put(f"{orthanc.url}/modalities/node", json=modality).raise_for_status()
        (study,) = httpx.get(f"{orthanc.url}/studies").json()
        sent = httpx.post(f"{orthanc.url}/modalities/node/store", json={"Resources": [study]}, timeout=60)
        assert sent.raise_for_status().json()["FailedInstancesCount"] == 0

        kept = _told(orthanc, *(str(dataset.SOPInstanceUID) for dataset in series))
        assert (kept["Status"], len(kept["Success"]), kept["Failures"]) == ("Success", SLICES, [])

        missing = _told(orthanc, str(series[0].SOPInstanceUID), "1.2.3")
        assert missing["Status"] == "Failure"
        assert [one["SOPInstanceUID"] for one in missing["Success"]] == [series[0].SOPInstanceUID]
        (failure,) = missing["Failures"]
        assert (failure["SOPInstanceUID"], failure["FailureReason"]) == ("1.2.3", 0x0112), failure


@pytest.mark.crash
def test_a_report_survives_the_death_of_the_node(tmp_path: Path) -> None:
    """The modality listens only after the node was killed: what it asked before is answered after the restart."""
    series, transaction, port = a_series(slices=SLICES), new_transaction(), free_port()
    asked = request(transaction, *(str(dataset.SOPInstanceUID) for dataset in series))
    with _serving(tmp_path / "node", Peer(ae_title=AETitle("SCANNER"), host="127.0.0.1", port=port)) as node:
        node.send(write_series(tmp_path / "series", series))
        listener, called = node.settings.dicom_port, node.settings.ae_title
        assert ask(listener, asked, called=called).Status == 0x0000
        node.kill()
        with Modality("SCANNER").listening(port) as modality:
            node.start()
            event_type, information = modality.report()
            assert (event_type, information.TransactionUID) == (1, transaction)
            assert named(information.ReferencedSOPSequence) == [dataset.SOPInstanceUID for dataset in series]
            events = wait_for(lambda: [event for event in node.events(uid("study")) if event.step == "commit"])
            assert events[0].text == f"SCANNER was told that {SLICES} of {SLICES} instances are kept safely."

            again = ask(listener, asked, called=called)
            assert again.Status == 0x0131
            stranger = ask(listener, asked, calling="STRANGER", called=called)
            assert stranger.Status == 0x0124
        assert len(modality.reports) == 1


def test_a_modality_tells_of_its_step(tmp_path: Path) -> None:
    study, peer = uid("study"), Peer(ae_title=AETitle("MR-1"), host="127.0.0.1", port=free_port())
    with _serving(tmp_path / "node", peer) as node:
        association = associate(
            node.settings.dicom_port,
            (PERFORMED_PROCEDURE_STEP, IMPLICIT_LITTLE_ENDIAN),
            calling="MR-1",
            called=node.settings.ae_title,
        )
        step, made = UID(STEP), a_series_item(uid("study", "series"), ["1.2.3.1", "1.2.3.2"])
        assert association.send_n_create(begun(study), PERFORMED_PROCEDURE_STEP, step)[0].Status == 0x0000
        assert association.send_n_create(begun(study), PERFORMED_PROCEDURE_STEP, step)[0].Status == 0x0111
        assert association.send_n_set(an_end("COMPLETED", [made]), PERFORMED_PROCEDURE_STEP, step)[0].Status == 0x0000
        late = association.send_n_set(an_end("DISCONTINUED", []), PERFORMED_PROCEDURE_STEP, step)[0]
        assert (late.Status, late.ErrorID) == (0x0110, 0xA506)
        unknown = association.send_n_set(an_end("COMPLETED", []), PERFORMED_PROCEDURE_STEP, UID("1.2.99"))[0]
        assert unknown.Status == 0x0112
        association.release()

        (event,) = node.events(study)
        said = "MR-1 completed its performed procedure step and says that it made 2 instances in 1 series."
        assert (event.step, event.state, event.text) == ("perform", "done", said)
    log = (tmp_path / "node" / "node.log").read_text()
    assert "Testperson" not in log
