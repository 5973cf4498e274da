import threading
from dataclasses import replace

import pytest

from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.mpps import PerformedSeries, PerformedStep, StepChange, StepState
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.ledger.performed_steps import change_step, find_step, list_steps, lock_step, record_step
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, SENDER, SERIES, STUDY, later

OTHER_STUDY = StudyInstanceUID("1.2.826.0")
MADE = (
    PerformedSeries(
        series_instance_uid=SERIES, sop_instance_uids=(SOPInstanceUID(f"{SERIES}.2"), SOPInstanceUID(f"{SERIES}.1"))
    ),
    PerformedSeries(series_instance_uid=SeriesInstanceUID("1.2.826.1.2"), sop_instance_uids=()),
)


def a_step(number: int = 1, *studies: StudyInstanceUID) -> PerformedStep:
    return PerformedStep(
        sop_instance_uid=SOPInstanceUID(f"1.2.826.9.{number}"),
        state=StepState.IN_PROGRESS,
        study_instance_uids=studies or (STUDY, OTHER_STUDY),
        series=(),
        attributes={"00400252": {"vr": "CS", "Value": ["IN PROGRESS"]}, "00080060": {"vr": "CS", "Value": ["MR"]}},
        association=SENDER,
    )


def a_change(**said: object) -> StepChange:
    values: dict[str, object] = {"state": None, "series": None, "attributes": {}, **said}
    return StepChange(sop_instance_uid=a_step().sop_instance_uid, **values)  # type: ignore[arg-type]


def test_a_step_is_read_back_as_it_was_recorded(ledger: Ledger) -> None:
    step = replace(a_step(), series=MADE)
    with ledger.transaction() as tx:
        assert record_step(tx, step, NOW)
    with ledger.transaction() as tx:
        record = find_step(tx, step.sop_instance_uid)

    assert record.step == step
    assert (record.begun_at, record.changed_at) == (NOW, NOW)
    assert step.instances == 2


def test_a_step_is_begun_once(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert record_step(tx, a_step(), NOW)
    with ledger.transaction() as tx:
        assert not record_step(tx, a_step(1, StudyInstanceUID("1.2.99")), later(1))
    with ledger.transaction() as tx:
        assert find_step(tx, a_step().sop_instance_uid).step == a_step()


def test_a_step_that_was_never_begun_is_not_found(ledger: Ledger) -> None:
    with ledger.transaction() as tx, pytest.raises(NotInLedger):
        find_step(tx, "1.2.3")


def test_a_change_lies_over_what_was_said_before(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_step(tx, a_step(), NOW)
        change_step(tx, a_step(), a_change(attributes={"00080060": {"vr": "CS", "Value": ["CT"]}}), later(1))
    with ledger.transaction() as tx:
        first = find_step(tx, a_step().sop_instance_uid)
        changed = change_step(tx, first.step, a_change(state=StepState.COMPLETED, series=MADE), later(2))
    with ledger.transaction() as tx:
        last = find_step(tx, a_step().sop_instance_uid)

    assert (first.step.state, first.step.series) == (StepState.IN_PROGRESS, ())
    assert first.step.attributes["00080060"]["Value"] == ["CT"]
    assert first.step.attributes["00400252"] == a_step().attributes["00400252"]
    assert last.step == changed
    assert (last.step.state, last.step.series, last.changed_at) == (StepState.COMPLETED, MADE, later(2))
    assert (last.step.attributes, last.begun_at) == (first.step.attributes, NOW)


def test_the_steps_of_a_study_are_listed_oldest_first(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_step(tx, a_step(1, STUDY), later(5))
        record_step(tx, a_step(2, OTHER_STUDY, STUDY), NOW)
        record_step(tx, a_step(3, OTHER_STUDY), NOW)
    with ledger.transaction() as tx:
        assert [record.step.sop_instance_uid[-1] for record in list_steps(tx, STUDY)] == ["2", "1"]
        assert list_steps(tx, "1.2.99") == ()


def test_texts_that_databases_stumble_over_are_kept(ledger: Ledger) -> None:
    attributes = {"00400280": {"vr": "ST", "Value": ["nul \x00, half a pair \ud800, ä 你"]}}
    with ledger.transaction() as tx:
        record_step(tx, replace(a_step(), attributes=attributes), NOW)
    with ledger.transaction() as tx:
        assert find_step(tx, a_step().sop_instance_uid).step.attributes == attributes


def test_two_associations_cannot_change_a_step_at_once(ledger: Ledger) -> None:
    """The second waits for the first, and sees what it did."""
    with ledger.transaction() as tx:
        record_step(tx, a_step(), NOW)
    seen: list[StepState] = []

    def look() -> None:
        with ledger.transaction() as tx:
            seen.append(lock_step(tx, a_step().sop_instance_uid).step.state)

    other = threading.Thread(target=look)
    with ledger.transaction() as tx:
        lock_step(tx, a_step().sop_instance_uid)
        other.start()
        other.join(0.3)
        assert seen == []
        change_step(tx, a_step(), a_change(state=StepState.DISCONTINUED), later(1))
    other.join(30)
    assert seen == [StepState.DISCONTINUED]
