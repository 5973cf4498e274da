"""Receivers, and now and then the whole node, are killed under load: what was acknowledged is there, and whole."""

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.journey.reconcile import Reconciling
from dicomnode.ledger.studies import find_instances
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.clock import SystemClock
from dicomnode.node.settings import DestinationSettings, Role
from dicomnode.spool.digest import file_digest
from dicomnode.spool.store import Spool
from tests.crash.senders import Log, Sender, data_set_of, digest_of
from tests.databases import SQLITE
from tests.listening import listening_processes
from tests.nodes import ServingNode, wait_until
from tests.postgresql import PostgresqlServer

pytestmark = [pytest.mark.peer, pytest.mark.crash, pytest.mark.slow, pytest.mark.timeout(3600)]

LONG = os.environ.get("DICOMNODE_LONG") == "1"
KILLS = {"sqlite": 1000 if LONG else 200, "postgresql": 200 if LONG else 40}
NODE_ONE_IN = 40
"""So seldom the whole node is killed: it takes seconds to be there again."""
SENDERS = 3
NOWHERE = DestinationSettings(name="pacs", ae_title="NOWHERE", host="127.0.0.1", port=1)


class Storm:
    """A node under load, and what kills it."""

    def __init__(self, node: ServingNode, folder: Path, chance: random.Random) -> None:
        self.node = node
        self.log = Log()
        self._port = node.settings.dicom_port
        self._chance = chance
        self._senders = [Sender(number, self._port, folder / str(number), self.log) for number in range(1, SENDERS + 1)]
        self._looked_at: set[str] = set()

    def rage(self, kills: int) -> None:
        """Kill so often, while all senders send; every so many times look whether all is there."""
        for sender in self._senders:
            sender.start()
        for number in range(1, kills + 1):
            time.sleep(self._chance.uniform(0.05, 0.6))
            if number % NODE_ONE_IN == 0:
                self._kill_node()
                self.look_at(self.log.acknowledged - self._looked_at)
            else:
                self._kill_receiver()
        for sender in self._senders:
            sender.ask_to_end()
        for sender in self._senders:
            sender.join()

    def look_at(self, uids: set[str]) -> None:
        """Check that instances are in the ledger and on disk as they were sent."""
        self._looked_at |= uids
        spool = Spool(self.node.settings.spool)
        for uid, stored in self._recorded(sorted(uids)).items():
            file = spool.locate(stored.path)
            assert file_digest(file) == stored.digest, f"{uid} is damaged"
            assert digest_of(data_set_of(file.read_bytes())) == self.log.sent[uid], f"{uid} is not what was sent"

    def _recorded(self, uids: Sequence[str]) -> dict[SOPInstanceUID, StoredInstance]:
        """Read the rows of instances; every one must have one."""
        ledger = Ledger(self.node.settings.database_url)
        found: dict[SOPInstanceUID, StoredInstance] = {}
        for first in range(0, len(uids), 500):
            with ledger.transaction() as tx:
                found |= find_instances(tx, [SOPInstanceUID(uid) for uid in uids[first : first + 500]])
        ledger.close()
        assert sorted(found) == list(uids), "acknowledged, but not in the ledger"
        return found

    def _kill_receiver(self) -> None:
        receivers = wait_until(lambda: sorted(listening_processes(self._port)), 20, "a receiver")
        os.kill(self._chance.choice(receivers), signal.SIGKILL)

    def _kill_node(self) -> None:
        """Kill all processes at once, or only the one that started the others."""
        self._chance.choice([self.node.kill, self.node.kill_first])()
        self.node.start()


@pytest.fixture(params=KILLS)
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The database of a node: none of its own is SQLite."""
    if request.param == SQLITE:
        yield None
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    server.create("storm")
    yield server.url("storm")
    server.drop("storm")


@pytest.fixture
def node(database: str | None, tmp_path: Path) -> Iterator[ServingNode]:
    """A node that receives with two processes."""
    node = ServingNode(tmp_path / "node", NOWHERE, roles=(Role.RECEIVE, Role.WEB), receivers=2, database=database)
    yield node
    node.kill()


def test_what_was_acknowledged_survives_every_kill(
    node: ServingNode, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kills = KILLS[request.node.callspec.params["database"]]
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    node.start()
    storm = Storm(node, tmp_path / "senders", random.Random(seed))
    storm.rage(kills)
    node.stop()
    log = storm.log
    print(f"{len(log.acknowledged)} instances, {log.broken_associations} associations broken by {kills} kills")
    assert log.acknowledged == set(log.sent)
    assert log.broken_associations > kills / 4, "the kills hardly met anybody"
    storm.look_at(log.acknowledged)
    nothing_is_left_over(node, log)


def nothing_is_left_over(node: ServingNode, log: Log) -> None:
    """Check what lies in the spool beside the acknowledged: whole files that nobody was told of, set aside."""
    spool, ledger = Spool(node.settings.spool), Ledger(node.settings.database_url)
    spool.clear_incoming()
    done = Reconciling(ledger, spool, SystemClock()).reconcile(settled=timedelta(0), deep=True)
    ledger.close()
    assert not done.missing
    assert not done.damaged
    kept = {file.stem for file in (spool.root / "instances").rglob("*.dcm")}
    assert len(kept) == len(log.acknowledged)
    sent = set(log.sent.values())
    for file in (spool.root / "quarantine").rglob("*.dcm"):
        assert digest_of(data_set_of(file.read_bytes())) in sent, f"{file.name} is no whole instance"
