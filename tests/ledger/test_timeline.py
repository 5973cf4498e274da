"""The lines that tell a study's story."""

from dicomnode.ledger.timeline import Event, timeline, write_event
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, STUDY, later


def test_events_are_told_in_the_order_they_were_written(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        write_event(tx, STUDY, at=later(5), step="receive", state="running", text="First instance received.")
        write_event(
            tx, STUDY, at=NOW, step="derive", state="done", text="Made.", seconds=2.5, detail={"revision": 1}
        )  # fmt: skip
        write_event(tx, "1.2.3", at=NOW, step="receive", state="running", text="Another study.")
    with ledger.transaction() as tx:
        assert timeline(tx, STUDY) == (
            Event(at=later(5), step="receive", state="running", text="First instance received."),
            Event(at=NOW, step="derive", state="done", text="Made.", seconds=2.5, detail={"revision": 1}),
        )


def test_a_study_without_events_has_an_empty_timeline(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert timeline(tx, STUDY) == ()
