"""A foreign sender (DCMTK) and our own make the same work of the same study: the same instances, made once."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.absence import absent
from tests.nodes import COPY_RULE, RememberingPacs, ServingNode, unpack_brain, wait_until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]


@pytest.fixture
def pacs() -> Iterator[RememberingPacs]:
    with RememberingPacs() as running:
        yield running


def _dcmsend(node: ServingNode, folder: Path) -> None:
    program = shutil.which("dcmsend")
    if program is None:
        absent("DCMTK's dcmsend")
    subprocess.run(
        [program, "-aec", node.settings.ae_title, "127.0.0.1", str(node.settings.dicom_port), "+sd", "+r", str(folder)],
        env={**os.environ, "TCP_NODELAY": "1"},
        check=True,
        timeout=120,
    )


def _serve(folder: Path, pacs: RememberingPacs) -> ServingNode:
    node = ServingNode(folder, pacs.destination, COPY_RULE)
    node.start()
    return node


def test_dcmsend_and_our_sender_give_the_same_instances_and_again_makes_nothing(
    tmp_path: Path, pacs: RememberingPacs
) -> None:
    _t1, t2 = unpack_brain(tmp_path / "study")
    ours = _serve(tmp_path / "ours", pacs)
    try:
        ours.send(t2)
        ours.wait_delivered()
    finally:
        ours.stop()
    first = sorted(pacs.received)
    assert len(first) == len(t2)

    pacs.received.clear()
    theirs = _serve(tmp_path / "theirs", pacs)
    try:
        _dcmsend(theirs, tmp_path / "study" / "t2_fse_ax")
        theirs.wait_delivered()
        assert sorted(pacs.received) == first
        assert theirs.derivations()[0].key == ours.derivations()[0].key

        events = len(theirs.events())
        _dcmsend(theirs, tmp_path / "study" / "t2_fse_ax")
        assert len(theirs.events()) == events
        assert len(pacs.received) == len(first)
        assert len(theirs.derivations()) == 1
    finally:
        theirs.stop()


def test_one_more_slice_makes_revision_2(tmp_path: Path, pacs: RememberingPacs) -> None:
    _t1, t2 = unpack_brain(tmp_path / "study")
    late = tmp_path / "late"
    late.mkdir()
    t2[-1].rename(late / t2[-1].name)
    node = _serve(tmp_path / "node", pacs)
    try:
        _dcmsend(node, tmp_path / "study" / "t2_fse_ax")
        node.wait_delivered()
        _dcmsend(node, late)
        node.wait_delivered(times=2)
        wait_until(lambda: {one.state for one in node.derivations()} == {"derived", "superseded"}, 30, "both states")
        assert [one.revision for one in node.derivations()] == [2, 1]
        assert len(pacs.received) == 2 * len(t2) - 1
    finally:
        node.stop()
