"""The same on a node in processes of its own: it goes on serving, and its log tells of no defect."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.uids import AETitle
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from tests.fuzz.books import Books
from tests.fuzz.campaign import assert_at_rest, cases, offers, requests, streams, try_all
from tests.fuzz.data_sets import plain_offer
from tests.fuzz.speaking import Associations
from tests.fuzz.trials import Outcome, Target, try_offer
from tests.nodes import RememberingPacs, ServingNode

pytestmark = [
    pytest.mark.peer,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServingNode]:
    with RememberingPacs() as pacs:
        node = ServingNode(tmp_path / "node", pacs.destination)
        node.start()
        yield node
        node.stop()


@pytest.fixture
def target(node: ServingNode) -> Iterator[Target]:
    settings = node.settings
    ledger = Ledger(settings.database_url)
    yield Target(
        dicom_port=settings.dicom_port,
        title=settings.ae_title.encode(),
        web_port=settings.web_port,
        books=Books(ledger, Spool(settings.spool)),
        processes=node.processes,
    )
    ledger.close()


def defects_told(log: Path) -> list[str]:
    """Find what only a defect leaves in the log: tracebacks, but for pynetdicom's own about peers that break off."""
    lines = log.read_text().splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    raised = [one["event"] for one in events if "exception" in one and not one["logger"].startswith("pynetdicom")]
    return raised + [line for line in lines if line.startswith("Traceback")]


def test_it_goes_on_serving(node: ServingNode, target: Target, associations: Associations) -> None:
    settings = node.settings
    log = node.folder / "node.log"
    assert try_offer(target, associations, plain_offer("first")) is Outcome.ACCEPTED
    associations.close()
    start, processes = target.opened(), node.processes()
    for seeds, attempt in (
        (cases("offer", 60), offers(target, associations)),
        (cases("stream", 60), streams(target)),
        (cases("request", 30), requests(target)),
    ):
        try_all(seeds, attempt, lambda: [])
    assert try_offer(target, associations, plain_offer("last")) is Outcome.ACCEPTED
    associations.close()
    here = Endpoint(name="node", ae_title=AETitle(settings.ae_title), host="127.0.0.1", port=settings.dicom_port)
    VerificationSCU(AETitle("SCANNER")).echo(here)
    assert_at_rest(target, start)
    assert node.processes() == processes
    assert defects_told(log) == []
