"""Every rule answers with its reasons, work is asked for once, and what cannot be decided waits for a person."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.engine.queues import Queues
from dicomnode.journey.decide import Deciding
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import BrokenPlugin, Registry
from tests.builders import FLAIR, T1, a_series, uid
from tests.conftest import FakeClock
from tests.journey.bench import STUDY, Bench, rule_set, sqlite_only, t2, without_table
from tests.nodes import COPY_RULE
from tests.web.holdings import a_synthetic_series

T2_SERIES = SeriesInstanceUID(uid("study", "t2"))
TWO_RULES = (
    COPY_RULE
    + """
  - name: copy-flair
    description: Copies a FLAIR series.
    when:
      combinator: and
      rules: [{field: series, match: {mode: some}, value: {rules: [{field: Weighting, value: FLAIR}]}}]
    then:
      model: identity
      inputs: {source: {rules: [{field: Weighting, value: FLAIR}]}}
      target: source
      destinations: [pacs]
      priority: 1
"""
)


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """One spool for all tests of this module: files are named by their content and not in each other's way."""
    return Spool(tmp_path_factory.mktemp("module") / "spool")


def _t1(**attributes: Any) -> list[Dataset]:
    return a_series(**{"series": "t1", "slices": 3, "shape": (16, 12), "SeriesNumber": 2, **T1, **attributes})


def _flair() -> list[Dataset]:
    return a_series(series="flair", slices=3, shape=(16, 12), SeriesNumber=4, **FLAIR)


def _all_rows(bench: Bench) -> tuple[object, ...]:
    return bench.decisions(), bench.derivations(), bench.events(), bench.jobs()


def test_a_rule_that_fires_is_recorded_with_its_reasons_and_asks_for_its_work(bench: Bench) -> None:
    bench.receive(_t1(), t2())
    bench.complete()
    assert bench.deciding()(STUDY, 1, attempt=1) == Done(said="1 of 1 rules ask for work")

    (decision,), (record,) = bench.decisions(), bench.derivations()
    assert (decision.rule, decision.revision, decision.fired, decision.problem) == ("copy-t2", 1, True, None)
    assert any("Weighting" in line and "t2 tse tra" in line for line in decision.explanation.lines())
    assert [(one["role"], one["series"]) for one in decision.bindings] == [("source", T2_SERIES)]
    assert decision.derivation_key == record.key
    derivation = bench.derivation(record.key)
    assert (derivation.state, derivation.revision, derivation.rule) == (DerivationState.WAITING, 1, "copy-t2")
    assert derivation.model == Registry.discover().entry("identity").identity
    assert derivation.input_for("source").series_instance_uid == T2_SERIES
    assert derivation.input_for("source").sop_instance_uids == tuple(sorted(one.SOPInstanceUID for one in t2()))
    assert (derivation.destinations, derivation.preparation.missing_slices) == (("pacs",), 1)
    assert bench.jobs("derive") == [f"{record.key}:1"]
    (event,) = bench.events("decide")
    assert (event.state, event.text) == ("done", "Rule “copy-t2” fired: synthesise with identity 1.0.0.")
    assert event.detail == {"rule": "copy-t2", "revision": 1, "derivation": record.key}


@pytest.mark.parametrize("series", [t2(), _t1()], ids=["fired", "nothing fired"])
def test_a_revision_that_is_decided_again_changes_nothing(bench: Bench, series: list[Dataset]) -> None:
    bench.receive(series)
    bench.complete()
    first = bench.deciding()(STUDY, 1, attempt=1)
    rows = _all_rows(bench)
    bench.clock.advance(60)
    assert bench.deciding()(STUDY, 1, attempt=1) == first
    assert _all_rows(bench) == rows


def test_work_on_a_late_instance_is_never_lost_to_a_decision_that_ran_again(bench: Bench) -> None:
    series = t2()
    bench.receive(series[:2])
    bench.complete()
    bench.deciding()(STUDY, 1, attempt=1)
    bench.receive(series[2:])
    # The worker died after the decision was committed and before the engine knew of it.
    bench.deciding()(STUDY, 1, attempt=1)
    bench.complete()
    bench.deciding()(STUDY, 2, attempt=1)

    by_revision = {one.revision: one.key for one in bench.derivations()}
    assert len(bench.derivation(by_revision[2]).input_for("source").sop_instance_uids) == 3
    assert bench.jobs("derive") == sorted(f"{key}:1" for key in by_revision.values())


def test_where_no_rule_fires_the_timeline_says_so_and_each_decision_why(bench: Bench) -> None:
    bench.receive(_t1())
    bench.complete()
    assert bench.deciding(TWO_RULES)(STUDY, 1, attempt=1) == Done(said="0 of 2 rules ask for work")
    assert [(one.rule, one.fired) for one in bench.decisions()] == [("copy-flair", False), ("copy-t2", False)]
    assert all("Weighting is T1" in " ".join(one.explanation.lines()) for one in bench.decisions())
    assert [(event.state, event.text) for event in bench.events("decide")] == [
        ("nothing", "No rule fired (2 looked at revision 1); each says why below.")
    ]
    assert (bench.derivations(), bench.jobs("derive")) == ((), [])


@sqlite_only
def test_each_rule_asks_for_its_own_work(bench: Bench) -> None:
    bench.receive(t2(), _flair())
    bench.complete()
    assert bench.deciding(TWO_RULES)(STUDY, 1, attempt=1) == Done(said="2 of 2 rules ask for work")
    asked = {one.rule: bench.derivation(one.key) for one in bench.derivations()}
    assert {rule: one.priority for rule, one in asked.items()} == {"copy-t2": 10, "copy-flair": 1}
    assert bench.jobs("derive") == sorted(f"{one.key}:1" for one in asked.values())


@sqlite_only
@pytest.mark.parametrize(
    ("registry", "model", "told"),
    [
        (Registry.discover(), "no-such-model", "model no-such-model is not installed here."),
        (Registry.discover(), "identiti", "model identiti is not installed here; did you mean identity?"),
        (
            Registry(broken=[BrokenPlugin(name="broken", reason="ImportError: no library")]),
            "broken",
            "model broken is installed but broken (ImportError: no library).",
        ),
    ],
    ids=["missing", "misspelt", "broken"],
)
def test_a_rule_whose_model_cannot_be_had_waits_for_a_person(
    bench: Bench, registry: Registry, model: str, told: str
) -> None:
    bench.receive(t2())
    bench.complete()
    deciding = bench.deciding(COPY_RULE.replace("identity", model), registry)
    assert deciding(STUDY, 1, attempt=1) == Done(said="0 of 1 rules ask for work")
    (event,), (decision,) = bench.events("decide"), bench.decisions()
    assert event.state == "needs operator"
    assert event.text.startswith(f"Rule “copy-t2” matches, but a person has to look: {told}")
    assert "Install the plug-in" in event.text
    assert decision.fired
    assert decision.problem is not None
    assert decision.problem in event.text
    assert (bench.derivations(), bench.jobs("derive")) == ((), [])


@sqlite_only
def test_a_rule_whose_input_cannot_be_bound_waits_for_a_person(bench: Bench) -> None:
    bench.receive(t2())
    bench.complete()
    selection = "inputs: {source: {rules: [{field: Weighting, value: T2}, {field: NumberOfInstances, value: 99}]}}"
    rules = COPY_RULE.replace("inputs: {source: {rules: [{field: Weighting, value: T2}]}}", selection)
    bench.deciding(rules)(STUDY, 1, attempt=1)
    (event,), (decision,) = bench.events("decide"), bench.decisions()
    assert (event.state, decision.fired) == ("needs operator", True)
    assert decision.problem is not None
    assert decision.problem in event.text
    assert "No series fits role source" in event.text
    assert (bench.derivations(), bench.jobs("derive")) == ((), [])


def test_the_same_content_in_a_later_revision_is_no_new_work(bench: Bench) -> None:
    asked = bench.ask(t2())
    bench.receive(_t1())
    bench.complete()
    bench.deciding()(STUDY, 2, attempt=1)
    assert [one.key for one in bench.derivations()] == [asked.key]
    assert [(one.revision, one.derivation_key) for one in bench.decisions()] == [(2, asked.key), (1, asked.key)]
    assert "nothing new" in bench.events("decide")[-1].text
    assert bench.jobs("derive") == [f"{asked.key}:1"]


@sqlite_only
def test_own_outputs_are_no_inputs_and_are_named(bench: Bench) -> None:
    back = a_synthetic_series("study", "came back", slices=3, Manufacturer="dicomnode")
    foreign = a_synthetic_series("study", "of another maker", slices=3, Manufacturer="Somebody", SeriesNumber=9002)
    weighted = {"RepetitionTime": 4500, "EchoTime": 100}
    for dataset in [*back, *foreign]:
        for keyword, value in weighted.items():
            setattr(dataset, keyword, value)
    bench.receive(back)
    bench.complete()
    bench.deciding()(STUDY, 1, attempt=1)
    (decision,) = bench.decisions()
    assert not decision.fired
    (excluded,) = decision.excluded
    assert "SYNTH FLAIR" in excluded
    assert "own outputs make no new work" in excluded

    bench.receive(foreign, t2())
    bench.complete()
    bench.deciding()(STUDY, 2, attempt=1)
    decision = bench.decisions()[0]
    assert [one["series"] for one in decision.bindings] == [T2_SERIES]
    assert len(decision.excluded) == 1


@pytest.fixture
def second_bench(sqlite_template: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Bench]:
    """Another node of the same site."""
    shutil.copyfile(sqlite_template, tmp_path / "second.db")
    ledger = Ledger(f"sqlite:///{tmp_path / 'second.db'}")
    queues = Queues(ledger)
    yield Bench(ledger, Spool(tmp_path / "second spool"), queues, clock)
    queues.close()
    ledger.close()


@sqlite_only
def test_the_same_content_has_the_same_key_on_every_node(bench: Bench, second_bench: Bench) -> None:
    key = bench.ask(_t1(), t2()).key
    second_bench.clock.advance(86400)
    assert second_bench.ask(list(reversed(t2())), _t1()).key == key
    other_rule = COPY_RULE.replace("missing_slices: 1", "missing_slices: 0")
    second_bench.receive(_flair())
    second_bench.complete()
    second_bench.deciding(other_rule)(STUDY, 2, attempt=1)
    assert len({one.key for one in second_bench.derivations()}) == 2


@sqlite_only
def test_while_the_ledger_is_away_the_decision_waits(bench: Bench) -> None:
    bench.receive(t2())
    bench.complete()
    with without_table(bench.ledger, "decision"):
        waits = [bench.deciding()(STUDY, 1, attempt=attempt) for attempt in (1, 3, 30, 5000)]
    assert all(isinstance(wait, RetryLater) for wait in waits)
    assert [wait.seconds for wait in waits if isinstance(wait, RetryLater)] == [2, 8, 60, 60]
    assert (bench.derivations(), bench.events("decide"), bench.jobs("derive")) == ((), (), [])
    assert isinstance(bench.deciding()(STUDY, 1, attempt=2), Done)


@sqlite_only
def test_a_ledger_that_cannot_be_opened_is_waited_for(
    tmp_path: Path, spool: Spool, bench: Bench, clock: FakeClock
) -> None:
    away = Ledger(f"sqlite:///{tmp_path / 'gone' / 'node.db'}")
    deciding = Deciding(away, spool, bench.queues, clock, lambda: rule_set(COPY_RULE), Registry.discover())
    assert isinstance(deciding(STUDY, 1, attempt=1), RetryLater)
    away.close()


@sqlite_only
def test_a_study_that_cannot_be_read_waits_for_a_person_who_is_told(bench: Bench) -> None:
    bench.receive(t2())
    bench.spool.locate(bench.instances()[0].path).unlink()
    bench.complete()
    answer = bench.deciding()(STUDY, 1, attempt=1)
    assert isinstance(answer, NeedsOperator)
    assert answer.help == MalformedInstance.help
    (event,) = bench.events("decide")
    assert event.state == "needs operator"
    assert answer.reason in event.text
    assert (bench.decisions(), bench.derivations()) == ((), ())


@sqlite_only
def test_a_study_nobody_knows_waits_for_a_person(bench: Bench) -> None:
    assert isinstance(bench.deciding()("1.2.3", 1, attempt=1), NeedsOperator)
