"""Eight senders for minutes: memory, file handles and the ledger's pace stay as they are.

30 seconds as part of the other tests; `DICOMNODE_SOAK_SECONDS=600` is the real one. Its numbers and its picture go to
var/soak. `DICOMNODE_SOAK_RATE` says how many instances a second all senders send together (each has 9 kB).
"""

import os
import shutil
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomnode.ledger.tables import InstanceRow
from dicomnode.ledger.transaction import Ledger
from tests.listening import listening_processes
from tests.nodes import ROOT, RememberingPacs, ServingNode
from tests.soak.chart import write_result
from tests.soak.sampling import Sampler
from tests.soak.sending import Answers, Sender

SECONDS = float(os.environ.get("DICOMNODE_SOAK_SECONDS", "30"))
RATE = float(os.environ.get("DICOMNODE_SOAK_RATE", "160"))
SENDERS = 8
LONG = 300.0
"""From so many seconds on, caches are full before the first of the two quarters that are compared."""

pytestmark = [pytest.mark.peer, pytest.mark.timeout(SECONDS + 120)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServingNode]:
    with RememberingPacs() as pacs:
        node = ServingNode(tmp_path / "node", pacs.destination)
        node.start()
        yield node
        node.stop()
    shutil.rmtree(tmp_path / "node")


def test_eight_senders_for_minutes(node: ServingNode) -> None:
    ledger = Ledger(node.settings.database_url)
    sampler, answers = Sampler(ledger), Answers()
    soak(node, sampler, answers)
    recorded = count(ledger)
    ledger.close()
    samples, names = sampler.samples, names_of(node)
    totals = {"senders": SENDERS, "seconds": round(SECONDS), "instances": recorded, "MB": answers.sent_bytes // 10**6}
    write_result(ROOT / "var" / "soak", samples, names, totals)
    assert answers.failures == []
    assert answers.refused == []
    assert recorded == answers.stored
    for pid, name in names.items():
        seen = [one.processes[pid] for one in samples if pid in one.processes]
        assert len(seen) == len(samples), f"{name} was not there from the start"
        assert_flat([one.resident for one in seen], f"memory of {name}", 16, 0.1)
        assert_flat([one.descriptors for one in seen], f"file handles of {name}", 4, 0)
        assert_flat([one.threads for one in seen], f"threads of {name}", 4, 0)
    assert_flat([one.ledger for one in samples], "a transaction of the ledger", 5, 0.5)
    assert_flat([one.median for one in samples], "half of the answers", 5, 0.5)


def soak(node: ServingNode, sampler: Sampler, answers: Answers) -> None:
    """Send from all senders, and take a sample every few seconds."""
    settings, end = node.settings, threading.Event()
    senders = [
        Sender(number=number, port=settings.dicom_port, title=settings.ae_title.encode(), rate=RATE / SENDERS)
        for number in range(1, SENDERS + 1)
    ]
    threads = [threading.Thread(target=sender.run, args=(answers, end)) for sender in senders]
    for thread in threads:
        thread.start()
    finish = time.monotonic() + SECONDS
    try:
        while (left := finish - time.monotonic()) > 0:
            time.sleep(min(left, 5.0 if SECONDS >= LONG else 1.0))
            sampler.sample(node.processes(), answers.take())
    finally:
        end.set()
        for thread in threads:
            thread.join()


def count(ledger: Ledger) -> int:
    with ledger.transaction() as tx:
        return int(tx.session.execute(sa.select(sa.func.count()).select_from(InstanceRow)).scalar_one())


def names_of(node: ServingNode) -> dict[int, str]:
    """Name each process that lived to the end by what it does."""
    pids = sorted(node.processes())
    receivers = [pid for pid in pids if pid in listening_processes(node.settings.dicom_port)]
    others = [pid for pid in pids[1:] if pid not in receivers]
    return {
        pids[0]: "work and pages",
        **{pid: f"receiver {number}" for number, pid in enumerate(receivers, 1)},
        **{pid: f"Python's helper {number}" for number, pid in enumerate(others, 1)},
    }


def assert_flat(values: Sequence[float], what: str, more: float, share: float) -> None:
    """Check that the last quarter is no higher than the second, but for a fixed amount and a share of it."""
    if SECONDS < LONG:
        more, share = 3 * more, 3 * share
    quarter = len(values) // 4
    early, late = statistics.median(values[quarter : 2 * quarter]), statistics.median(values[-quarter:])
    assert late <= early + more + share * early, f"{what} went from {early:.1f} to {late:.1f}"
