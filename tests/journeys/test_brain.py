"""The real study through a real node: once, again, and with one more slice."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.nodes import BRAIN_STUDY, COPY_RULE, RememberingPacs, ServingNode, unpack_brain

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]


@pytest.fixture
def pacs() -> Iterator[RememberingPacs]:
    with RememberingPacs() as running:
        yield running


def _serving(folder: Path, pacs: RememberingPacs, rules: str | None) -> Iterator[ServingNode]:
    serving = ServingNode(folder, pacs.destination, rules)
    serving.start()
    yield serving
    serving.stop()


@pytest.fixture
def node(tmp_path: Path, pacs: RememberingPacs) -> Iterator[ServingNode]:
    """A node with the rules and the model that ship."""
    yield from _serving(tmp_path / "node", pacs, None)


@pytest.fixture
def copying_node(tmp_path: Path, pacs: RememberingPacs) -> Iterator[ServingNode]:
    """A node that copies a T2 series: the same journey, without the time a model takes."""
    yield from _serving(tmp_path / "node", pacs, COPY_RULE)


def test_once_again_and_with_one_more_slice(tmp_path: Path, node: ServingNode, pacs: RememberingPacs) -> None:
    t1, t2 = unpack_brain(tmp_path / "study")
    node.send([*t1, *t2[:-1]])
    first = node.wait_for("derived")
    node.wait_delivered()
    once = sorted(pacs.received)
    assert len(once) == len(t2) - 1

    node.send([*t1, *t2[:-1]])
    node.send([t2[-1]])
    second = node.wait_for("derived", revision=2)
    node.wait_delivered(times=2)
    assert second.key != first.key
    assert len(pacs.received) == len(once) + len(t2)
    assert not set(once) & set(pacs.received[len(once) :])
    by_revision = {one.revision: one for one in node.derivations()}
    assert by_revision[1].state == "superseded"
    assert by_revision[2].report is not None
    assert by_revision[2].report["series_description"].endswith("rev 2")
    told = " ".join(event.text for event in node.events())
    assert "revision 1" in told
    assert "revision 2" in told


def test_its_own_output_coming_back_makes_no_new_work(
    tmp_path: Path, copying_node: ServingNode, pacs: RememberingPacs
) -> None:
    _t1, t2 = unpack_brain(tmp_path / "study")
    copying_node.send(t2)
    derivation = copying_node.wait_for("derived")
    copying_node.wait_delivered()
    series = f"{copying_node.url}/dicom-web/studies/{BRAIN_STUDY}/series/{derivation.series_instance_uid}/instances"
    instances = [item["00080018"]["Value"][0] for item in httpx.get(series, timeout=30).json()]
    back = tmp_path / "back"
    back.mkdir()
    for uid in instances:
        body = httpx.get(f"{series}/{uid}", headers={"Accept": 'multipart/related; type="application/dicom"'}).content
        start = body.index(b"DICM") - 128
        (back / f"{uid}.dcm").write_bytes(body[start : body.rindex(b"\r\n--")])
    events_before = len(copying_node.events())
    copying_node.send(sorted(back.iterdir()))
    assert len(copying_node.derivations()) == 1
    assert len(pacs.received) == len(t2)
    assert len(copying_node.events()) == events_before


def test_patient_data_is_not_in_the_log(tmp_path: Path, copying_node: ServingNode) -> None:
    _t1, t2 = unpack_brain(tmp_path / "study")
    copying_node.send(t2)
    copying_node.wait_for("derived")
    copying_node.wait_delivered()
    log = (copying_node.folder / "node.log").read_text()
    for secret in ("SpiralCSI", "DST-1.3.12.2.1107.5.2.32.35235", "19860101", "GAGOSKI"):
        assert secret not in log
