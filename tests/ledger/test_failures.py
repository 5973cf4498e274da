"""What went wrong is gathered by cause, with what a button needs, and what is older than asked for is left out."""

from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import ContractViolation, ModelFailed
from dicomnode.ledger.deliveries import queue_delivery, record_outcomes
from dicomnode.ledger.derivations import end_derivation, request_derivation
from dicomnode.ledger.failures import (
    bytes_received_since,
    ended_derivations,
    quarantined_since,
    refused_deliveries,
    stopped_steps,
)
from dicomnode.ledger.quarantine import Stray, record_strays
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, STUDY, a_derivation, derived, later, outcomes, received


def test_derivations_are_gathered_by_state_and_error(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for number, (at, error) in enumerate(
            [(10, ModelFailed("first")), (20, ModelFailed("second")), (-100, ModelFailed("long ago"))]
        ):
            request_derivation(tx, a_derivation(f"derive:{number}"))
            end_derivation(tx, f"derive:{number}", DerivationState.FAILED, error, later(at))
        request_derivation(tx, a_derivation("derive:refused"))
        end_derivation(tx, "derive:refused", DerivationState.REFUSED, ContractViolation("3 slices"), later(30))
    with ledger.transaction() as tx:
        refused, failed = ended_derivations(tx, NOW)
    assert (refused.state, refused.error, refused.keys) == ("refused", "ContractViolation", ("derive:refused",))
    assert (failed.error, failed.keys, failed.reason) == ("ModelFailed", ("derive:1", "derive:0"), "second")
    assert failed.last_at == later(20)


def test_steps_that_were_left_to_a_person_are_gathered_by_destination(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for place, (study, key) in enumerate([(STUDY, "derive:a"), (STUDY, "derive:a"), ("1.2.826.2", "derive:b")]):
            detail = {"derivation": key, "destination": "pacs"}
            write_event(
                tx, study, at=later(place), step="deliver", state="needs operator", text=f"no {place}", detail=detail
            )
        write_event(tx, STUDY, at=later(9), step="decide", state="needs operator", text="unclear")
        write_event(tx, STUDY, at=later(9), step="deliver", state="done", text="fine")
        write_event(tx, STUDY, at=later(-9), step="decide", state="needs operator", text="long ago")
    with ledger.transaction() as tx:
        decide, deliver = stopped_steps(tx, NOW)
    assert (decide.step, decide.destination, decide.studies, decide.keys) == ("decide", "", 1, ())
    assert (deliver.destination, deliver.studies, deliver.keys) == ("pacs", 2, ("derive:b", "derive:a"))
    assert (deliver.said, deliver.last_at) == ("no 2", later(2))


def test_quarantine_is_gathered_by_sender(ledger: Ledger) -> None:
    strays = [Stray(path=f"q/{n}", size=1, calling_ae=title, sop_instance_uid="") for n, title in enumerate("AAB")]
    with ledger.transaction() as tx:
        record_strays(tx, strays, "no UID", later(3))
    with ledger.transaction() as tx:
        assert quarantined_since(tx, later(4)) == ()
        assert {one.calling_ae: one.entries for one in quarantined_since(tx, NOW)} == {"A": 2, "B": 1}


def test_refused_instances_are_told_by_what_was_said_of_them(ledger: Ledger) -> None:
    key = a_derivation().key
    with ledger.transaction() as tx:
        queue_delivery(tx, (key, STUDY), "pacs", derived(3), NOW)
        record_outcomes(tx, key, "pacs", outcomes(derived(2), 0xA900, stored=False), later(5))
    with ledger.transaction() as tx:
        (refused,) = refused_deliveries(tx, STUDY)
        assert refused_deliveries(tx, "1.2.3") == ()
    assert (refused.derivation_key, refused.destination, refused.status) == (key, "pacs", 0xA900)
    assert (refused.comment, refused.instances, refused.last_at) == ("said no", 2, later(5))


def test_the_pace_is_what_came_and_since_when(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert bytes_received_since(tx, NOW) == (0, None)
        for number in (1, 2):
            record_received(tx, received(number, at=later(number)))
        record_received(tx, received(3, at=later(-5)))
    with ledger.transaction() as tx:
        assert bytes_received_since(tx, NOW) == (1001 + 1002, later(1))
