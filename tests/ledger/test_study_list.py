"""The list of studies: every filter, the state of each, sorting, pages and the count of all."""

from typing import Any

import pytest

from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import ModelFailed, NotInLedger
from dicomnode.domain.peer import Peer
from dicomnode.domain.rule import Decision, Explanation
from dicomnode.domain.uids import AETitle, StudyInstanceUID
from dicomnode.ledger.deliveries import mark_verified, queue_delivery, record_outcomes
from dicomnode.ledger.derivations import end_derivation, finish_derivation, request_derivation, start_derivation
from dicomnode.ledger.peers import add_peer
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.revisions import begin_revision, record_decision
from dicomnode.ledger.study_list import (
    StudyFilter,
    StudyOrder,
    StudyState,
    listing_of,
    modalities_of_studies,
    page_of_studies,
    sources_of_studies,
)
from dicomnode.ledger.transaction import Ledger, Transaction
from tests.ledger.values import (
    MODEL,
    NOW,
    REPORT,
    SERIES,
    STUDY,
    a_derivation,
    derived,
    later,
    outcomes,
    received,
)

OTHER = StudyInstanceUID("1.2.826.2")
KEY = a_derivation().key


@pytest.fixture
def two(ledger: Ledger) -> Ledger:
    """Two studies of two patients; the other one came later, and is of CT."""
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        record_received(tx, received(2, at=later(5)))
        header: dict[str, object] = {
            "patient_id": "B-7",
            "patient_name": "Abel^Bruno",
            "accession_number": "Z9",
            "study_date": "20250101",
            "modality": "CT",
        }
        record_received(tx, received(9, study=OTHER, series="1.2.826.2.1", at=later(3600), header=header))
    return ledger


def found(ledger: Ledger, **asked: Any) -> list[str]:
    with ledger.transaction() as tx:
        page = page_of_studies(tx, StudyFilter(**asked))
    assert page.total == len(page.rows)
    return [row.study_instance_uid for row in page.rows]


@pytest.mark.parametrize(
    ("asked", "is_found"),
    [
        ({"search": "acc-1"}, True),
        ({"search": "tilda"}, True),
        ({"search": "0001"}, True),
        ({"search": STUDY}, True),
        ({"search": SERIES}, True),
        ({"search": f"{SERIES}.2"}, True),
        ({"search": "1.2.3"}, False),
        ({"search": "%"}, False),
        ({"search": "tilda", "by_patient": False}, False),
        ({"search": "0001", "by_patient": False}, False),
        ({"search": "acc-1", "by_patient": False}, True),
        ({"modality": "MR"}, True),
        ({"modality": "US"}, False),
        ({"received_before": later(60)}, True),
        ({"received_before": later(5)}, False),
        ({"search": "Tilda", "modality": "MR", "source": "SCANNER"}, True),
        ({"destination": "pacs"}, False),
        ({"model": MODEL.name}, False),
    ],
)
def test_each_filter_lets_through_what_it_names(two: Ledger, asked: dict[str, Any], is_found: bool) -> None:
    assert found(two, **asked) == ([STUDY] if is_found else [])


def test_a_filter_by_time_or_source_can_let_through_all(two: Ledger) -> None:
    assert found(two) == found(two, source="SCANNER") == [OTHER, STUDY]
    assert found(two, received_from=later(60)) == [OTHER]
    assert found(two, source="NOBODY") == []


def test_the_list_is_sorted_and_paged_and_counts_all_of_it(two: Ledger) -> None:
    orders = {
        StudyOrder.PATIENT: [OTHER, STUDY],
        StudyOrder.ACCESSION: [STUDY, OTHER],
        StudyOrder.DATE: [OTHER, STUDY],
        StudyOrder.INSTANCES: [OTHER, STUDY],
        StudyOrder.RECEIVED: [STUDY, OTHER],
    }
    with two.transaction() as tx:
        for order, expected in orders.items():
            page = page_of_studies(tx, StudyFilter(), order=order, descending=False)
            assert [row.study_instance_uid for row in page.rows] == expected, order
        second = page_of_studies(tx, StudyFilter(), limit=1, offset=1)
        assert ([row.study_instance_uid for row in second.rows], second.total) == ([STUDY], 2)


def test_a_row_says_where_from_what_and_when(two: Ledger) -> None:
    with two.transaction() as tx:
        row = listing_of(tx, STUDY)
        with pytest.raises(NotInLedger):
            listing_of(tx, StudyInstanceUID("1.2.3"))
    assert (row.patient_name, row.accession_number, row.instances) == ("Testperson^Tilda", "ACC-1", 2)
    assert (row.source, row.modalities, row.models, row.destinations) == ("SCANNER", ("MR",), (), ())
    assert (row.state, row.first_received_at, row.last_received_at) == (StudyState.RECEIVING, NOW, later(5))


def state(tx: Transaction) -> StudyState:
    """The state of the study, which must also be found by it and by no other."""
    word = listing_of(tx, STUDY).state
    for other in StudyState:
        rows = page_of_studies(tx, StudyFilter(state=other)).rows
        assert (STUDY in [row.study_instance_uid for row in rows]) == (other is word), other
    return word


def test_a_study_has_one_state_from_its_arrival_to_its_delivery(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        assert state(tx) is StudyState.RECEIVING
        begin_revision(tx, STUDY, ("asked",), NOW)
        assert state(tx) is StudyState.DONE
        request_derivation(tx, a_derivation())
        assert state(tx) is StudyState.WAITING
        start_derivation(tx, KEY, NOW)
        assert state(tx) is StudyState.RUNNING
        finish_derivation(tx, a_derivation(), derived(2), REPORT, NOW)
        assert state(tx) is StudyState.DERIVED
        queue_delivery(tx, (KEY, STUDY), "pacs", derived(2), NOW)
        assert state(tx) is StudyState.WAITING
        record_outcomes(tx, KEY, "pacs", outcomes(derived(1)), NOW)
        assert state(tx) is StudyState.WAITING, "sent only after every answer was success"
        record_outcomes(tx, KEY, "pacs", outcomes(derived(2)), NOW)
        assert state(tx) is StudyState.SENT
        mark_verified(tx, KEY, "pacs", NOW)
        assert state(tx) is StudyState.SENT
        record_outcomes(tx, KEY, "pacs", outcomes(derived(1), 0xA900, stored=False), NOW)
        assert state(tx) is StudyState.FAILED
    assert found(ledger, destination="pacs") == found(ledger, model=MODEL.name) == [STUDY]


@pytest.mark.parametrize(
    ("ended", "word"), [(DerivationState.FAILED, StudyState.FAILED), (DerivationState.REFUSED, StudyState.REFUSED)]
)
def test_what_ended_badly_is_told_before_what_goes_on(ledger: Ledger, ended: DerivationState, word: StudyState) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        request_derivation(tx, a_derivation())
        end_derivation(tx, KEY, ended, ModelFailed("it ran out of memory"), NOW)
        assert state(tx) is word


def test_a_decision_that_needs_a_person_is_told_until_the_next_revision(ledger: Ledger) -> None:
    decision = Decision(
        rule="flair",
        rule_set_version="f00d",
        fired=True,
        explanation=Explanation(holds=True, text="all"),
        problem="two series can be t2",
    )
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        begin_revision(tx, STUDY, ("asked",), NOW)
        record_decision(tx, (STUDY, 1), decision, None, NOW)
        assert state(tx) is StudyState.NEEDS_OPERATOR
        record_received(tx, received(2))
        begin_revision(tx, STUDY, ("asked",), NOW)
        assert state(tx) is StudyState.DONE


def test_what_a_form_offers(two: Ledger) -> None:
    with two.transaction() as tx:
        add_peer(tx, Peer(ae_title=AETitle("MR1")), NOW)
        assert sources_of_studies(tx) == ("MR1",)
        assert modalities_of_studies(tx) == ("CT", "MR")
