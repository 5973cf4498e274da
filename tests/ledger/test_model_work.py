"""What a model has done: counted by state, with causes and times."""

import pytest

from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import ContractViolation
from dicomnode.ledger.derivations import end_derivation, finish_derivation, request_derivation, start_derivation
from dicomnode.ledger.model_work import ModelWork, models_with_work, work_of_model
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import MODEL, NOW, REPORT, a_derivation, derived, later


def test_a_model_without_work_has_none(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert work_of_model(tx, MODEL.name) == ModelWork(states={})
        assert models_with_work(tx) == ()


def test_work_is_counted_by_state_and_timed(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for seconds in range(1, 21):
            key = f"derive:{seconds}"
            request_derivation(tx, a_derivation(key))
            start_derivation(tx, key, NOW)
            finish_derivation(tx, a_derivation(key), derived(1), REPORT, later(seconds))
        for number, reason in enumerate(["3 slices", "4 slices"]):
            key = f"derive:refused:{number}"
            request_derivation(tx, a_derivation(key))
            end_derivation(tx, key, DerivationState.REFUSED, ContractViolation(reason), later(100 + number))
    with ledger.transaction() as tx:
        work = work_of_model(tx, MODEL.name)
        assert models_with_work(tx) == (MODEL.name,)
    assert sum(work.states.values()) == work.total == 22
    assert work.states["refused"] == 2
    assert (work.half_seconds, work.most_seconds, work.measured) == (11, 20, 20)
    assert work.last_at == later(101)
    (ended,) = work.ended
    assert (ended.state, ended.error, ended.times, ended.reason) == ("refused", "ContractViolation", 2, "4 slices")


@pytest.mark.parametrize("times", [1, 2])
def test_few_times_have_quantiles_too(ledger: Ledger, times: int) -> None:
    with ledger.transaction() as tx:
        for seconds in range(1, times + 1):
            key = f"derive:{seconds}"
            request_derivation(tx, a_derivation(key))
            start_derivation(tx, key, NOW)
            finish_derivation(tx, a_derivation(key), derived(1), REPORT, later(seconds))
    with ledger.transaction() as tx:
        work = work_of_model(tx, MODEL.name)
    assert (work.half_seconds, work.most_seconds) == (times, times)
