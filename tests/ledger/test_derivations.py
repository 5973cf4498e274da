"""Synthesis work in the ledger: asked for once, read back as it was asked for, superseded by a later revision."""

import pytest
import sqlalchemy as sa

from dicomnode.domain.derivation import Derivation, DerivationState
from dicomnode.domain.errors import ContractViolation, ModelFailed, NotInLedger
from dicomnode.domain.study import Origin
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.ledger.derivations import (
    end_derivation,
    find_derivation,
    finish_derivation,
    is_overtaken,
    request_derivation,
    retry_derivation,
    start_derivation,
)
from dicomnode.ledger.studies import find_instance, list_derivations, list_instances, list_series
from dicomnode.ledger.tables import DerivationRow
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import DERIVED_SERIES, REPORT, STUDY, a_derivation, derived, later


def _request(ledger: Ledger, *derivations: Derivation) -> None:
    with ledger.transaction() as tx:
        for derivation in derivations:
            assert request_derivation(tx, derivation)


def _state(ledger: Ledger, derivation: Derivation) -> DerivationState:
    with ledger.transaction() as tx:
        return find_derivation(tx, derivation.key).state


def test_a_derivation_is_read_back_as_it_was_asked_for(ledger: Ledger) -> None:
    _request(ledger, a_derivation())
    with ledger.transaction() as tx:
        assert find_derivation(tx, a_derivation().key) == a_derivation()


def test_the_same_work_is_asked_for_once(ledger: Ledger) -> None:
    _request(ledger, a_derivation())
    with ledger.transaction() as tx:
        assert not request_derivation(tx, a_derivation(revision=2))
        assert find_derivation(tx, a_derivation().key).revision == 1


def test_an_unknown_derivation_is_not_in_the_ledger(ledger: Ledger) -> None:
    with ledger.transaction() as tx, pytest.raises(NotInLedger):
        find_derivation(tx, "derive:unknown")


def test_the_derived_series_becomes_part_of_the_study(ledger: Ledger) -> None:
    derivation = a_derivation()
    _request(ledger, derivation)
    with ledger.transaction() as tx:
        start_derivation(tx, derivation.key, later(1))
    assert _state(ledger, derivation) is DerivationState.RUNNING
    with ledger.transaction() as tx:
        finish_derivation(tx, derivation, derived(3), REPORT, later(9))

    assert _state(ledger, derivation) is DerivationState.DERIVED
    with ledger.transaction() as tx:
        (series,) = list_series(tx, STUDY)
        instances = list_instances(tx, STUDY, DERIVED_SERIES)
    assert (series.series_instance_uid, series.origin, series.description, series.series_number) == (
        DERIVED_SERIES,
        Origin.DERIVED,
        "SYNTH FLAIR",
        9001,
    )
    assert [(item.instance_number, item.digest, item.origin) for item in instances] == [
        (number, f"{number:064d}", Origin.DERIVED) for number in (1, 2, 3)
    ]


def test_finishing_again_after_a_crash_changes_nothing(ledger: Ledger) -> None:
    derivation = a_derivation()
    _request(ledger, derivation)
    for _ in range(2):
        with ledger.transaction() as tx:
            finish_derivation(tx, derivation, derived(3), REPORT, later(9))
    with ledger.transaction() as tx:
        assert len(list_instances(tx, STUDY)) == 3


def test_a_later_revision_supersedes_what_the_same_rule_made_before(ledger: Ledger) -> None:
    old, other = a_derivation("derive:old"), a_derivation("derive:other", rule="T2")
    new = a_derivation("derive:new", revision=2)
    _request(ledger, old, other, new)
    with ledger.transaction() as tx:
        finish_derivation(tx, old, derived(series=SeriesInstanceUID("2.25.1")), REPORT, later(1))
        finish_derivation(tx, other, derived(series=SeriesInstanceUID("2.25.2")), REPORT, later(2))
        finish_derivation(tx, new, derived(series=SeriesInstanceUID("2.25.3")), REPORT, later(3))

    assert [_state(ledger, derivation) for derivation in (old, other, new)] == [
        DerivationState.SUPERSEDED,
        DerivationState.DERIVED,
        DerivationState.DERIVED,
    ]
    with ledger.transaction() as tx:
        assert "Revision 2" in find_derivation(tx, old.key).reason
        assert find_instance(tx, "2.25.1.1").origin is Origin.DERIVED


@pytest.mark.parametrize(
    ("state", "overtakes"),
    [
        (DerivationState.WAITING, True),
        (DerivationState.RUNNING, True),
        (DerivationState.DERIVED, True),
        (DerivationState.FAILED, False),
        (DerivationState.REFUSED, False),
    ],
)
def test_a_later_revision_overtakes_unless_it_came_to_nothing(
    ledger: Ledger, state: DerivationState, *, overtakes: bool
) -> None:
    old, new = a_derivation("derive:old"), a_derivation("derive:new", revision=2)
    _request(ledger, old, new)
    with ledger.transaction() as tx:
        tx.session.execute(sa.update(DerivationRow).where(DerivationRow.key == new.key).values(state=state))
    with ledger.transaction() as tx:
        assert is_overtaken(tx, old) == overtakes
        assert not is_overtaken(tx, new)


def test_another_rule_overtakes_nothing(ledger: Ledger) -> None:
    old, other = a_derivation("derive:old"), a_derivation("derive:other", revision=2, rule="T2")
    _request(ledger, old, other)
    with ledger.transaction() as tx:
        assert not is_overtaken(tx, old)


def test_an_end_without_an_image_keeps_the_error_and_its_reason(ledger: Ledger) -> None:
    derivation = a_derivation()
    _request(ledger, derivation)
    with ledger.transaction() as tx:
        error = ContractViolation("slices 9 mm apart; the card allows 6 mm")
        end_derivation(tx, derivation.key, DerivationState.REFUSED, error, later(4))
    with ledger.transaction() as tx:
        (record,) = list_derivations(tx, STUDY)
    assert (record.state, record.error, record.reason, record.finished_at) == (
        "refused",
        "ContractViolation",
        "slices 9 mm apart; the card allows 6 mm",
        later(4),
    )


def test_a_failed_derivation_can_be_tried_again_in_the_next_round(ledger: Ledger) -> None:
    derivation = a_derivation()
    _request(ledger, derivation)
    for round_ in (2, 3):
        with ledger.transaction() as tx:
            end_derivation(tx, derivation.key, DerivationState.FAILED, ModelFailed("out of memory"), later(4))
        with ledger.transaction() as tx:
            assert retry_derivation(tx, derivation.key) == round_
    with ledger.transaction() as tx:
        (record,) = list_derivations(tx, STUDY)
    assert (record.state, record.error, record.reason, record.round) == ("waiting", "", "", 3)


@pytest.mark.parametrize("key", ["derive:content:rule:model", "derive:unknown"])
def test_only_what_failed_can_be_tried_again(ledger: Ledger, key: str) -> None:
    _request(ledger, a_derivation())
    with ledger.transaction() as tx, pytest.raises(NotInLedger):
        retry_derivation(tx, key)
