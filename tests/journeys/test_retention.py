"""A running node removes what is delivered, and a study that comes again goes the whole way again."""

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from dicomnode.node.settings import as_environment
from tests.builders import T2, a_series, uid, write_series
from tests.nodes import COPY_RULE, RememberingPacs, ServingNode, wait_until

pytestmark = pytest.mark.peer

STUDY = uid("study")
KEEP_SECONDS = 3


def _told(node: ServingNode, step: str, state: str) -> list[str]:
    return [event.text for event in node.events(STUDY) if (event.step, event.state) == (step, state)]


def _send_and_wait(node: ServingNode, files: list[Path], times: int) -> None:
    node.send(files)
    wait_until(lambda: len(_told(node, "deliver", "done")) == times, 90, f"delivery {times}")
    time.sleep(KEEP_SECONDS)


def _retention_now(node: ServingNode) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "dicomnode.node.cli", "retention", "--now"],
        env={**os.environ, **as_environment(node.settings)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return ended.stdout


def test_a_study_is_removed_when_it_is_delivered_and_comes_again_as_if_it_were_new(tmp_path: Path) -> None:
    files = write_series(tmp_path / "t2", a_series(series="t2", slices=3, shape=(16, 12), **T2))
    with RememberingPacs() as pacs:
        node = ServingNode(tmp_path / "node", pacs.destination, rules=COPY_RULE, keep_days=KEEP_SECONDS / 86_400)
        node.start()
        try:
            _send_and_wait(node, files, 1)
            # A node looks for what may go when it starts, and again when it has rested.
            node.stop()
            node.start()
            wait_until(lambda: len(_told(node, "retain", "removed")) == 1, 60, "the first removal")
            assert httpx.get(f"{node.url}/dicom-web/studies", timeout=30).status_code == httpx.codes.NO_CONTENT
            assert STUDY in httpx.get(f"{node.url}/studies/{STUDY}", timeout=30).text

            _send_and_wait(node, files, 2)
            assert f"removed study {STUDY}: 6 instances" in " ".join(_retention_now(node).split())
            (derivation,) = node.derivations(STUDY)
            assert (derivation.state, derivation.round, derivation.revision) == ("removed", 2, 2)
            assert sorted(Counter(pacs.received).values()) == [2, 2, 2]
        finally:
            node.kill()
