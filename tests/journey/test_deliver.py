"""Every instance is sent until its destination has it, a refusal is never forgotten, and nothing is sent twice."""

from dataclasses import replace

import pydicom
import pytest
from pydicom.dataset import Dataset

from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.domain.delivery import Endpoint, OutgoingInstance, StoreOutcome
from dicomnode.domain.derivation import Derivation
from dicomnode.domain.errors import DeliveryError, DestinationRefused, DestinationUnreachable
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater
from dicomnode.domain.uids import AETitle, SOPInstanceUID
from dicomnode.journey.deliver import Delivering, Outlet
from dicomnode.ledger.deliveries import delivery_counts, outstanding
from dicomnode.ledger.timeline import Event
from dicomnode.node.wiring import endpoint
from dicomnode.spool.store import Spool
from tests.builders import a_series, uid
from tests.journey.bench import Bench, sqlite_only, without_table
from tests.nodes import RememberingPacs
from tests.web.holdings import Holdings, a_synthetic_series

SLICES = 4
UIDS = tuple(SOPInstanceUID(uid("study", "derived", str(index))) for index in range(SLICES))
OUT_OF_RESOURCES, CANNOT_UNDERSTAND, WARNING = 0xA700, 0xC000, 0xB000


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """One spool for all tests of this module: files are named by their content and not in each other's way."""
    return Spool(tmp_path_factory.mktemp("module") / "spool")


class Pacs:
    """A PACS in memory: reads what it is sent, and has bad days as it is told (Destination and Inquiry)."""

    def __init__(self, name: str = "pacs") -> None:
        self.endpoint = Endpoint(name=name, ae_title=AETitle("PACS"), host="pacs.example", port=104)
        self.held: dict[SOPInstanceUID, Dataset] = {}
        self.sent: list[tuple[SOPInstanceUID, ...]] = []
        self.answers: dict[SOPInstanceUID, int] = {}
        """Statuses other than success."""
        self.breaks_after: int | None = None
        """How many instances of one association it answers."""
        self.away: DeliveryError | None = None
        self.indexed: int | None = None
        """How many of its instances it lists so far; None lists all."""

    def store(self, instances: tuple[OutgoingInstance, ...]) -> tuple[StoreOutcome, ...]:
        if self.away is not None:
            raise self.away
        self.sent.append(tuple(item.sop_instance_uid for item in instances))
        return tuple(self._store(item, place) for place, item in enumerate(instances))

    def _store(self, item: OutgoingInstance, place: int) -> StoreOutcome:
        silence = StoreOutcome(
            sop_instance_uid=item.sop_instance_uid, status=0, stored=False, retryable=True, comment="no answer"
        )
        if self.breaks_after is not None and place >= self.breaks_after:
            return silence
        status = self.answers.get(item.sop_instance_uid, 0)
        if status in (0, WARNING):
            arrived = pydicom.dcmread(item.file)
            assert (arrived.SOPInstanceUID, arrived.SOPClassUID) == (item.sop_instance_uid, item.sop_class_uid)
            self.held[item.sop_instance_uid] = arrived
        return replace(
            silence, status=status, stored=status in (0, WARNING), retryable=status == OUT_OF_RESOURCES, comment=""
        )

    def search_instances(self, study_instance_uid: str, series_instance_uid: str) -> tuple[SOPInstanceUID, ...]:
        if self.away is not None:
            raise self.away
        of_series = (
            known
            for known, dataset in self.held.items()
            if (dataset.StudyInstanceUID, dataset.SeriesInstanceUID) == (study_instance_uid, series_instance_uid)
        )
        return tuple(of_series)[: self.indexed]


@pytest.fixture
def pacs() -> Pacs:
    return Pacs()


@pytest.fixture
def derivation(bench: Bench) -> Derivation:
    """A derivation whose series waits to be sent to the PACS."""
    holdings = Holdings(bench.ledger, bench.spool, bench.clock)
    asked = holdings.ask(holdings.receive(a_series(slices=SLICES, shape=(4, 4))))
    holdings.derive(asked, a_synthetic_series("study", "derived", slices=SLICES, shape=(4, 4)))
    return asked


def _delivering(bench: Bench, pacs: Pacs, *, asks: bool = False, give_up_after: int = 10_000) -> Delivering:
    outlets = {pacs.endpoint.name: Outlet(destination=pacs, inquiry=pacs if asks else None)}
    return Delivering(bench.ledger, bench.spool, bench.clock, outlets, give_up_after)


def _counts(bench: Bench, derivation: Derivation, destination: str = "pacs") -> dict[str, int]:
    with bench.ledger.transaction() as tx:
        return delivery_counts(tx, derivation.key, destination)


def _told(bench: Bench) -> list[tuple[str, str]]:
    return [(event.state, event.text) for event in bench.events("deliver")]


def test_what_the_destination_took_is_stored(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    pacs.answers[UIDS[2]] = WARNING
    bench.clock.advance(5)
    answer = _delivering(bench, pacs)(derivation.key, "pacs", attempt=1)
    assert answer == Done(said="Stored at pacs (PACS)")
    assert pacs.sent == [UIDS]
    assert tuple(pacs.held) == UIDS
    assert _counts(bench, derivation) == {"stored": SLICES}
    (event,) = bench.events("deliver")
    assert event == Event(
        at=bench.clock.now(),
        step="deliver",
        state="done",
        text="Stored at pacs (PACS).",
        detail={"derivation": derivation.key, "destination": "pacs", "sent": SLICES},
    )


def test_what_the_destination_lists_when_asked_is_verified(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    answer = _delivering(bench, pacs, asks=True)(derivation.key, "pacs", attempt=1)
    assert answer == Done(said="Stored at pacs (PACS) and found there by QIDO-RS: 4 instances")
    assert _counts(bench, derivation) == {"verified": SLICES}


@sqlite_only
def test_a_destination_that_lists_only_a_part_is_asked_again_and_sent_nothing(
    bench: Bench, derivation: Derivation, pacs: Pacs
) -> None:
    delivering = _delivering(bench, pacs, asks=True)
    pacs.indexed = 2
    answer = delivering(derivation.key, "pacs", attempt=1)
    assert answer == RetryLater(reason="pacs lists 2 of 4 instances so far", seconds=2)
    assert _counts(bench, derivation) == {"stored": SLICES}
    assert _told(bench) == [("waiting", "pacs lists 2 of 4 instances so far; attempt 2 in 2 s.")]

    pacs.indexed = None
    assert isinstance(delivering(derivation.key, "pacs", attempt=2), Done)
    assert _counts(bench, derivation) == {"verified": SLICES}
    assert pacs.sent == [UIDS]


@sqlite_only
def test_a_delivery_that_was_cut_off_before_it_was_told_sends_nothing_again(
    bench: Bench, derivation: Derivation, pacs: Pacs
) -> None:
    with without_table(bench.ledger, "event"):
        assert isinstance(_delivering(bench, pacs)(derivation.key, "pacs", attempt=1), RetryLater)
    assert isinstance(_delivering(bench, pacs)(derivation.key, "pacs", attempt=2), Done)
    assert pacs.sent == [UIDS]


@pytest.mark.parametrize("asks", [False, True])
def test_what_was_refused_for_good_is_left_to_a_person(
    bench: Bench, derivation: Derivation, pacs: Pacs, asks: bool
) -> None:
    pacs.answers = {UIDS[1]: CANNOT_UNDERSTAND, UIDS[3]: CANNOT_UNDERSTAND}
    delivering = _delivering(bench, pacs, asks=asks)
    answer = delivering(derivation.key, "pacs", attempt=1)
    assert isinstance(answer, NeedsOperator)
    assert answer.reason == "pacs refused 2 of 4 instances with status 0xC000"
    assert "SOP class" in answer.help
    assert _counts(bench, derivation) == {"stored": 2, "failed": 2}
    assert _told(bench) == [("needs operator", f"Not delivered to pacs: {answer.reason}. {answer.help}")]

    # The worker died before the engine knew of the answer.
    assert delivering(derivation.key, "pacs", attempt=1) == answer
    assert pacs.sent == [UIDS]
    assert _counts(bench, derivation) == {"stored": 2, "failed": 2}

    pacs.answers = {}
    bench.operator.resend(derivation.key, "pacs")
    assert isinstance(delivering(derivation.key, "pacs", attempt=1), Done)
    assert pacs.sent == [UIDS, UIDS]


@sqlite_only
def test_after_a_broken_association_only_the_rest_is_sent(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    delivering = _delivering(bench, pacs)
    pacs.breaks_after = 3
    answer = delivering(derivation.key, "pacs", attempt=1)
    assert answer == RetryLater(reason="pacs took 3 of 4 instances (no answer)", seconds=2)
    assert _counts(bench, derivation) == {"stored": 3, "queued": 1}
    assert [state for state, _text in _told(bench)] == ["waiting"]

    pacs.breaks_after = None
    assert isinstance(delivering(derivation.key, "pacs", attempt=2), Done)
    assert pacs.sent == [UIDS, UIDS[3:]]
    assert _counts(bench, derivation) == {"stored": SLICES}


@sqlite_only
def test_a_destination_without_room_is_tried_again(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    pacs.answers = dict.fromkeys(UIDS, OUT_OF_RESOURCES)
    delivering = _delivering(bench, pacs)
    assert isinstance(delivering(derivation.key, "pacs", attempt=1), RetryLater)
    pacs.answers = {}
    assert isinstance(delivering(derivation.key, "pacs", attempt=2), Done)


@sqlite_only
def test_a_refusal_before_the_association_broke_is_not_forgotten(
    bench: Bench, derivation: Derivation, pacs: Pacs
) -> None:
    pacs.answers, pacs.breaks_after = {UIDS[0]: CANNOT_UNDERSTAND}, 2
    delivering = _delivering(bench, pacs)
    answer = delivering(derivation.key, "pacs", attempt=1)
    assert answer == RetryLater(reason="pacs took 1 of 4 instances (no answer)", seconds=2)
    pacs.breaks_after = None
    answer = delivering(derivation.key, "pacs", attempt=2)
    assert isinstance(answer, NeedsOperator)
    assert answer.reason == "pacs refused 1 of 4 instances with status 0xC000"
    assert pacs.sent == [UIDS, UIDS[2:]]
    assert _counts(bench, derivation) == {"stored": 3, "failed": 1}
    assert [state for state, _text in _told(bench)] == ["waiting", "needs operator"]


@sqlite_only
def test_an_unreachable_destination_is_tried_at_growing_distances_and_at_last_given_up(
    bench: Bench, derivation: Derivation, pacs: Pacs
) -> None:
    pacs.away = DestinationUnreachable("pacs does not answer at pacs.example port 104")
    delivering = _delivering(bench, pacs, give_up_after=3)
    answers = [delivering(derivation.key, "pacs", attempt=attempt) for attempt in (1, 2, 3)]
    assert answers[:2] == [RetryLater(reason=pacs.away.reason, seconds=seconds) for seconds in (2, 4)]
    assert answers[2] == NeedsOperator(
        reason=f"given up after 3 attempts: {pacs.away.reason}", help=DestinationUnreachable.help
    )
    assert [state for state, _text in _told(bench)] == ["waiting", "waiting", "needs operator"]
    assert _counts(bench, derivation) == {"queued": SLICES}


@sqlite_only
def test_no_pause_is_longer_than_an_hour(bench: Bench, derivation: Derivation, pacs: Pacs) -> None:
    pacs.away = DestinationUnreachable("pacs does not answer")
    answer = _delivering(bench, pacs)(derivation.key, "pacs", attempt=5000)
    assert answer == RetryLater(reason="pacs does not answer", seconds=3600)


@sqlite_only
def test_a_destination_that_lets_this_node_not_in_is_left_to_a_person(
    bench: Bench, derivation: Derivation, pacs: Pacs
) -> None:
    pacs.away = DestinationRefused("pacs rejected the association of DICOMNODE")
    answer = _delivering(bench, pacs)(derivation.key, "pacs", attempt=1)
    assert answer == NeedsOperator(reason=pacs.away.reason, help=DestinationRefused.help)
    assert [state for state, _text in _told(bench)] == ["needs operator"]
    assert _counts(bench, derivation) == {"queued": SLICES}


@sqlite_only
def test_a_destination_that_is_not_configured_is_left_to_a_person(
    bench: Bench, derivation: Derivation, pacs: Pacs
) -> None:
    answer = _delivering(bench, pacs)(derivation.key, "archive", attempt=1)
    assert isinstance(answer, NeedsOperator)
    assert answer.reason == "no destination archive is configured"
    assert _told(bench) == [("needs operator", f"Not delivered to archive: {answer.reason}. {answer.help}")]
    assert pacs.sent == []


@sqlite_only
def test_destinations_are_served_each_for_itself(bench: Bench, pacs: Pacs) -> None:
    holdings = Holdings(bench.ledger, bench.spool, bench.clock)
    derivation = holdings.ask(holdings.receive(a_series(slices=SLICES, shape=(4, 4))))
    derived = a_synthetic_series("study", "derived", slices=SLICES, shape=(4, 4))
    holdings.derive(derivation, derived, "pacs")
    holdings.derive(derivation, derived, "archive")
    archive = Pacs("archive")
    pacs.away = DestinationUnreachable("pacs does not answer")
    assert isinstance(_delivering(bench, pacs)(derivation.key, "pacs", attempt=1), RetryLater)
    assert isinstance(_delivering(bench, archive)(derivation.key, "archive", attempt=1), Done)
    assert _counts(bench, derivation, "pacs") == {"queued": SLICES}
    assert _counts(bench, derivation, "archive") == {"stored": SLICES}


@sqlite_only
def test_a_file_that_is_gone_from_the_spool_is_told_and_nothing_is_sent(
    bench: Bench, derivation: Derivation, pacs: Pacs
) -> None:
    with bench.ledger.transaction() as tx:
        (lost, *_rest) = outstanding(tx, derivation.key, "pacs")
    file = bench.spool.locate(lost.file)
    kept = file.read_bytes()
    file.unlink()
    try:
        assert isinstance(_delivering(bench, pacs)(derivation.key, "pacs", attempt=1), NeedsOperator)
    finally:
        file.write_bytes(kept)
    assert not pacs.sent
    state, text = _told(bench)[-1]
    assert state == "needs operator"
    assert "no longer in the spool" in text


def test_a_derivation_nobody_made_is_left_to_a_person(bench: Bench, pacs: Pacs) -> None:
    assert isinstance(_delivering(bench, pacs)("derive:unknown", "pacs", attempt=1), NeedsOperator)


@sqlite_only
@pytest.mark.parametrize("table", ["derivation", "delivery"])
def test_while_the_ledger_is_away_the_delivery_waits(
    bench: Bench, derivation: Derivation, pacs: Pacs, table: str
) -> None:
    with without_table(bench.ledger, table):
        assert isinstance(_delivering(bench, pacs)(derivation.key, "pacs", attempt=1), RetryLater)
    assert pacs.sent == []
    assert isinstance(_delivering(bench, pacs)(derivation.key, "pacs", attempt=2), Done)


@sqlite_only
def test_over_the_network_every_instance_arrives_once(bench: Bench, derivation: Derivation) -> None:
    with RememberingPacs() as pacs:
        outlet = Outlet(destination=StorageSCU(endpoint(pacs.destination), AETitle("DICOMNODE")))
        delivering = Delivering(bench.ledger, bench.spool, bench.clock, {"pacs": outlet}, 3)
        assert isinstance(delivering(derivation.key, "pacs", attempt=1), Done)
        assert isinstance(delivering(derivation.key, "pacs", attempt=1), Done)
        assert pacs.received == list(UIDS)
    bench.operator.resend(derivation.key, "pacs")
    assert isinstance(delivering(derivation.key, "pacs", attempt=1), RetryLater)
    assert _counts(bench, derivation) == {"queued": SLICES}
