"""Each derived instance on its way to each destination."""

import pytest
import sqlalchemy as sa

from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.errors import NotInLedger
from dicomnode.ledger.deliveries import (
    delivery_counts,
    mark_verified,
    outstanding,
    queue_again,
    queue_delivery,
    record_outcomes,
)
from dicomnode.ledger.derivations import finish_derivation, request_derivation
from dicomnode.ledger.studies import list_derivations
from dicomnode.ledger.tables import DeliveryRow
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, REPORT, STUDY, a_derivation, derived, later, outcomes

KEY = a_derivation().key
INSTANCES = derived(3)


@pytest.fixture
def queued(ledger: Ledger) -> Ledger:
    """A ledger with a derivation of three instances, queued for two destinations."""
    with ledger.transaction() as tx:
        request_derivation(tx, a_derivation())
        finish_derivation(tx, a_derivation(), INSTANCES, REPORT, NOW)
        for destination in ("pacs", "archive"):
            queue_delivery(tx, (KEY, STUDY), destination, INSTANCES, NOW)
    return ledger


def _counts(ledger: Ledger, destination: str = "pacs") -> dict[str, int]:
    with ledger.transaction() as tx:
        return delivery_counts(tx, KEY, destination)


def _attempts(ledger: Ledger) -> list[tuple[int, str, int | None]]:
    with ledger.transaction() as tx:
        rows = tx.session.execute(
            sa.select(DeliveryRow.attempts, DeliveryRow.comment, DeliveryRow.status)
            .where(DeliveryRow.destination == "pacs")
            .order_by(DeliveryRow.sop_instance_uid)
        ).all()
    return [(row.attempts, row.comment, row.status) for row in rows]


def test_what_is_queued_waits_in_order_with_its_file(queued: Ledger) -> None:
    with queued.transaction() as tx:
        waiting = outstanding(tx, KEY, "pacs")
    assert [(item.sop_instance_uid, item.file) for item in waiting] == [
        (instance.sop_instance_uid, instance.path) for instance in INSTANCES
    ]
    assert {(item.sop_class_uid, item.transfer_syntax_uid) for item in waiting} == {
        (INSTANCES[0].sop_class_uid, INSTANCES[0].transfer_syntax_uid)
    }


def test_queueing_twice_is_queueing_once(queued: Ledger) -> None:
    with queued.transaction() as tx:
        record_outcomes(tx, KEY, "pacs", outcomes(INSTANCES), later(1))
        queue_delivery(tx, (KEY, STUDY), "pacs", INSTANCES, later(2))
    assert _counts(queued) == {DeliveryState.STORED: 3}


def test_nothing_waits_for_another_destination_or_derivation(queued: Ledger) -> None:
    with queued.transaction() as tx:
        assert outstanding(tx, KEY, "elsewhere") == ()
        assert outstanding(tx, "derive:unknown", "pacs") == ()


def test_what_was_stored_does_not_wait_any_more(queued: Ledger) -> None:
    with queued.transaction() as tx:
        record_outcomes(tx, KEY, "pacs", outcomes(INSTANCES[:2], status=0xB000), later(1))
    with queued.transaction() as tx:
        assert [item.sop_instance_uid for item in outstanding(tx, KEY, "pacs")] == [INSTANCES[2].sop_instance_uid]
    assert _counts(queued) == {DeliveryState.STORED: 2, DeliveryState.QUEUED: 1}
    assert _counts(queued, "archive") == {DeliveryState.QUEUED: 3}
    assert _attempts(queued) == [(1, "", 0xB000), (1, "", 0xB000), (0, "", None)]


def test_what_may_heal_waits_again_and_what_was_refused_does_not(queued: Ledger) -> None:
    with queued.transaction() as tx:
        said = outcomes(INSTANCES[:1], status=0xA700, stored=False, retryable=True)
        record_outcomes(tx, KEY, "pacs", said, later(1))
        record_outcomes(tx, KEY, "pacs", outcomes(INSTANCES[1:], status=0x0122, stored=False), later(1))
    with queued.transaction() as tx:
        assert [item.sop_instance_uid for item in outstanding(tx, KEY, "pacs")] == [INSTANCES[0].sop_instance_uid]
    assert _counts(queued) == {DeliveryState.QUEUED: 1, DeliveryState.FAILED: 2}
    assert _attempts(queued) == [(1, "said no", 0xA700), (1, "said no", 0x0122), (1, "said no", 0x0122)]


def test_only_what_is_stored_becomes_verified(queued: Ledger) -> None:
    with queued.transaction() as tx:
        record_outcomes(tx, KEY, "pacs", outcomes(INSTANCES[:2]), later(1))
        mark_verified(tx, KEY, "pacs", later(2))
    assert _counts(queued) == {DeliveryState.VERIFIED: 2, DeliveryState.QUEUED: 1}
    assert _counts(queued, "archive") == {DeliveryState.QUEUED: 3}


def test_a_person_can_have_everything_sent_again(queued: Ledger) -> None:
    with queued.transaction() as tx:
        record_outcomes(tx, KEY, "pacs", outcomes(INSTANCES[:2]), later(1))
        record_outcomes(tx, KEY, "pacs", outcomes(INSTANCES[2:], status=0xC000, stored=False), later(1))
    for round_ in (2, 3):
        with queued.transaction() as tx:
            again = queue_again(tx, KEY, "pacs", later(round_))
        assert (again.instances, again.round) == (3, round_)
    with queued.transaction() as tx:
        assert len(outstanding(tx, KEY, "pacs")) == 3


def test_what_was_never_to_go_somewhere_cannot_go_there_again(queued: Ledger) -> None:
    with queued.transaction() as tx, pytest.raises(NotInLedger):
        queue_again(tx, KEY, "elsewhere", later(1))


def test_the_derivation_shows_its_deliveries_by_destination(queued: Ledger) -> None:
    with queued.transaction() as tx:
        record_outcomes(tx, KEY, "pacs", outcomes(INSTANCES[:1]), later(1))
        (record,) = list_derivations(tx, STUDY)
    assert record.deliveries == {"pacs": {"stored": 1, "queued": 2}, "archive": {"queued": 3}}
