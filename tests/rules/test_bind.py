from datetime import date
from typing import Any

import pytest

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.study import SeriesFacts
from dicomnode.rules.actions import Synthesis
from dicomnode.rules.bind import Bound, bind
from dicomnode.rules.compiled import Compiler, compile_roles
from dicomnode.rules.sight import Sight
from tests.rules.catalogue import a_rule, a_series_of_facts, a_study_of_facts, load

T1, T2 = {"field": "Weighting", "value": "T1"}, {"field": "Weighting", "value": "T2"}
MR = {"field": "Modality", "value": "MR"}


def _wanting(*conditions: Any, prefer: Any = ()) -> dict[str, Any]:
    return {"rules": list(conditions), "prefer": list(prefer)}


def _bind(inputs: dict[str, Any], *series: SeriesFacts) -> Bound:
    then = {**a_rule()["then"], "inputs": inputs, "target": next(iter(inputs))}
    (synthesis,) = load(a_rule(then=then)).rules[0].consequences
    assert isinstance(synthesis, Synthesis)
    compiler = Compiler()
    roles = compile_roles(synthesis, compiler)
    return bind(roles, Sight(compiler.size, a_study_of_facts(), series, None))


def _chosen(prefer: Any, *series: SeriesFacts) -> tuple[str, str]:
    (binding,) = _bind({"t1": _wanting(MR, prefer=prefer)}, *series).bindings
    return binding.series_instance_uid.rsplit(".", 1)[1], binding.why


FLAT, SOLID = a_series_of_facts(1, "T1"), a_series_of_facts(2, "T1", MRAcquisitionType="3D")
LONG = a_series_of_facts(3, "T1", NumberOfInstances=48)


def test_the_only_series_that_fits_is_taken() -> None:
    bound = _bind({"t1": _wanting(T1), "t2": _wanting(T2)}, FLAT, a_series_of_facts(4, "T2"))
    assert [(one.role, one.series_instance_uid, one.why) for one in bound.bindings] == [
        ("t1", "1.2.3.1", "“1 t1 tra” is the only series that fits"),
        ("t2", "1.2.3.4", "“4 t2 tra” is the only series that fits"),
    ]
    assert bound.problems == ()


def test_a_preferred_value_decides() -> None:
    assert _chosen([{"field": "MRAcquisitionType", "value": "3D"}], FLAT, SOLID, LONG) == (
        "2",
        "“2 t1 tra” is the best of 3 that fit: MRAcquisitionType is 3D; before “1 t1 tra”, “3 t1 tra”",
    )


def test_the_highest_or_lowest_number_decides() -> None:
    highest = [{"field": "NumberOfInstances", "order": "highest"}]
    assert _chosen(highest, FLAT, SOLID, LONG) == (
        "3",
        "“3 t1 tra” is the best of 3 that fit: NumberOfInstances is 48, the highest; before “1 t1 tra”, “2 t1 tra”",
    )
    assert _chosen([{"field": "NumberOfInstances", "order": "lowest"}], LONG, SOLID)[0] == "2"


def test_the_first_preference_counts_most() -> None:
    solid_first = [{"field": "MRAcquisitionType", "value": "3D"}, {"field": "NumberOfInstances", "order": "highest"}]
    assert _chosen(solid_first, FLAT, SOLID, LONG)[0] == "2"
    assert _chosen(list(reversed(solid_first)), FLAT, SOLID, LONG)[0] == "3"


def test_dates_and_list_elements_can_be_preferred() -> None:
    early = a_series_of_facts(5, "T1", AcquisitionDate=date(2026, 1, 1))
    late = a_series_of_facts(4, "T1", AcquisitionDate=date(2026, 2, 1), ImageType=("ORIGINAL", "NORM"))
    assert _chosen([{"field": "AcquisitionDate", "order": "lowest"}], late, early)[0] == "5"
    assert _chosen([{"field": "ImageType", "value": "NORM"}], FLAT, early, late) == (
        "4",
        "“4 t1 tra” is the best of 3 that fit: ImageType is ORIGINAL, NORM; before “1 t1 tra”, “5 t1 tra”",
    )


def test_an_absent_value_comes_last_in_either_order() -> None:
    without = a_series_of_facts(1, "T1", EchoTime=None)
    with_one = a_series_of_facts(9, "T1", EchoTime=12)
    for order in ("highest", "lowest"):
        assert _chosen([{"field": "EchoTime", "order": order}], without, with_one)[0] == "9"


def test_ties_go_to_the_lowest_series_number_and_then_to_the_uid() -> None:
    assert _chosen([], SOLID, FLAT) == (
        "1",
        "“1 t1 tra” is the best of 2 that fit: equally preferred, lowest SeriesNumber; before “2 t1 tra”",
    )
    nine, ten = a_series_of_facts(9, "T1", SeriesNumber=1), a_series_of_facts(10, "T1", SeriesNumber=1)
    assert _chosen([], nine, ten)[0] == "10"
    assert "equally preferred, first by UID" in _chosen([], nine, ten)[1]
    assert _chosen([], a_series_of_facts(1, "T1", SeriesNumber=None), nine)[0] == "9"


def test_the_order_of_arrival_decides_nothing() -> None:
    many = [FLAT, SOLID, LONG, a_series_of_facts(4, "T1", NumberOfInstances=None)]
    prefer = [{"field": "NumberOfInstances", "order": "highest"}]
    assert _chosen(prefer, *many) == _chosen(prefer, *reversed(many))


def test_a_series_plays_one_role_and_earlier_roles_choose_first() -> None:
    bound = _bind({"a": _wanting(T1), "b": _wanting(MR)}, FLAT, SOLID)
    assert [(one.role, one.series_instance_uid) for one in bound.bindings] == [("a", "1.2.3.1"), ("b", "1.2.3.2")]
    assert bound.bindings[1].why == "“2 t1 tra” is the only one of 2 that fit and plays no other role"


def test_a_role_whose_series_all_play_others_is_a_problem() -> None:
    bound = _bind({"a": _wanting(T1), "b": _wanting(MR)}, FLAT)
    assert bound.problems == ("No series is left for role b: “1 t1 tra” plays a.",)


def test_a_role_that_no_series_fits_names_the_nearest_and_what_it_lacks() -> None:
    long_3d = _wanting(
        T2, {"field": "NumberOfInstances", "operator": ">=", "value": 40}, {"field": "MRAcquisitionType", "value": "3D"}
    )
    bound = _bind({"t2": long_3d, "t1": _wanting(T1)}, FLAT, a_series_of_facts(4, "T2"))
    assert bound.problems == (
        "No series fits role t2; nearest is “4 t2 tra”: NumberOfInstances is 24; asked whether it is at least 40;"
        " MRAcquisitionType is 2D; asked whether it is 3D.",
    )
    assert [one.role for one in bound.bindings] == ["t1"]


def test_without_series_every_role_is_a_problem() -> None:
    assert _bind({"a": _wanting(T1), "b": _wanting(T2)}).problems == (
        "No series fits role a: there is no series to look at.",
        "No series fits role b: there is no series to look at.",
    )


def _near(field: str | None = None) -> dict[str, Any]:
    return {"nearest": "t1", **({"field": field} if field else {})}


def _nearest_t2(prefer: dict[str, Any], first: SeriesFacts, *others: SeriesFacts) -> tuple[str, str]:
    bound = _bind({"t1": _wanting(T1), "t2": _wanting(T2, prefer=[prefer])}, first, *others)
    return bound.bindings[1].series_instance_uid.rsplit(".", 1)[1], bound.bindings[1].why


def _at(number: int, weighting: str, time: str | None, day: date | None = None) -> SeriesFacts:
    return a_series_of_facts(number, weighting, AcquisitionTime=time, AcquisitionDate=day)


def test_the_series_nearest_in_time_to_an_earlier_role_is_preferred() -> None:
    first, early, late = _at(1, "T1", "101530.5"), _at(2, "T2", "100000"), _at(3, "T2", "10:16:00")
    number, why = _nearest_t2(_near(), first, early, late)
    assert number == "3"
    assert why == (
        "“3 t2 tra” is the best of 2 that fit: AcquisitionTime is 29.5 s from that of “1 t1 tra”, the nearest;"
        " before “2 t2 tra”"
    )


def test_midnight_is_near_to_midnight_where_the_days_are_known() -> None:
    before, after, noon = (
        _at(1, "T1", "235900", date(2026, 3, 1)),
        _at(2, "T2", "000100", date(2026, 3, 2)),
        _at(3, "T2", "120000", date(2026, 3, 1)),
    )
    assert _nearest_t2(_near(), before, after, noon)[0] == "2"
    without_days = [_at(2, "T2", "000100"), _at(3, "T2", "120000")]
    assert _nearest_t2(_near(), _at(1, "T1", "235900"), *without_days)[0] == "3"


def test_numbers_and_dates_can_be_near_and_what_is_absent_comes_last() -> None:
    first = a_series_of_facts(1, "T1", EchoTime=10, AcquisitionDate=date(2026, 3, 1))
    near = a_series_of_facts(3, "T2", EchoTime=12.5, AcquisitionDate=date(2026, 3, 2))
    far = a_series_of_facts(2, "T2", EchoTime=90, AcquisitionDate=date(2026, 1, 2))
    assert "EchoTime is 2.5 from that of" in _nearest_t2(_near("EchoTime"), first, far, near)[1]
    assert "AcquisitionDate is 1 day from that of" in _nearest_t2(_near("AcquisitionDate"), first, far, near)[1]
    without = a_series_of_facts(2, "T2", EchoTime=None)
    assert _nearest_t2(_near("EchoTime"), first, without, near)[0] == "3"
    neither = a_series_of_facts(3, "T2", EchoTime=None)
    assert _nearest_t2(_near("EchoTime"), first, without, neither) == (
        "2",
        "“2 t2 tra” is the best of 2 that fit: equally preferred, lowest SeriesNumber; before “3 t2 tra”",
    )


@pytest.mark.parametrize(
    ("prefer", "problem"),
    [
        ({"nearest": "t2"}, "role t2 cannot be nearest to 't2', which is no earlier role; the earlier ones are t1"),
        ({"nearest": "t3"}, "role t2 cannot be nearest to 't3', which is no earlier role"),
        ({"nearest": "t1", "field": "Modality"}, "Modality is no number, date or time, of which one could be nearest"),
        ({"nearest": "t1", "field": "EchoTime", "order": "lowest"}, "a preference has either an order"),
        ({"nearest": "t1", "field": "EchoTime", "value": 3}, "or a role to be nearest to"),
        ({"nearest": "t1", "field": "EchoTim"}, "unknown fact 'EchoTim', did you mean 'EchoTime'?"),
    ],
)
def test_nearness_that_makes_no_sense_is_refused(prefer: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRule, match=problem.replace("?", r"\?")):
        _bind({"t1": _wanting(T1), "t2": _wanting(T2, prefer=[prefer])}, FLAT)


def test_the_first_role_is_near_to_none() -> None:
    with pytest.raises(InvalidRule, match="which is no earlier role; this role chooses first"):
        _bind({"t1": _wanting(T1, prefer=[_near()])}, FLAT)


def test_every_other_candidate_says_what_it_lost_by() -> None:
    native = _wanting(
        T1, {"field": "ContrastEnhanced", "value": "NO"}, MR, prefer=[{"field": "MRAcquisitionType", "value": "3D"}]
    )
    enhanced = a_series_of_facts(5, "T1", ContrastEnhanced="YES")
    other = a_series_of_facts(6, "T2", ContrastEnhanced="YES")
    bound = _bind({"t1": native, "any": _wanting(MR)}, FLAT, SOLID, LONG, enhanced, other)
    first, second = bound.bindings
    assert first.lost == (
        "“1 t1 tra”: MRAcquisitionType is 2D; of the one taken MRAcquisitionType is 3D",
        "“3 t1 tra”: MRAcquisitionType is 2D; of the one taken MRAcquisitionType is 3D",
        "“5 t1 tra”: does not fit, ContrastEnhanced is YES; asked whether it is NO",
    )
    assert second.lost == (
        "“3 t1 tra”: equally preferred, comes later by SeriesNumber or UID",
        "“5 t1 tra”: equally preferred, comes later by SeriesNumber or UID",
        "“6 t2 tra”: equally preferred, comes later by SeriesNumber or UID",
        "“2 t1 tra”: plays t1",
    )
