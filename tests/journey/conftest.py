"""Holdings to look into, and a bench to take a study's steps on."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.domain.derivation import ModelIdentity
from dicomnode.engine.children import Children
from dicomnode.engine.queues import Queues
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import Registry
from tests.conftest import FakeClock
from tests.journey.bench import Bench
from tests.waiting import PATIENCE_SECONDS
from tests.web.holdings import Holdings, empty_holdings

_FAILING = """
from dicomnode_identity.model import CARD, IdentityModel

class FailingModel(IdentityModel):
    card = CARD.model_copy(update={"name": "failing"})

    def synthesise(self, inputs, seed):
        raise RuntimeError("words that might repeat what it was given")
"""


@pytest.fixture
def holdings(sqlite_template: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Holdings]:
    with empty_holdings(sqlite_template, tmp_path, clock) as holdings:
        yield holdings


@pytest.fixture
def bench(ledger: Ledger, spool: Spool, clock: FakeClock) -> Iterator[Bench]:
    queues = Queues(ledger)
    yield Bench(ledger, spool, queues, clock)
    queues.close()


@pytest.fixture(scope="session")
def failing_plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as site-packages is, with an installed model that always raises."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "failing_model.py").write_text(_FAILING)
    info = folder / "failing_model-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing-model\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dicomnode.models]\nfailing = failing_model:FailingModel\n")
    return folder


@pytest.fixture
def failing_identity(failing_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> ModelIdentity:
    """Which model exactly the failing one is."""
    monkeypatch.syspath_prepend(str(failing_plugin))
    return Registry.discover().entry("failing").identity


@pytest.fixture(scope="session")
def children(failing_plugin: Path) -> Iterator[Children]:
    """The child that does all derivations of these tests; only there the failing model is installed as well."""
    children = Children()
    sys.path.insert(0, str(failing_plugin))
    children.run(os.getpid, PATIENCE_SECONDS)
    sys.path.remove(str(failing_plugin))
    yield children
    children.stop()
