"""Pauses and what waits for their end, echoes, and how the deliveries to a destination stand."""

import threading

import pytest
import sqlalchemy as sa

from dicomnode.domain.peer import EchoOutcome
from dicomnode.ledger.deliveries import queue_delivery, record_outcomes
from dicomnode.ledger.destinations import (
    DeliveryTally,
    Pause,
    delivery_tally,
    hold_back,
    list_destination_echoes,
    list_pauses,
    next_round,
    note_destination_echo,
    pause_destination,
    resume_destination,
)
from dicomnode.ledger.tables import DeliveryRow
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, STUDY, a_derivation, derived, later, outcomes

KEY = a_derivation().key
PAUSE = Pause(at=NOW, by="olga", reason="the archive is moved")


def test_a_pause_holds_deliveries_back_until_it_ends(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert pause_destination(tx, "pacs", PAUSE)
        assert not pause_destination(tx, "pacs", Pause(at=later(9), by="piet", reason="again"))
        assert list_pauses(tx) == {"pacs": PAUSE}
    with ledger.transaction() as tx:
        assert hold_back(tx, "pacs", "derive:a", later(1)) == (PAUSE, True)
        assert hold_back(tx, "pacs", "derive:a", later(2)) == (PAUSE, False)
        assert hold_back(tx, "pacs", "derive:b", later(3)) == (PAUSE, True)
        assert hold_back(tx, "archive", "derive:a", later(3)) is None
    with ledger.transaction() as tx:
        assert resume_destination(tx, "pacs") == ("derive:a", "derive:b")
    with ledger.transaction() as tx:
        assert resume_destination(tx, "pacs") is None
        assert hold_back(tx, "pacs", "derive:c", later(4)) is None
        assert list_pauses(tx) == {}


def test_no_delivery_is_held_back_by_a_pause_that_just_ended(ledger: Ledger) -> None:
    """Whoever holds back and whoever resumes wait for each other, so that nothing is left behind."""
    with ledger.transaction() as tx:
        pause_destination(tx, "pacs", PAUSE)
    released: list[str] = []

    def resume() -> None:
        with ledger.transaction() as tx:
            released.extend(resume_destination(tx, "pacs") or ())

    with ledger.transaction() as tx:
        assert hold_back(tx, "pacs", "derive:a", NOW) is not None
        other = threading.Thread(target=resume)
        other.start()
        other.join(0.3)
        assert released == [], "it waits for this transaction"
    other.join(30)
    assert released == ["derive:a"]


def test_the_last_echo_is_kept(ledger: Ledger) -> None:
    first = EchoOutcome(at=NOW, milliseconds=12.5, failure="pacs does not answer")
    second = EchoOutcome(at=later(60), milliseconds=3.0)
    with ledger.transaction() as tx:
        note_destination_echo(tx, "pacs", first)
    with ledger.transaction() as tx:
        note_destination_echo(tx, "pacs", second)
        note_destination_echo(tx, "archive", first)
    with ledger.transaction() as tx:
        assert list_destination_echoes(tx) == {"pacs": second, "archive": first}


@pytest.fixture
def queued(ledger: Ledger) -> Ledger:
    with ledger.transaction() as tx:
        queue_delivery(tx, (KEY, STUDY), "pacs", derived(3), NOW)
    return ledger


def test_a_tally_says_what_waits_what_failed_and_how_it_last_went(queued: Ledger) -> None:
    first, second, _third = derived(3)
    with queued.transaction() as tx:
        assert delivery_tally(tx, "archive") == DeliveryTally()
        record_outcomes(tx, KEY, "pacs", outcomes([first]), later(5))
        record_outcomes(tx, KEY, "pacs", outcomes([second], 0xA900, stored=False), later(7))
    with queued.transaction() as tx:
        assert delivery_tally(tx, "pacs") == DeliveryTally(
            waiting=1,
            oldest_waiting_at=NOW,
            failed=1,
            last_success_at=later(5),
            last_failure_at=later(7),
            last_status=0xA900,
            last_comment="said no",
        )


def test_a_round_after_a_pause_is_of_what_still_waits(queued: Ledger) -> None:
    with queued.transaction() as tx:
        record_outcomes(tx, KEY, "pacs", outcomes(derived(3)[:1]), later(5))
        assert next_round(tx, KEY, "pacs") == 2
        rounds = tx.session.execute(
            sa.select(DeliveryRow.state, DeliveryRow.round).order_by(DeliveryRow.sop_instance_uid)
        ).all()
    assert [tuple(row) for row in rounds] == [("stored", 1), ("queued", 2), ("queued", 2)]
