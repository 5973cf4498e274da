"""The node is killed in the middle of its work; after a restart the series arrives once, whole."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes import COPY_RULE, RememberingPacs, ServingNode, unpack_brain, wait_until

pytestmark = [pytest.mark.peer, pytest.mark.crash, pytest.mark.timeout(300)]


@pytest.fixture
def pacs() -> Iterator[RememberingPacs]:
    with RememberingPacs() as running:
        yield running


def _derived_uids(node: ServingNode) -> list[str]:
    """Which instances the spool holds of the derived series, read from the node's own archive."""
    import httpx

    (derivation,) = node.derivations()
    series = f"{node.url}/dicom-web/studies/{_study(node)}/series/{derivation.series_instance_uid}"
    found = httpx.get(f"{series}/instances", timeout=30).json()
    return sorted(item["00080018"]["Value"][0] for item in found)


def _study(node: ServingNode) -> str:
    from tests.nodes import BRAIN_STUDY

    return BRAIN_STUDY


@pytest.mark.parametrize("seconds_into_it", [0.2, 1.5, 4.0])
def test_killed_in_derive_it_derives_once(tmp_path: Path, pacs: RememberingPacs, seconds_into_it: float) -> None:
    t1, t2 = unpack_brain(tmp_path / "study")
    node = ServingNode(tmp_path / "node", pacs.destination)
    node.start()
    try:
        node.send([*t1, *t2])
        node.wait_for("running")
        time.sleep(seconds_into_it)
        node.kill()
        assert not pacs.received
        node.start()
        node.wait_for("derived")
        node.wait_delivered()
        assert len(node.derivations()) == 1
        assert sorted(pacs.received) == _derived_uids(node)
        assert len(pacs.received) == len(t2)
    finally:
        node.kill()


@pytest.mark.parametrize("sent_before_the_kill", [1, 20, 54])
def test_killed_in_deliver_the_series_arrives_whole(
    tmp_path: Path, pacs: RememberingPacs, sent_before_the_kill: int
) -> None:
    pacs.seconds_per_instance = 0.03
    _t1, t2 = unpack_brain(tmp_path / "study")
    node = ServingNode(tmp_path / "node", pacs.destination, rules=COPY_RULE)
    node.start()
    try:
        node.send(t2)
        wait_until(lambda: len(pacs.received) >= sent_before_the_kill, 120, "the first instances at the PACS")
        node.kill()
        sent = len(pacs.received)
        node.start()
        node.wait_delivered()
        arrived = Counter(pacs.received)
        assert sorted(arrived) == _derived_uids(node)
        assert len(arrived) == len(t2)
        # A send whose answer was never recorded is repeated: the same SOP Instance UID, which a PACS holds once.
        assert sum(arrived.values()) <= len(t2) + sent + 1
        assert len(node.derivations()) == 1
    finally:
        node.kill()


def test_killed_while_receiving_what_was_acknowledged_is_there(tmp_path: Path, pacs: RememberingPacs) -> None:
    t1, _t2 = unpack_brain(tmp_path / "study")
    node = ServingNode(tmp_path / "node", pacs.destination, rules=COPY_RULE)
    node.start()
    try:
        node.send(t1[:40])
        node.kill()
        node.start()
        import httpx

        found = httpx.get(f"{node.url}/dicom-web/studies/{_study(node)}/instances?limit=1000", timeout=30).json()
        assert len(found) == 40
    finally:
        node.kill()
