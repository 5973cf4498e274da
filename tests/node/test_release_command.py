"""`dicomnode release`: a person lets a study's syntheses begin that a rule holds."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dicomnode.engine.queues import Queues
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from tests.conftest import FakeClock
from tests.journey.bench import STUDY, Bench, t2
from tests.node.test_cli import _run
from tests.nodes import COPY_RULE

HELD = (
    COPY_RULE
    + """
  - name: new-protocol
    description: Nobody has seen this protocol yet.
    when: {rules: [{field: Modalities, operator: contains, value: MR}]}
    then: [{hold: {reason: the protocol is new}}]
"""
)


@pytest.fixture
def bench(sqlite_template: Path, tmp_path: Path) -> Iterator[Bench]:
    """The data folder of a node that is not running, with a study that a rule holds."""
    (tmp_path / "var").mkdir()
    shutil.copyfile(sqlite_template, tmp_path / "var" / "ledger.db")
    ledger = Ledger(f"sqlite:///{tmp_path / 'var' / 'ledger.db'}")
    queues = Queues(ledger)
    made = Bench(ledger, Spool(tmp_path / "var" / "spool"), queues, FakeClock(datetime.now(UTC)))
    made.receive(t2())
    made.complete()
    made.deciding(HELD)(STUDY, 1, attempt=1)
    yield made
    queues.close()
    ledger.close()


def test_a_study_that_is_held_is_released_once(bench: Bench, tmp_path: Path) -> None:
    assert bench.jobs("derive") == []
    released = _run(tmp_path, "release", STUDY)
    assert released.returncode == 0, released.stdout
    assert "identity may begin" in " ".join(released.stdout.split())
    (record,) = bench.derivations()
    assert (record.state, bench.jobs("derive")) == ("waiting", [f"{record.key}:1"])
    again = _run(tmp_path, "release", STUDY)
    assert again.returncode == 1
    assert "nothing of this study is held" in again.stdout
