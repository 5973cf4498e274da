"""One piece of work is done once, recorded with the deliveries that follow from it, or ends with the reason why not."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ParamSpec, TypeVar

import numpy as np
import pydicom
import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset

from dicomnode.domain.derivation import Derivation, DerivationState, ModelIdentity
from dicomnode.domain.errors import ContractViolation, GeometryError, UnreadablePixels
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater
from dicomnode.domain.study import Origin
from dicomnode.engine.children import Children
from dicomnode.ledger.deliveries import delivery_counts
from dicomnode.ledger.studies import list_series
from dicomnode.ledger.tables import InstanceRow
from dicomnode.spool.store import Spool
from tests.builders import a_series
from tests.journey.bench import STUDY, Bench, sqlite_only, t2, without_table
from tests.nodes import COPY_RULE
from tests.waiting import PATIENCE_SECONDS

P = ParamSpec("P")
R = TypeVar("R")

TWO_DESTINATIONS = COPY_RULE.replace("[pacs]", "[pacs, archive]")


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """One spool for all tests of this module: files are named by their content and not in each other's way."""
    return Spool(tmp_path_factory.mktemp("module") / "spool")


class Meanwhile(Children):
    """The same children, but while they work something else happens to the node."""

    def __init__(self, children: Children, happening: Callable[[], object]) -> None:
        self._children = children
        self._happening = happening

    def run(self, function: Callable[P, R], timeout_seconds: float, *args: P.args, **kwargs: P.kwargs) -> R:
        result = self._children.run(function, timeout_seconds, *args, **kwargs)
        self._happening()
        return result


def _counts(bench: Bench, key: str, destination: str) -> dict[str, int]:
    with bench.ledger.transaction() as tx:
        return delivery_counts(tx, key, destination)


def _untouched(bench: Bench, derivation: Derivation) -> bool:
    """Whether nothing was made of a derivation, and nothing is on its way."""
    (record,) = (one for one in bench.derivations() if one.key == derivation.key)
    made = [one for one in bench.instances() if one.origin is Origin.DERIVED]
    return record.series_instance_uid is None and not made and not record.deliveries and not bench.jobs("deliver")


def test_the_series_its_deliveries_and_their_jobs_are_recorded_together(bench: Bench, children: Children) -> None:
    derivation = bench.ask(t2(), rules=TWO_DESTINATIONS)
    bench.clock.advance(5)
    assert bench.deriving(children)(derivation.key, attempt=1) == Done(said="3 instances derived")

    (record,) = bench.derivations()
    assert (record.state, record.error, record.reason) == ("derived", "", "")
    assert record.started_at == record.finished_at == bench.clock.now()
    assert record.deliveries == {"pacs": {"queued": 3}, "archive": {"queued": 3}}
    assert bench.jobs("deliver") == [f"deliver:{derivation.key}:{place}:1" for place in ("archive", "pacs")]
    with bench.ledger.transaction() as tx:
        (series,) = (one for one in list_series(tx, STUDY) if one.origin is Origin.DERIVED)
    assert (series.series_instance_uid, series.series_number) == (record.series_instance_uid, 9001)
    assert (series.modality, series.description, series.instances) == ("MR", "SYNTH COPY from T2 (AI, RESEARCH)", 3)
    for stored in bench.instances(series.series_instance_uid):
        written = pydicom.dcmread(bench.spool.locate(stored.path))
        assert stored.origin is Origin.DERIVED
        assert (written.SOPInstanceUID, written.InstanceNumber) == (stored.sop_instance_uid, stored.instance_number)
        assert (written.StudyInstanceUID, written.SeriesNumber) == (STUDY, 9001)
        assert str(written.file_meta.TransferSyntaxUID) == stored.transfer_syntax_uid


@sqlite_only
def test_the_report_says_what_was_done_and_the_timeline_how_long_it_took(bench: Bench, children: Children) -> None:
    derivation = bench.ask(t2())
    bench.deriving(children)(derivation.key, attempt=1)
    report = bench.derivations()[0].report
    assert report is not None
    assert set(report) == {"durations", "alignment", "labels", "checks", "series_description"}
    assert set(report["checks"]) == {"labels", "identity", "geometry", "dciodvfy"}
    assert report["checks"]["dciodvfy"].startswith("0 errors on 3 instances")
    assert report["labels"]["SyntheticData"] == "YES"
    assert report["series_description"] == report["labels"]["SeriesDescription"]
    (event,) = bench.events("derive")
    assert event.state == "done"
    assert event.text.startswith("identity 1.0.0 made “SYNTH COPY from T2 (AI, RESEARCH)” with 3 instances")
    assert event.seconds == pytest.approx(sum(report["durations"].values()), abs=0.1)
    assert event.detail == {"derivation": derivation.key, "revision": 1}


def test_the_same_work_again_is_done_already(bench: Bench, children: Children) -> None:
    derivation = bench.ask(t2())
    bench.deriving(children)(derivation.key, attempt=1)
    before = bench.derivations(), bench.instances(), bench.events(), bench.jobs()
    bench.clock.advance(60)
    assert isinstance(bench.deriving(children)(derivation.key, attempt=1), Done)
    assert (bench.derivations(), bench.instances(), bench.events(), bench.jobs()) == before


@sqlite_only
def test_work_that_was_lost_before_it_was_recorded_gives_the_same_bytes(bench: Bench, children: Children) -> None:
    derivation = bench.ask(t2())
    with without_table(bench.ledger, "delivery"):
        answer = bench.deriving(children)(derivation.key, attempt=1)
    assert isinstance(answer, RetryLater)
    assert _untouched(bench, derivation)
    lost = {path.name for path in (bench.spool.root / "instances").rglob("*.dcm")}
    bench.clock.advance(3600)
    assert isinstance(bench.deriving(children)(derivation.key, attempt=2), Done)
    assert {path.name for path in (bench.spool.root / "instances").rglob("*.dcm")} == lost
    assert len(bench.events("derive")) == 1


@sqlite_only
def test_two_workers_that_did_the_same_work_tell_of_it_once(bench: Bench, children: Children) -> None:
    derivation = bench.ask(t2())
    faster = bench.deriving(children)
    slower = bench.deriving(Meanwhile(children, lambda: faster(derivation.key, attempt=1)))
    assert isinstance(slower(derivation.key, attempt=1), Done)
    assert [event.state for event in bench.events("derive")] == ["done"]
    assert bench.derivations()[0].deliveries == {"pacs": {"queued": 3}}
    assert len(bench.jobs("deliver")) == 1


def _with_a_gap() -> list[Dataset]:
    series = t2(slices=8)
    return series[:3] + series[5:]


def _constant() -> list[Dataset]:
    return t2(voxels=np.full((3, 16, 12), 7))


def _cut_short() -> list[Dataset]:
    series = t2()
    series[2].PixelData = series[2].PixelData[:100]
    return series


@sqlite_only
@pytest.mark.parametrize(
    ("build", "error", "reason"),
    [
        (_with_a_gap, GeometryError, "slices that seem to be missing: 2"),
        (_constant, ContractViolation, "every voxel has the same value"),
        (_cut_short, UnreadablePixels, "pixel data of instance number 3 cannot be decoded"),
    ],
)
def test_what_can_give_no_image_is_refused_with_reason_and_help(
    bench: Bench,
    children: Children,
    build: Callable[[], list[Dataset]],
    error: type[GeometryError | ContractViolation | UnreadablePixels],
    reason: str,
) -> None:
    derivation = bench.ask(build())
    answer = bench.deriving(children)(derivation.key, attempt=1)
    assert isinstance(answer, NeedsOperator)
    assert reason in answer.reason
    assert answer.help == error.help
    (record,) = bench.derivations()
    assert (record.state, record.error, record.reason) == ("refused", error.__name__, answer.reason)
    assert record.finished_at == bench.clock.now()
    (event,) = bench.events("derive")
    assert (event.state, event.text) == ("refused", f"No image from identity: {answer.reason}. {error.help}")
    assert _untouched(bench, derivation)


@sqlite_only
def test_work_that_has_ended_is_not_done_again_by_the_same_job(bench: Bench, children: Children) -> None:
    derivation = bench.ask(_constant())
    bench.deriving(children)(derivation.key, attempt=1)
    bench.deriving(children)(derivation.key, attempt=1)
    assert [event.state for event in bench.events("derive")] == ["refused"]


@sqlite_only
def test_a_gap_that_the_rule_allows_is_interpolated_and_not_written(bench: Bench, children: Children) -> None:
    series = t2(slices=5)
    derivation = bench.ask(series[:2] + series[3:])
    assert bench.deriving(children)(derivation.key, attempt=1) == Done(said="4 instances derived")
    report = bench.derivations()[0].report
    assert report is not None
    assert "1 of source" in report["checks"]["missing slices"]


def _of_model(bench: Bench, derivation: Derivation, name: str, **changed: str) -> Derivation:
    """Ask for the same work of another model."""
    identity = {"name": name, "version": "1.0.0", "weights_digest": "00" * 32, **changed}
    return bench.request(replace(derivation, key=f"derive:of:{name}", model=ModelIdentity(**identity)))


@sqlite_only
@pytest.mark.parametrize(
    ("name", "version", "error", "reason"),
    [
        ("zebra", "1.0.0", "ModelNotFound", "model zebra is not installed here"),
        ("identity", "1.0.0", "WeightsChanged", "the weights of model identity 1.0.0 are "),
        ("identity", "0.9.0", "WeightsChanged", "model identity 0.9.0 was pinned, but 1.0.0 is installed"),
    ],
)
def test_without_exactly_the_pinned_model_the_work_fails(
    bench: Bench, children: Children, name: str, version: str, error: str, reason: str
) -> None:
    derivation = _of_model(bench, bench.ask(t2()), name, version=version)
    answer = bench.deriving(children)(derivation.key, attempt=1)
    assert isinstance(answer, NeedsOperator)
    assert answer.reason.startswith(reason)
    (record,) = (one for one in bench.derivations() if one.key == derivation.key)
    assert (record.state, record.error) == ("failed", error)
    (event,) = bench.events("derive")
    assert event.state == "failed"
    assert event.text.startswith(f"No image from {name}: {reason}")
    assert _untouched(bench, derivation)


@sqlite_only
def test_a_model_that_fails_is_tried_three_times_and_each_time_is_told(
    bench: Bench, children: Children, failing_identity: ModelIdentity
) -> None:
    asked = bench.ask(t2())
    derivation = bench.request(replace(asked, key="derive:failing", model=failing_identity))
    answers = [bench.deriving(children)(derivation.key, attempt=attempt) for attempt in (1, 2, 3)]
    assert [type(answer) for answer in answers] == [RetryLater, RetryLater, NeedsOperator]
    assert [answer.seconds for answer in answers if isinstance(answer, RetryLater)] == [2, 4]
    assert "model failing 1.0.0 raised RuntimeError in synthesise" in answers[2].reason  # type: ignore[union-attr]
    (record,) = (one for one in bench.derivations() if one.key == derivation.key)
    assert (record.state, record.error) == ("failed", "ModelFailed")
    assert [event.state for event in bench.events("derive")] == ["waiting", "waiting", "failed"]
    assert "attempt 2 in 2 s" in bench.events("derive")[0].text
    assert all("words that might repeat" not in event.text for event in bench.events())
    assert _untouched(bench, derivation)


@sqlite_only
def test_work_whose_inputs_are_gone_waits_for_a_person_who_can_try_again(bench: Bench, children: Children) -> None:
    derivation = bench.ask(t2())
    with bench.ledger.transaction() as tx:
        tx.session.execute(sa.delete(InstanceRow).where(InstanceRow.instance_number == 2))
    answer = bench.deriving(children)(derivation.key, attempt=1)
    assert isinstance(answer, NeedsOperator)
    assert "input source" in answer.reason
    (event,) = bench.events("derive")
    assert event.state == "failed"
    assert answer.reason in event.text
    assert _untouched(bench, derivation)
    bench.operator.retry(derivation.key)


@sqlite_only
def test_a_file_that_is_gone_from_the_spool_is_said(bench: Bench, children: Children) -> None:
    derivation = bench.ask(t2())
    bench.spool.locate(bench.instances()[1].path).unlink()
    answer = bench.deriving(children)(derivation.key, attempt=1)
    assert isinstance(answer, NeedsOperator)
    assert answer.reason == "an instance of the spool cannot be read (FileNotFoundError)"


@sqlite_only
def test_a_derivation_nobody_asked_for_waits_for_a_person(bench: Bench, children: Children) -> None:
    answer = bench.deriving(children)("derive:unknown", attempt=1)
    assert answer == NeedsOperator(reason="no derivation of this key", help=answer.help)  # type: ignore[union-attr]


def _one_more_slice(bench: Bench) -> Derivation:
    return bench.ask(t2(slices=4)[3:])


def test_work_that_a_later_revision_asks_for_again_steps_aside(bench: Bench, children: Children) -> None:
    first = bench.ask(t2())
    second = _one_more_slice(bench)
    assert isinstance(bench.deriving(children)(first.key, attempt=1), Done)
    state = {one.key: (one.state, one.reason) for one in bench.derivations()}
    assert state[first.key] == ("superseded", "a later revision of the study is already asked for")
    assert state[second.key] == ("waiting", "")
    assert _untouched(bench, first)
    (event,) = bench.events("derive")
    assert event.state == "superseded"
    assert event.detail == {"derivation": first.key, "revision": 1}

    assert bench.deriving(children)(second.key, attempt=1) == Done(said="4 instances derived")
    assert isinstance(bench.deriving(children)(first.key, attempt=1), Done)
    assert [event.state for event in bench.events("derive")] == ["superseded", "done"]


@sqlite_only
def test_work_that_is_overtaken_while_it_runs_is_not_delivered(bench: Bench, children: Children) -> None:
    first = bench.ask(t2())

    def later() -> None:
        second = _one_more_slice(bench)
        bench.deriving(children)(second.key, attempt=1)

    assert isinstance(bench.deriving(Meanwhile(children, later))(first.key, attempt=1), Done)
    state = {one.revision: (one.state, sorted(one.deliveries)) for one in bench.derivations()}
    assert state == {1: ("superseded", []), 2: ("derived", ["pacs"])}
    assert [event.state for event in bench.events("derive")] == ["done", "superseded"]


@sqlite_only
def test_what_an_earlier_revision_made_is_superseded_by_a_newer_series(bench: Bench, children: Children) -> None:
    first = bench.ask(t2())
    bench.deriving(children)(first.key, attempt=1)
    second = _one_more_slice(bench)
    bench.deriving(children)(second.key, attempt=1)
    state = {one.revision: (one.state, one.reason) for one in bench.derivations()}
    assert state == {1: ("superseded", "Revision 2 made a newer series."), 2: ("derived", "")}
    with bench.ledger.transaction() as tx:
        derived = [one for one in list_series(tx, STUDY) if one.origin is Origin.DERIVED]
    assert [(one.series_number, one.instances) for one in derived] == [(9001, 3), (9002, 4)]
    assert derived[1].description.endswith("rev 2")


@sqlite_only
def test_the_series_number_is_one_that_no_series_of_the_study_has(bench: Bench, children: Children) -> None:
    taken = [a_series(series=f"scan {number}", slices=1, SeriesNumber=number) for number in (9001, 9002, 9004)]
    derivation = bench.ask(t2(), *taken)
    bench.deriving(children)(derivation.key, attempt=1)
    with bench.ledger.transaction() as tx:
        (series,) = (one for one in list_series(tx, STUDY) if one.origin is Origin.DERIVED)
    assert series.series_number == 9003


@sqlite_only
def test_a_rule_without_destinations_delivers_nowhere(bench: Bench, children: Children) -> None:
    asked = bench.ask(t2())
    derivation = bench.request(replace(asked, key="derive:kept:here:only", destinations=()))
    assert isinstance(bench.deriving(children)(derivation.key, attempt=1), Done)
    assert bench.jobs("deliver") == []


@sqlite_only
@pytest.mark.parametrize("table", ["derivation", "event"])
def test_while_the_ledger_is_away_the_work_waits(bench: Bench, children: Children, table: str) -> None:
    derivation = bench.ask(_constant())
    with without_table(bench.ledger, table):
        answer = bench.deriving(children)(derivation.key, attempt=1)
    assert isinstance(answer, RetryLater)
    assert bench.derivations()[0].state in (DerivationState.WAITING, DerivationState.RUNNING)
    assert isinstance(bench.deriving(children)(derivation.key, attempt=2), NeedsOperator)
    assert [event.state for event in bench.events("derive")] == ["refused"]


@contextmanager
def _full_disk(children: Children, room: int) -> Iterator[None]:
    """Let the child write no file of more bytes than there is room."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    children.run(resource.setrlimit, PATIENCE_SECONDS, resource.RLIMIT_FSIZE, (room, unlimited[1]))
    try:
        yield
    finally:
        children.run(resource.setrlimit, PATIENCE_SECONDS, resource.RLIMIT_FSIZE, unlimited)


@sqlite_only
def test_while_the_disk_is_full_the_work_waits_however_long(bench: Bench, children: Children) -> None:
    derivation = bench.ask(t2())
    with _full_disk(children, room=1000):
        answers = [bench.deriving(children)(derivation.key, attempt=attempt) for attempt in (1, 5000)]
    assert [answer.seconds for answer in answers if isinstance(answer, RetryLater)] == [2, 300]
    assert all("disk" in answer.reason for answer in answers if isinstance(answer, RetryLater))
    assert list((bench.spool.root / "incoming").iterdir()) == []
    assert isinstance(bench.deriving(children)(derivation.key, attempt=3), Done)
