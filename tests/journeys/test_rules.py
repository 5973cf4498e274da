"""Rules that are published beside a running node decide its next study, and those that are rolled back do again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.ledger.studies import DecisionRecord, list_decisions
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.settings import as_environment
from tests.builders import T2, a_series, uid, write_series
from tests.nodes import COPY_RULE, RememberingPacs, ServingNode, wait_until

pytestmark = [pytest.mark.peer, pytest.mark.timeout(300)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServingNode]:
    with RememberingPacs() as pacs:
        serving = ServingNode(tmp_path / "node", pacs.destination, COPY_RULE)
        serving.start()
        yield serving
        serving.stop()


def _rules(node: ServingNode, *words: str) -> str:
    """Run `dicomnode rules` with the node's settings, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DICOMNODE_")}
    told = subprocess.run(
        [sys.executable, "-m", "dicomnode.node.cli", "rules", *words],
        env={**environment, **as_environment(node.settings)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def _decided(node: ServingNode, folder: Path, study: str) -> DecisionRecord:
    """Send a study with a T2, and wait for the one decision on it."""
    series = a_series(study=study, series=f"{study}-t2", slices=3, shape=(16, 12), **T2)
    node.send(write_series(folder / study, series))

    def look() -> DecisionRecord | None:
        ledger = Ledger(node.settings.database_url)
        try:
            with ledger.transaction() as tx:
                return next(iter(list_decisions(tx, uid(study))), None)
        finally:
            ledger.close()

    return wait_until(look, 60, f"the decision on {study}")


def test_the_next_study_is_decided_by_what_is_in_force_then(node: ServingNode, tmp_path: Path) -> None:
    first = _decided(node, tmp_path, "one")
    assert first.fired

    (tmp_path / "new.yaml").write_text(COPY_RULE.replace("T2}", "T1}"))
    would = _rules(node, "whatif", str(tmp_path / "new.yaml"))
    assert "1 of 1 studies would be decided otherwise" in would
    _rules(node, "publish", str(tmp_path / "new.yaml"), "--reason", "the other weighting")
    second = _decided(node, tmp_path, "two")
    assert not second.fired
    assert second.rule_set_version != first.rule_set_version

    _rules(node, "rollback", first.rule_set_version, "--reason", "that was wrong")
    third = _decided(node, tmp_path, "three")
    assert third.fired
    assert third.rule_set_version == first.rule_set_version
