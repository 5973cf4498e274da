"""Perform: steps are kept as modalities tell them, an ended one stands in the timeline and never changes again."""

import pytest

from dicomnode.domain.errors import DuplicateStep, NotInLedger, StepIsFinal
from dicomnode.domain.mpps import PerformedSeries, PerformedStep, StepChange, StepState
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.journey.perform import Performing
from dicomnode.ledger.performed_steps import find_step, list_steps
from tests.journey.bench import SENDER, STUDY, Bench

OTHER_STUDY = StudyInstanceUID("1.2.826.5")
STEP = PerformedStep(
    sop_instance_uid=SOPInstanceUID("1.2.826.1.9"),
    state=StepState.IN_PROGRESS,
    study_instance_uids=(STUDY, OTHER_STUDY),
    series=(),
    attributes={"00080060": {"vr": "CS", "Value": ["MR"]}},
    association=SENDER,
)
MADE = tuple(
    PerformedSeries(
        series_instance_uid=SeriesInstanceUID(f"1.2.826.1.{series}"),
        sop_instance_uids=tuple(SOPInstanceUID(f"1.2.826.1.{series}.{number}") for number in range(series)),
    )
    for series in (2, 3)
)


def _change(state: StepState | None, series: tuple[PerformedSeries, ...] | None = None) -> StepChange:
    return StepChange(sop_instance_uid=STEP.sop_instance_uid, state=state, series=series, attributes={})


def _performing(bench: Bench) -> Performing:
    return Performing(bench.ledger, bench.clock)


def test_a_step_begins_once_and_says_nothing_yet(bench: Bench) -> None:
    _performing(bench).begin(STEP)
    with pytest.raises(DuplicateStep):
        _performing(bench).begin(STEP)
    with bench.ledger.transaction() as tx:
        assert [record.step for record in list_steps(tx, STUDY)] == [STEP]
    assert bench.events() == ()


@pytest.mark.parametrize(
    ("state", "word", "said"),
    [
        (
            StepState.COMPLETED,
            "done",
            "SCANNER completed its performed procedure step and says that it made 5 instances in 2 series.",
        ),
        (
            StepState.DISCONTINUED,
            "discontinued",
            "SCANNER discontinued its performed procedure step and says that it made 5 instances in 2 series.",
        ),
    ],
)
def test_the_end_of_a_step_stands_in_the_timeline_of_each_of_its_studies(
    bench: Bench, state: StepState, word: str, said: str
) -> None:
    _performing(bench).begin(STEP)
    _performing(bench).change(_change(None, MADE))
    assert bench.events() == ()
    _performing(bench).change(_change(state))

    for study in STEP.study_instance_uids:
        (event,) = bench.events("perform", study)
        assert (event.state, event.text) == (word, said)
    with bench.ledger.transaction() as tx:
        assert find_step(tx, STEP.sop_instance_uid).step.series == MADE


@pytest.mark.parametrize("state", [StepState.COMPLETED, StepState.DISCONTINUED])
def test_an_ended_step_never_changes_again(bench: Bench, state: StepState) -> None:
    _performing(bench).begin(STEP)
    _performing(bench).change(_change(state, MADE))
    for again in (StepState.IN_PROGRESS, state, None):
        with pytest.raises(StepIsFinal):
            _performing(bench).change(_change(again, ()))

    with bench.ledger.transaction() as tx:
        step = find_step(tx, STEP.sop_instance_uid).step
    assert (step.state, step.series) == (state, MADE)
    assert len(bench.events("perform")) == 1


def test_a_step_that_was_never_begun_cannot_change(bench: Bench) -> None:
    with pytest.raises(NotInLedger):
        _performing(bench).change(_change(StepState.COMPLETED))
