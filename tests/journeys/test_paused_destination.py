"""A destination that is paused gets nothing, over a restart of the node, and everything when it is resumed."""

import time
from pathlib import Path

import httpx
import pytest

from tests.nodes import COPY_RULE, RememberingPacs, ServingNode, unpack_brain, wait_until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]


def _press(node: ServingNode, verb: str, **body: str) -> str:
    answer = httpx.post(f"{node.url}/api/destinations/pacs/{verb}", json=body or None, timeout=30)
    assert answer.status_code == 200, answer.text
    said: str = answer.json()["said"]
    return said


def test_nothing_goes_to_a_paused_destination_and_all_of_it_when_it_is_resumed(tmp_path: Path) -> None:
    _t1, t2 = unpack_brain(tmp_path / "study")
    with RememberingPacs() as pacs:
        node = ServingNode(tmp_path / "node", pacs.destination, COPY_RULE)
        node.start()
        try:
            assert _press(node, "pause", reason="it is moved") == "pacs is paused; what goes there waits."
            node.send(t2)
            node.wait_for("derived")
            wait_until(
                lambda: any("pacs is paused by local (it is moved)" in event.text for event in node.events()),
                30,
                "the timeline to say that the delivery waits",
            )
            node.stop()
            node.start()
            time.sleep(3)
            assert pacs.received == []
            (state,) = httpx.get(f"{node.url}/api/destinations", timeout=30).json()
            assert (state["waiting"], state["paused_by"], state["pause_reason"]) == (len(t2), "local", "it is moved")
            assert _press(node, "resume") == "pacs is resumed; 1 derived series that waited go there now."
            node.wait_delivered()
            assert len(set(pacs.received)) == len(pacs.received) == len(t2)
        finally:
            node.stop()
