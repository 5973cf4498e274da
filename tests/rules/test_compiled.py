from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.rules.compiled import Counted, Leaf
from dicomnode.rules.conditions import SeriesGroup
from dicomnode.rules.decide import decide
from tests.rules.catalogue import TODAY, a_rule, a_series_of_facts, a_study_of_facts, load, load_when, of_series
from tests.rules.seeing import holds, nearest, split
from tests.rules.strategies import SERIES_TREES, STUDY_TREES, series, studies


def _on_series(*conditions: Any, **group: Any) -> SeriesGroup:
    checked = load_when(of_series("some", *conditions, **group)).rules[0].value
    assert isinstance(checked, SeriesGroup)
    return checked


T1 = {"field": "Weighting", "value": "T1"}
T2 = {"field": "Weighting", "value": "T2"}
IN_3D = {"field": "MRAcquisitionType", "value": "3D"}
MANY = {"field": "NumberOfInstances", "operator": ">=", "value": 100}


def test_and_or_and_not() -> None:
    flat, solid = a_series_of_facts(1, "T1"), a_series_of_facts(2, "T1", MRAcquisitionType="3D")
    assert [holds(_on_series(T1, IN_3D), one) for one in (flat, solid)] == [False, True]
    assert [holds(_on_series(T2, IN_3D, combinator="or"), one) for one in (flat, solid)] == [False, True]
    assert [holds(_on_series(T1, IN_3D, **{"not": True}), one) for one in (flat, solid)] == [True, False]


def test_series_are_parted_in_their_order() -> None:
    many = tuple(a_series_of_facts(number, "T1" if number % 2 else "T2") for number in range(1, 5))
    matching, others = split(_on_series(T1), many, None)
    assert [one.values["SeriesNumber"] for one in matching] == [1, 3]
    assert [one.values["SeriesNumber"] for one in others] == [2, 4]


def test_the_nearest_series_passes_most_tests_and_of_equals_the_earlier_ones() -> None:
    group = _on_series(T2, {"field": "Modality", "value": "MR"}, IN_3D, MANY)
    flat_t1 = a_series_of_facts(1, "T1")
    solid_t1 = a_series_of_facts(2, "T1", MRAcquisitionType="3D")
    flat_t2 = a_series_of_facts(3, "T2")
    assert nearest(group, (flat_t1, solid_t1), None) is solid_t1
    assert nearest(group, (flat_t1, solid_t1, flat_t2), None) is flat_t2
    assert nearest(group, (), None) is None


def test_of_alternatives_the_best_counts_for_the_nearest() -> None:
    group = _on_series({"combinator": "or", "rules": [{"rules": [T2, IN_3D, MANY]}, {"rules": [T1, MANY]}]})
    close = a_series_of_facts(2, "T2", MRAcquisitionType="3D")
    assert nearest(group, (a_series_of_facts(1, "T1"), close), None) is close


@given(tree=STUDY_TREES, facts=studies())
def test_any_conditions_can_be_evaluated_on_any_facts(tree: dict[str, Any], facts: StudyFacts) -> None:
    when = load_when(tree)
    opposite = load_when(tree, **{"not": True})
    assert holds(when, facts, TODAY) is not holds(opposite, facts, TODAY)


@given(tree=SERIES_TREES, facts=studies(), threshold=st.integers(1, 3))
def test_quantifiers_agree_with_counting(tree: dict[str, Any], facts: StudyFacts, threshold: int) -> None:
    def answer(mode: str, threshold: int | None = None) -> bool:
        return holds(load_when(of_series(mode, tree, threshold=threshold)), facts, TODAY)

    group = _on_series(tree)
    matching = sum(holds(group, one, TODAY) for one in facts.series)
    assert answer("some") is (matching > 0)
    assert answer("none") is not answer("some")
    assert answer("all") is (0 < matching == len(facts.series))
    assert answer("atLeast", threshold) is (matching >= threshold)
    assert answer("atMost", threshold) is (matching <= threshold)
    assert answer("exactly", threshold) is (matching == threshold)


@given(left=SERIES_TREES, right=SERIES_TREES, one=series())
def test_and_is_the_opposite_of_or_of_the_opposites(left: Any, right: Any, one: SeriesFacts) -> None:
    both = holds(_on_series(left, right), one, TODAY)
    either_not = _on_series({"rules": [left], "not": True}, {"rules": [right], "not": True}, combinator="or")
    assert both is not holds(either_not, one, TODAY)


def test_what_a_study_lacks_is_not_what_its_series_lack() -> None:
    study = a_study_of_facts(a_series_of_facts(1, "T1"), StudyDate=None)
    assert holds(load_when({"field": "StudyDate", "operator": "null"}), study)
    assert holds(load_when(of_series("all", {"field": "AcquisitionDate", "operator": "null"})), study)
    assert not holds(load_when(of_series("some", {"field": "SeriesDescription", "operator": "null"})), study)


def test_values_that_python_takes_for_equal_are_kept_apart() -> None:
    rules = load(a_rule(when={"rules": [of_series("some", {"field": "EchoTime", "value": 1})]}))
    answers = [
        decide(rules, a_study_of_facts(a_series_of_facts(1, "T1", EchoTime=value)), {})[0].fired
        for value in (1, True, 1.0, True, (1,), "1", 1)
    ]
    assert answers == [True, False, True, False, False, False, True]


def test_equal_conditions_have_one_place_whichever_rule_they_stand_in() -> None:
    one, two = of_series("some", T1, IN_3D), of_series("none", T1, IN_3D)
    rules = load(
        a_rule("a", when={"rules": [one]}), a_rule("b", when={"rules": [one, two]}), a_rule("c", when={"rules": [two]})
    )
    # T1, 3D, both together, some, none, three groups of quantifiers, and the group of the role.
    assert rules.compiled.size == 9


def test_only_so_many_values_are_remembered() -> None:
    rules = load(a_rule(when={"rules": [of_series("some", {"field": "EchoTime", "operator": ">", "value": 5000})]}))
    fired = [
        decide(rules, a_study_of_facts(a_series_of_facts(1, "T1", EchoTime=value)), {}, explain=False)[0].fired
        for value in range(6000)
    ]
    assert fired.index(True) == 5001
    (column,) = (
        leaf.column
        for rule in rules.compiled.rules
        for counted in (rule.when.children if rule.when else ())
        if isinstance(counted, Counted)
        for leaf in counted.group.children
        if isinstance(leaf, Leaf)
    )
    assert 0 < len(column.holding) <= 4096
