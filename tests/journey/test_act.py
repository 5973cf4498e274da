"""What rules ask for besides one synthesis: routing, holding, ignoring, trials, late content, older series."""

from typing import Any

import pytest
import yaml
from pydicom.dataset import Dataset

from dicomnode.domain.delivery import OutgoingInstance, StoreOutcome
from dicomnode.domain.derivation import Derivation, DerivationState
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.steps import Done, NeedsOperator
from dicomnode.domain.study import Origin
from dicomnode.engine.children import Children
from dicomnode.journey.deliver import Delivering, Outlet
from dicomnode.ledger.deliveries import cancel_deliveries, delivery_counts, routings
from dicomnode.ledger.derivations import withdraw_series
from dicomnode.ledger.retention import obstacles
from dicomnode.ledger.studies import list_series
from dicomnode.spool.store import Spool
from tests.builders import T1, a_series, uid
from tests.journey.bench import STUDY, Bench, sqlite_only, t2
from tests.journey.test_deliver import Pacs

OF_T2 = {"rules": [{"field": "Weighting", "value": "T2"}]}
OF_T1 = {"rules": [{"field": "Weighting", "value": "T1"}]}
SYNTHESIS = {"model": "identity", "inputs": {"source": OF_T2}, "target": "source", "destinations": ["pacs"]}


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """One spool for all tests of this module: files are named by their content and not in each other's way."""
    return Spool(tmp_path_factory.mktemp("module") / "spool")


def _rule(name: str, *steps: dict[str, Any], series: dict[str, Any] = OF_T2, **more: Any) -> dict[str, Any]:
    when = {"rules": [{"field": "series", "match": {"mode": "some"}, "value": series}]}
    return {"name": name, "description": "A rule for tests.", "when": when, "then": list(steps), **more}


def _synthesise(**changed: Any) -> dict[str, Any]:
    return {"synthesise": {**SYNTHESIS, **changed}}


def _route(*destinations: str, series: dict[str, Any] = OF_T2, priority: int = 10) -> dict[str, Any]:
    return {"route": {"series": series, "destinations": list(destinations), "priority": priority}}


HOLD = {"hold": {"reason": "the protocol is new"}}


def _decide(bench: Bench, revision: int, *rules: dict[str, Any]) -> object:
    return bench.deciding(yaml.safe_dump({"rules": list(rules)}))(STUDY, revision, attempt=1)


def _receive(bench: Bench, *series: list[Dataset]) -> int:
    bench.receive(*series)
    return bench.complete().number


def _told(bench: Bench, step: str = "decide") -> list[tuple[str, str]]:
    return [(event.state, event.text) for event in bench.events(step)]


def _t1() -> list[Dataset]:
    return a_series(series="t1", slices=3, shape=(16, 12), SeriesNumber=2, **T1)


def _only_derivation(bench: Bench) -> Derivation:
    (record,) = bench.derivations()
    return bench.derivation(record.key)


def test_series_are_routed_as_they_were_received(bench: Bench) -> None:
    _receive(bench, _t1(), t2())
    assert _decide(bench, 1, _rule("to-planning", _route("planning", "pacs", priority=1))) == Done(
        said="1 of 1 rules ask for work"
    )
    key = f"route:{STUDY}:1:to-planning"
    assert bench.jobs("deliver") == [f"deliver:{key}:pacs:1", f"deliver:{key}:planning:1"]
    assert _told(bench) == [
        (
            "done",
            "Rule “to-planning” fired: 3 instances to planning, 3 instances to pacs, as they were received (1 series).",
        )
    ]
    (decision,) = bench.decisions()
    assert [(one["kind"], one["key"], one["series"]) for one in decision.actions] == [
        ("route", key, [uid("study", "t2")])
    ]

    planning = Pacs("planning")
    outlets = {"planning": Outlet(destination=planning, inquiry=planning)}
    delivering = Delivering(bench.ledger, bench.spool, bench.clock, outlets, 10)
    answer = delivering(key, "planning", attempt=1)
    assert answer == Done(said="Stored at planning (PACS) and found there by QIDO-RS: 3 instances")
    assert sorted(planning.held) == sorted(one.SOPInstanceUID for one in t2())
    with bench.ledger.transaction() as tx:
        assert routings(tx, STUDY) == {key: {"pacs": {"queued": 3}, "planning": {"verified": 3}}}


def test_a_late_slice_is_routed_alone_and_what_was_refused_goes_again(bench: Bench) -> None:
    series, rule = t2(), _rule("to-planning", _route("planning"))
    _receive(bench, series[:2])
    _decide(bench, 1, rule)
    pacs = Pacs("planning")
    pacs.answers[series[0].SOPInstanceUID] = 0xC000
    delivering = Delivering(bench.ledger, bench.spool, bench.clock, {"planning": Outlet(destination=pacs)}, 10)
    assert isinstance(delivering(f"route:{STUDY}:1:to-planning", "planning", attempt=1), NeedsOperator)

    _receive(bench, series[2:])
    _decide(bench, 2, rule)
    key = f"route:{STUDY}:2:to-planning"
    pacs.answers, pacs.sent = {}, []
    assert isinstance(delivering(key, "planning", attempt=1), Done)
    assert sorted(pacs.sent[0]) == sorted((series[0].SOPInstanceUID, series[2].SOPInstanceUID))

    _receive(bench, _t1())
    _decide(bench, 3, rule)
    assert _told(bench)[-1] == (
        "done",
        "Rule “to-planning” fired again: all that it routes went to planning before, nothing new.",
    )


def test_a_person_can_send_what_was_routed_again(bench: Bench) -> None:
    _receive(bench, t2())
    _decide(bench, 1, _rule("to-planning", _route("planning")))
    key = f"route:{STUDY}:1:to-planning"
    assert "send 3 instances to planning again" in bench.operator.resend(key, "planning")
    assert f"deliver:{key}:planning:round2:1" in bench.jobs("deliver")
    for wrong in ((key, "pacs"), ("route:1.2:1:none", "planning")):
        with pytest.raises(NotInLedger):
            bench.operator.resend(*wrong)


@sqlite_only
def test_a_routing_that_finds_no_series_waits_for_a_person(bench: Bench) -> None:
    _receive(bench, t2())
    _decide(bench, 1, _rule("to-planning", _route("planning", series=OF_T1)))
    ((state, text),) = _told(bench)
    assert state == "needs operator"
    assert "No series fits what is to be routed; nearest is “3 t2 tse tra”: Weighting is T2" in text
    assert bench.jobs("deliver") == []


def test_a_hold_makes_every_synthesis_wait_until_a_person_releases_it(bench: Bench) -> None:
    _receive(bench, t2())
    rules = (_rule("new-protocol", HOLD), _rule("copy", _synthesise(), _route("planning")))
    answer = _decide(bench, 1, *rules)
    assert isinstance(answer, NeedsOperator)
    assert answer.reason == "a synthesis waits for a person to release it"
    derivation = _only_derivation(bench)
    assert derivation.state is DerivationState.HELD
    assert derivation.reason == "rule “new-protocol” holds the study: the protocol is new"
    assert bench.jobs("derive") == []
    assert len(bench.jobs("deliver")) == 1
    assert _told(bench)[:2] == [
        ("held", "Rule “new-protocol” holds the study: the protocol is new."),
        (
            "needs operator",
            "Rule “copy” fired: identity 1.0.0 waits for a person to release it, because rule “new-protocol” holds the"
            " study: the protocol is new.",
        ),
    ]

    assert bench.operator.release_hold(STUDY, "ada") == "Released by ada: identity may begin."
    assert bench.jobs("derive") == [f"{derivation.key}:1"]
    assert _only_derivation(bench).state is DerivationState.WAITING
    assert _told(bench)[-1] == ("done", "Released by ada: identity may begin.")
    with pytest.raises(NotInLedger, match="nothing of this study is held"):
        bench.operator.release_hold(STUDY)


def test_work_that_was_held_goes_on_when_a_later_revision_is_not_held_any_more(bench: Bench) -> None:
    copy = _rule("copy", _synthesise())
    _receive(bench, t2())
    _decide(bench, 1, _rule("new-protocol", HOLD), copy)
    _receive(bench, _t1())
    assert isinstance(_decide(bench, 2, copy), Done)
    assert bench.jobs("derive") == [f"{_only_derivation(bench).key}:1"]


@sqlite_only
def test_a_hold_on_trial_holds_nothing_and_one_with_nothing_to_hold_is_told(bench: Bench) -> None:
    _receive(bench, t2())
    assert isinstance(_decide(bench, 1, _rule("new-protocol", HOLD, shadow=True), _rule("copy", _synthesise())), Done)
    assert len(bench.jobs("derive")) == 1
    assert _told(bench)[0] == (
        "held",
        "Rule “new-protocol” would hold the study, on trial (shadow): the protocol is new.",
    )
    _receive(bench, _t1())
    assert isinstance(_decide(bench, 2, _rule("new-protocol", HOLD)), Done)


def test_what_a_rule_on_trial_makes_goes_nowhere_and_is_made_again_once_it_is_in_force(
    bench: Bench, children: Children
) -> None:
    _receive(bench, t2())
    _decide(bench, 1, _rule("copy", _synthesise(), _route("planning"), shadow=True))
    on_trial = _only_derivation(bench)
    assert (on_trial.shadow, on_trial.destinations) == (True, ())
    assert _told(bench) == [
        (
            "done",
            "Rule “copy” fired on trial (shadow): synthesise with identity 1.0.0; it is measured and never sent.",
        ),
        ("done", "Rule “copy” fired on trial (shadow): 1 series would go to planning as they are."),
    ]
    assert isinstance(bench.deriving(children)(on_trial.key, attempt=1), Done)
    assert bench.jobs("deliver") == []
    assert _told(bench, "derive")[-1][1].endswith("Its rule is on trial (shadow): it is sent nowhere.")
    (record,) = bench.derivations()
    assert (record.state, record.shadow, record.deliveries) == ("derived", True, {})
    assert record.report is not None
    assert bench.decisions()[0].shadow

    _receive(bench, _t1())
    _decide(bench, 2, _rule("copy", _synthesise()))
    live = next(one for one in bench.derivations() if not one.shadow)
    assert live.key != on_trial.key
    assert isinstance(bench.deriving(children)(live.key, attempt=1), Done)
    assert {one.key: one.state for one in bench.derivations()} == {on_trial.key: "derived", live.key: "derived"}


def test_late_content_is_held_where_the_rule_wants_a_person_asked(bench: Bench) -> None:
    series, rule = t2(), _rule("copy", _synthesise(late="hold"))
    _receive(bench, series[:2])
    assert isinstance(_decide(bench, 1, rule), Done)
    first = _only_derivation(bench)
    _receive(bench, series[2:])
    assert isinstance(_decide(bench, 2, rule), NeedsOperator)
    states = {one.revision: (one.state, one.reason) for one in bench.derivations()}
    assert states == {
        1: ("waiting", ""),
        2: ("held", "revision 2 brings other content than revision 1 had"),
    }
    assert bench.jobs("derive") == [f"{first.key}:1"]

    bench.operator.release_hold(STUDY)
    assert len(bench.jobs("derive")) == 2


def test_content_that_stays_the_same_is_not_late(bench: Bench) -> None:
    rule = _rule("copy", _synthesise(late="hold"))
    _receive(bench, t2())
    _decide(bench, 1, rule)
    _receive(bench, _t1())
    assert isinstance(_decide(bench, 2, rule), Done)
    assert "nothing new" in _told(bench)[-1][1]


def _made_twice(bench: Bench, children: Children, **changed: Any) -> tuple[Derivation, Derivation]:
    """Two revisions of a study, both derived; the first was sent to one destination and waits for another."""
    series, rule = t2(), _rule("copy", _synthesise(destinations=["pacs", "archive"], **changed))
    deriving = bench.deriving(children)
    _receive(bench, series[:2])
    _decide(bench, 1, rule)
    first = _only_derivation(bench)
    deriving(first.key, attempt=1)
    pacs = Pacs()
    Delivering(bench.ledger, bench.spool, bench.clock, {"pacs": Outlet(destination=pacs)}, 10)(
        first.key, "pacs", attempt=1
    )
    _receive(bench, series[2:])
    _decide(bench, 2, rule)
    second = next(one for one in bench.derivations() if one.revision == 2)
    deriving(second.key, attempt=1)
    return bench.derivation(first.key), bench.derivation(second.key)


def _derived_series(bench: Bench) -> dict[str, int]:
    with bench.ledger.transaction() as tx:
        listed = list_series(tx, STUDY)
    return {one.series_instance_uid: one.instances for one in listed if one.origin is Origin.DERIVED}


def test_a_series_that_is_superseded_can_be_withdrawn(bench: Bench, children: Children) -> None:
    first, second = _made_twice(bench, children, superseded="withdraw")
    assert first.state is DerivationState.SUPERSEDED
    assert first.reason == "Revision 2 made a newer series, and this one was withdrawn."
    records = {one.key: one for one in bench.derivations()}
    listed = _derived_series(bench)
    assert listed[str(records[second.key].series_instance_uid)] == 3
    assert listed.get(str(records[first.key].series_instance_uid), 0) == 0
    assert records[first.key].deliveries == {"pacs": {"stored": 2}}
    assert (
        "needs operator",
        "The series of revision 1 by identity is withdrawn: this node no longer lists it. It was sent before: remove it"
        " at pacs (2 instances), which this node cannot do.",
    ) in _told(bench, "derive")

    archive = Pacs("archive")
    delivering = Delivering(bench.ledger, bench.spool, bench.clock, {"archive": Outlet(destination=archive)}, 10)
    answer = delivering(first.key, "archive", attempt=1)
    assert isinstance(answer, Done)
    assert "withdrawn" in answer.said
    assert archive.sent == []
    with pytest.raises(NotInLedger):
        bench.operator.resend(first.key, "pacs")


class _SlowPacs(Pacs):
    """A PACS during whose answers a series is withdrawn."""

    def __init__(self, bench: Bench, key: str) -> None:
        super().__init__()
        self._bench, self._key = bench, key

    def store(self, instances: tuple[OutgoingInstance, ...]) -> tuple[StoreOutcome, ...]:
        outcomes = super().store(instances)
        with self._bench.ledger.transaction() as tx:
            withdraw_series(tx, self._key)
            cancel_deliveries(tx, self._key)
        return outcomes


def test_what_left_while_its_series_was_withdrawn_is_told(bench: Bench, children: Children) -> None:
    _receive(bench, t2())
    _decide(bench, 1, _rule("copy", _synthesise()))
    key = _only_derivation(bench).key
    bench.deriving(children)(key, attempt=1)
    outlets = {"pacs": Outlet(destination=_SlowPacs(bench, key))}
    answer = Delivering(bench.ledger, bench.spool, bench.clock, outlets, 10)(key, "pacs", attempt=1)
    assert isinstance(answer, NeedsOperator)
    assert _told(bench, "deliver")[-1] == (
        "needs operator",
        "3 instances were on their way to pacs while their series was withdrawn. Remove them there.",
    )


def test_a_series_that_is_superseded_stays_listed_unless_the_rule_says_otherwise(
    bench: Bench, children: Children
) -> None:
    first, _second = _made_twice(bench, children)
    assert first.state is DerivationState.SUPERSEDED
    assert sorted(_derived_series(bench).values()) == [2, 3]
    with bench.ledger.transaction() as tx:
        assert delivery_counts(tx, first.key, "archive") == {"queued": 2}


@sqlite_only
def test_what_is_to_be_ignored_is_said_and_no_fallback_fires(bench: Bench) -> None:
    _receive(bench, t2())
    rules = (
        _rule("phantom", {"ignore": {"reason": "a phantom"}}),
        {**_rule("else", _synthesise()), "fallback": True, "when": None},
    )
    assert isinstance(_decide(bench, 1, *rules), Done)
    assert _told(bench) == [("nothing", "Rule “phantom” says to ignore the study: a phantom.")]
    assert bench.derivations() == ()
    fallback = next(one for one in bench.decisions() if one.rule == "else")
    assert fallback.explanation.text == "a fallback, and other rules fired: phantom"


@sqlite_only
def test_a_model_that_is_not_here_stops_its_own_action_alone(bench: Bench) -> None:
    _receive(bench, t2())
    _decide(bench, 1, _rule("copy", _synthesise(model="nowhere"), _synthesise()))
    assert [one.model_name for one in bench.derivations()] == ["identity"]
    (problem, done) = _told(bench)
    assert problem[0] == "needs operator"
    assert "nowhere" in problem[1]
    assert done == ("done", "Rule “copy” fired: synthesise with identity 1.0.0.")
    (decision,) = bench.decisions()
    assert [one["key"] is None for one in decision.actions] == [True, False]


@sqlite_only
def test_the_candidates_that_lost_are_kept_with_the_decision(bench: Bench) -> None:
    longer = a_series(
        series="longer",
        slices=4,
        shape=(16, 12),
        SeriesNumber=5,
        **{name: t2()[0].get(name) for name in ("RepetitionTime", "EchoTime", "ScanningSequence") if name in t2()[0]},
    )
    _receive(bench, t2(), longer)
    prefer = {"prefer": [{"field": "NumberOfInstances", "order": "highest"}]}
    _decide(bench, 1, _rule("copy", _synthesise(inputs={"source": {**OF_T2, **prefer}})))
    (decision,) = bench.decisions()
    (bound,) = decision.bindings
    assert bound["series"] == uid("study", "longer")
    (lost,) = bound["lost"]
    assert lost.startswith("“3 t2 tse tra”: NumberOfInstances is 3 (")
    assert "; of the one taken NumberOfInstances is 4" in lost


@sqlite_only
def test_a_rule_on_trial_asks_for_nobody(bench: Bench) -> None:
    _receive(bench, t2())
    _decide(bench, 1, _rule("copy", _synthesise(inputs={"source": OF_T1}), shadow=True))
    ((state, text),) = _told(bench)
    assert state == "nothing"
    assert text.startswith(
        "Rule “copy” would match on trial (shadow), and ask for a person: No series fits role source"
    )
    assert bench.decisions()[0].problem is not None
    with bench.ledger.transaction() as tx:
        assert obstacles(tx, STUDY, frozenset()) == ()


def test_what_is_held_keeps_its_study_here(bench: Bench) -> None:
    _receive(bench, t2())
    _decide(bench, 1, _rule("new-protocol", HOLD), _rule("copy", _synthesise()))
    with bench.ledger.transaction() as tx:
        assert obstacles(tx, STUDY, frozenset()) == ("a series by identity waits for a person to release it",)
