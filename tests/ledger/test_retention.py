"""What speaks against removing a study is found in the ledger, and what is removed stays as history."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa

from dicomnode.domain.commitment import TransactionUID
from dicomnode.domain.delivery import DeliveryState
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import ContractViolation, ModelFailed, NotInLedger
from dicomnode.domain.mpps import StepState
from dicomnode.domain.rule import Decision, Explanation
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.ledger.commitments import end_commitment, note_unreported, record_commitment
from dicomnode.ledger.deliveries import begin_round, mark_verified, queue_again, queue_delivery, record_outcomes
from dicomnode.ledger.derivations import (
    end_derivation,
    find_derivation,
    finish_derivation,
    lock_derivation,
    request_derivation,
    revive_derivation,
    start_derivation,
)
from dicomnode.ledger.performed_steps import change_step, find_step, record_step
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.retention import (
    count_pending,
    end_removals,
    find_holding,
    forget_instances,
    hold_study,
    lock_study,
    obstacles,
    pending_among,
    pending_removals,
    studies_held,
)
from dicomnode.ledger.revisions import begin_revision, mark_decided, record_decision
from dicomnode.ledger.studies import find_instances, find_study, list_derivations, list_instances, list_series
from dicomnode.ledger.tables import SeriesRow
from dicomnode.ledger.transaction import Ledger, Transaction
from tests.ledger.test_commitments import TRANSACTION, a_request
from tests.ledger.test_performed_steps import a_change, a_step
from tests.ledger.values import NOW, REPORT, STUDY, a_derivation, derived, later, outcomes, received

KEY = a_derivation().key
NOBODY: frozenset[str] = frozenset()


@pytest.fixture
def settled(ledger: Ledger) -> Ledger:
    """A ledger with one study that is received, decided, derived and stored at both destinations."""
    with ledger.transaction() as tx:
        for number in (1, 2):
            record_received(tx, received(number))
        begin_revision(tx, STUDY, ("quiet",), later(10))
        request_derivation(tx, a_derivation())
        mark_decided(tx, (STUDY, 1), later(11))
        finish_derivation(tx, a_derivation(), derived(), REPORT, later(20))
        for destination in ("pacs", "archive"):
            queue_delivery(tx, (KEY, STUDY), destination, derived(), later(20))
            record_outcomes(tx, KEY, destination, outcomes(derived()), later(30))
    return ledger


def _obstacles(ledger: Ledger, asked: frozenset[str] = NOBODY) -> tuple[str, ...]:
    with ledger.transaction() as tx:
        return obstacles(tx, STUDY, asked)


def test_nothing_speaks_against_a_study_that_is_done_with(settled: Ledger) -> None:
    assert _obstacles(settled) == ()


def _receive(tx: Transaction) -> None:
    record_received(tx, received(3))


def _revise(tx: Transaction) -> None:
    record_received(tx, received(3))
    begin_revision(tx, STUDY, ("quiet",), later(50))


def _leave_to_a_person(tx: Transaction) -> None:
    decision = Decision(
        rule="FLAIR",
        rule_set_version="f00d",
        fired=True,
        problem="two series fit",
        explanation=Explanation(holds=True, text="all of these"),
    )
    record_decision(tx, (STUDY, 1), decision, None, NOW)


def _ask_for_another(tx: Transaction) -> None:
    request_derivation(tx, a_derivation("another", rule="T2"))


def _start_another(tx: Transaction) -> None:
    _ask_for_another(tx)
    start_derivation(tx, "another", NOW)


def _fail_another(tx: Transaction) -> None:
    _ask_for_another(tx)
    end_derivation(tx, "another", DerivationState.FAILED, ModelFailed("it hung"), NOW)


def _make_another(tx: Transaction) -> None:
    another = a_derivation("another", rule="T2")
    request_derivation(tx, another)
    finish_derivation(tx, another, derived(1, series=SeriesInstanceUID("2.25.78")), REPORT, NOW)


def _resend(tx: Transaction) -> None:
    queue_again(tx, KEY, "pacs", NOW)


def _refuse(tx: Transaction) -> None:
    record_outcomes(tx, KEY, "archive", outcomes(derived(1), 0xC000, stored=False), NOW)


def _ask_for_commitment(tx: Transaction) -> None:
    record_commitment(tx, a_request(2), NOW)


def _begin_a_step(tx: Transaction) -> None:
    record_step(tx, a_step(), NOW)


def _hold(tx: Transaction) -> None:
    hold_study(tx, STUDY, "a teaching case")


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (_receive, "received instances since it was last complete"),
        (_revise, "not decided its revision 2"),
        (_leave_to_a_person, "rule “FLAIR” matches, but a person has to look"),
        (_ask_for_another, "a series by mr-flair waits to be made"),
        (_start_another, "a series by mr-flair is being made"),
        (_fail_another, "a series by mr-flair failed"),
        (_make_another, "1 instances were never queued for archive"),
        (_resend, "3 instances wait for pacs"),
        (_refuse, "archive refused 1 instances"),
        (_ask_for_commitment, "a peer waits for the answer"),
        (_begin_a_step, "a performed procedure step of it is in progress"),
        (_hold, "a person holds it: a teaching case"),
    ],
)
def test_each_thing_that_is_open_keeps_a_study(
    settled: Ledger, happens: Callable[[Transaction], None], said: str
) -> None:
    with settled.transaction() as tx:
        happens(tx)
    assert said in " / ".join(_obstacles(settled))


def test_a_destination_that_is_asked_must_list_what_it_stored(settled: Ledger) -> None:
    assert _obstacles(settled, frozenset({"pacs"})) == ("pacs does not list 3 instances yet",)
    with settled.transaction() as tx:
        mark_verified(tx, KEY, "pacs", later(40))
    assert _obstacles(settled, frozenset({"pacs"})) == ()


def test_what_ended_keeps_nothing(settled: Ledger) -> None:
    with settled.transaction() as tx:
        request_derivation(tx, a_derivation("refused", rule="T2"))
        end_derivation(tx, "refused", DerivationState.REFUSED, ContractViolation("no brain"), NOW)
        record_commitment(tx, a_request(2), NOW)
        end_commitment(tx, TRANSACTION, (), NOW)
        record_commitment(tx, replace(a_request(2), transaction_uid=TransactionUID("1.2.826.1.78")), NOW)
        note_unreported(tx, "1.2.826.1.78", "nobody listens", NOW, for_good=True)
        record_step(tx, a_step(), NOW)
        step = find_step(tx, a_step().sop_instance_uid).step
        change_step(tx, step, a_change(state=StepState.DISCONTINUED), NOW)
        hold_study(tx, STUDY, "a teaching case")
        hold_study(tx, STUDY, None)
    assert _obstacles(settled) == ()


def test_a_request_for_commitment_of_other_instances_keeps_nothing(settled: Ledger) -> None:
    request = a_request(2)
    others = tuple(
        replace(one, sop_instance_uid=SOPInstanceUID(f"{one.sop_instance_uid}.9")) for one in request.references
    )
    with settled.transaction() as tx:
        record_commitment(tx, replace(request, references=others), NOW)
    assert _obstacles(settled) == ()


def test_a_holding_counts_every_content_and_when_the_last_came(settled: Ledger) -> None:
    with settled.transaction() as tx:
        record_received(tx, received(1, digest="f" * 64, at=later(90)))
        holding = find_holding(tx, STUDY)
    assert holding is not None
    # In these values the derived instances have the files of received ones.
    assert (holding.instances, len(holding.paths), holding.changed_at) == (6, 4, later(90))
    assert holding.size == 1001 + 1002 + 2001 + 2002 + 2003 + 1001
    with settled.transaction() as tx:
        assert find_holding(tx, StudyInstanceUID("1.2.826.9")) is None


def test_what_is_forgotten_is_listed_to_be_unlinked_and_stays_as_history(settled: Ledger) -> None:
    with settled.transaction() as tx:
        lock_study(tx, STUDY)
        holding = find_holding(tx, STUDY)
        assert holding is not None
        forget_instances(tx, holding, later(100))
    with settled.transaction() as tx:
        assert list_instances(tx, STUDY) == ()
        assert list_series(tx, STUDY) == ()
        assert find_holding(tx, STUDY) is None
        summary = find_study(tx, STUDY)
        assert (summary.instances, summary.revision, summary.is_complete) == (0, 1, True)
        (record,) = list_derivations(tx, STUDY)
        assert (record.state, record.report is not None) == (DerivationState.REMOVED, True)
        assert record.deliveries == {"archive": {DeliveryState.STORED: 3}, "pacs": {DeliveryState.STORED: 3}}
        assert pending_removals(tx, "", 100) == holding.paths
        assert pending_removals(tx, holding.paths[0], 1) == holding.paths[1:2]
        assert pending_among(tx, (*holding.paths, "elsewhere")) == holding.paths
        end_removals(tx, holding.paths[:2])
        assert count_pending(tx) == len(holding.paths) - 2


def test_a_study_that_comes_and_goes_again_lists_each_file_once(settled: Ledger) -> None:
    for _ in range(2):
        with settled.transaction() as tx:
            holding = find_holding(tx, STUDY)
            assert holding is not None
            forget_instances(tx, holding, later(100))
            for number in (1, 2):
                record_received(tx, received(number))
            assert count_pending(tx) == 3
            assert find_study(tx, STUDY).instances == 2


def test_a_series_that_stands_in_two_studies_stays_for_the_other(settled: Ledger) -> None:
    other = StudyInstanceUID("1.2.826.2")
    with settled.transaction() as tx:
        record_received(tx, received(7, study=other))
        holding = find_holding(tx, STUDY)
        assert holding is not None
        forget_instances(tx, holding, later(100))
        assert len(tx.session.execute(sa.select(SeriesRow)).all()) == 1
        assert len(list_instances(tx, other)) == 1


def test_work_of_a_removed_study_is_asked_for_anew_once(settled: Ledger) -> None:
    again = replace(a_derivation(revision=2), destinations=("pacs",), decided_at=later(200))
    with settled.transaction() as tx:
        assert revive_derivation(tx, again) is None
        holding = find_holding(tx, STUDY)
        assert holding is not None
        forget_instances(tx, holding, later(100))
    with settled.transaction() as tx:
        assert not request_derivation(tx, again)
        assert revive_derivation(tx, again) == 2
        assert revive_derivation(tx, again) is None
    with settled.transaction() as tx:
        assert find_derivation(tx, KEY) == again
        assert lock_derivation(tx, KEY) == again
        (record,) = list_derivations(tx, STUDY)
        assert (record.round, record.report, record.series_instance_uid) == (2, None, None)
        finish_derivation(tx, again, derived(), REPORT, later(210))
        assert begin_round(tx, KEY, "elsewhere") == 1
        assert begin_round(tx, KEY, "pacs") == 2
        queue_delivery(tx, (KEY, STUDY), "pacs", derived(), later(210), round_=2)
        assert queue_again(tx, KEY, "pacs", later(210)).round == 3
    assert _obstacles(settled) == ("3 instances wait for pacs",)


def test_studies_are_listed_by_how_long_they_are_quiet_page_by_page(ledger: Ledger) -> None:
    studies = [StudyInstanceUID(f"1.2.826.7.{number}") for number in range(7)]
    with ledger.transaction() as tx:
        for number, study in enumerate(studies):
            one = received(1, study=study, series=f"{study}.1", digest=f"{number:064x}", at=later(number // 2))
            record_received(tx, one)
        gone = find_holding(tx, studies[3])
        assert gone is not None
        forget_instances(tx, gone, NOW)
    found: list[StudyInstanceUID] = []
    last = None
    with ledger.transaction() as tx:
        while page := studies_held(tx, later(2.5), last, 2):
            found += [study for _at, study in page]
            last = page[-1]
    assert found == [studies[0], studies[1], studies[2], studies[4], studies[5]]


def test_only_a_study_that_is_known_can_be_held(ledger: Ledger) -> None:
    with ledger.transaction() as tx, pytest.raises(NotInLedger):
        hold_study(tx, STUDY, "a teaching case")


def test_a_request_for_commitment_waits_for_who_has_the_study_and_is_answered_truthfully(settled: Ledger) -> None:
    """Taken in between, it could be answered from instances that are just being removed."""
    found: list[int] = []

    def ask() -> None:
        with settled.transaction() as tx:
            record_commitment(tx, a_request(2), NOW)
        with settled.transaction() as tx:
            found.append(len(find_instances(tx, [one.sop_instance_uid for one in a_request(3).references])))

    with settled.transaction() as tx:
        lock_study(tx, STUDY)
        other = threading.Thread(target=ask)
        other.start()
        other.join(0.3)
        assert found == []
        holding = find_holding(tx, STUDY)
        assert holding is not None
        forget_instances(tx, holding, later(100))
    other.join(30)
    assert found == [0]


def test_a_retry_waits_for_who_has_the_study_and_finds_what_became_of_it(settled: Ledger) -> None:
    """Locked in the other order, a series could be sent again whose instances are just being removed."""
    found: list[DerivationState] = []

    def look() -> None:
        with settled.transaction() as tx:
            found.append(lock_derivation(tx, KEY).state)

    with settled.transaction() as tx:
        lock_study(tx, STUDY)
        other = threading.Thread(target=look)
        other.start()
        other.join(0.3)
        assert found == []
        holding = find_holding(tx, STUDY)
        assert holding is not None
        forget_instances(tx, holding, later(100))
    other.join(30)
    assert found == [DerivationState.REMOVED]
