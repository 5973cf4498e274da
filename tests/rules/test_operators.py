from datetime import date, datetime
from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.facts import FactField, FactType
from dicomnode.rules.operators import Operator, meets, operators_of, read_operator, read_value
from tests.rules.catalogue import TODAY


def _fact(kind: FactType, *values: str) -> FactField:
    return FactField(name="Fact", type=kind, description="a fact", values=values)


def _meets(kind: FactType, found: Any, operator: str, value: Any) -> bool:
    fact = _fact(kind)
    return meets(fact, Operator(operator), read_value(fact, Operator(operator), value), found, TODAY)


@pytest.mark.parametrize(
    ("kind", "found", "operator", "value", "expected"),
    [
        (FactType.TEXT, "T1 Sag", "=", "t1 sag", True),
        (FactType.TEXT, "T1 Sag", "=", "t1", False),
        (FactType.TEXT, "Straße", "=", "STRASSE", True),
        (FactType.TEXT, "T1 Sag", "!=", "t1 SAG", False),
        (FactType.TEXT, "T1 Sag", "contains", "SA", True),
        (FactType.TEXT, "T1 Sag", "doesNotContain", "SA", False),
        (FactType.TEXT, "T1 Sag", "beginsWith", "t1", True),
        (FactType.TEXT, "T1 Sag", "beginsWith", "sag", False),
        (FactType.TEXT, "T1 Sag", "endsWith", "SAG", True),
        (FactType.TEXT, "T1 Sag", "in", ["t2", "t1 sag"], True),
        (FactType.TEXT, "T1 Sag", "notIn", ["t2", "t1 sag"], False),
        (FactType.TEXT, "T1 Sag", "matches", "t[12]", True),
        (FactType.TEXT, "T1 Sag", "matches", "^sag", False),
        (FactType.TEXT, "Schädel", "matches", "SCHÄDEL$", True),
        (FactType.CODE, "BRAIN", "=", "BRAIN", True),
        (FactType.CODE, "BRAIN", "=", "brain", False),
        (FactType.CODE, "BRAIN", "matches", "^BR", True),
        (FactType.CODE, "BRAIN", "matches", "^br", False),
        (FactType.CODE, "LSPINE", "notIn", ["BRAIN", "HEAD"], True),
        (FactType.NUMBER, 3, "=", 3.0, True),
        (FactType.NUMBER, 3, "<", 3, False),
        (FactType.NUMBER, 3, "<=", 3, True),
        (FactType.NUMBER, 3.5, ">", 3, True),
        (FactType.NUMBER, 3, ">=", 4, False),
        (FactType.NUMBER, 3, "between", [3, 4], True),
        (FactType.NUMBER, 5, "between", [3, 4], False),
        (FactType.NUMBER, 0, "=", 0, True),
        (FactType.NUMBER, 0, "null", None, False),
        (FactType.DATE, date(2026, 2, 20), "=", "2026-02-20", True),
        (FactType.DATE, date(2026, 2, 20), "=", "20260220", True),
        (FactType.DATE, date(2026, 2, 20), "<", "2026-02-21", True),
        (FactType.DATE, datetime(2026, 2, 20, 23, 59), "=", "2026-02-20", True),
        (FactType.DATE, date(2026, 2, 20), "between", ["2026-01-01", date(2026, 2, 20)], True),
        (FactType.DATE, date(2026, 2, 20), "withinDays", 9, True),
        (FactType.DATE, date(2026, 2, 20), "withinDays", 8, False),
        (FactType.DATE, date(2026, 3, 2), "withinDays", 1, True),
        (FactType.DATE, date(2026, 3, 3), "withinDays", 1, False),
        (FactType.TEXT_LIST, ("ORIGINAL", "PRIMARY"), "contains", "primary", True),
        (FactType.TEXT_LIST, ("ORIGINAL", "PRIMARY"), "contains", "PRIM", False),
        (FactType.TEXT_LIST, "MR", "contains", "MR", True),
        (FactType.TEXT_LIST, ("ORIGINAL", "PRIMARY"), "doesNotContain", "MPR", True),
        (FactType.TEXT_LIST, ("ORIGINAL", "PRIMARY"), "containsAny", ["MPR", "PRIMARY"], True),
        (FactType.TEXT_LIST, ("ORIGINAL", "PRIMARY"), "containsAll", ["MPR", "PRIMARY"], False),
        (FactType.TEXT_LIST, ("ORIGINAL", "PRIMARY"), "notNull", None, True),
        (FactType.NUMBER_LIST, (0.5, 0.5), "contains", 0.5, True),
        (FactType.NUMBER_LIST, 0.5, "containsAll", [0.5, 1], False),
    ],
)
def test_each_operator_asks_what_it_says(kind: FactType, found: Any, operator: str, value: Any, expected: bool) -> None:
    assert _meets(kind, found, operator, value) is expected


_A_VALUE = {
    FactType.TEXT: "x",
    FactType.CODE: "X",
    FactType.NUMBER: 1,
    FactType.DATE: "2026-03-01",
    FactType.TEXT_LIST: "x",
    FactType.NUMBER_LIST: 1,
}
_HOLD_WHEN_ABSENT = {Operator.NULL, Operator.NOT_EQUAL, Operator.NOT_IN, Operator.DOES_NOT_CONTAIN}


def _any_value(kind: FactType, operator: Operator) -> Any:
    if operator in (Operator.NULL, Operator.NOT_NULL):
        return None
    if operator is Operator.WITHIN_DAYS:
        return 30
    one = _A_VALUE[kind]
    if operator is Operator.BETWEEN:
        return [one, one]
    several = (Operator.IN, Operator.NOT_IN, Operator.CONTAINS_ANY, Operator.CONTAINS_ALL)
    return [one] if operator in several else one


@pytest.mark.parametrize("absent", [None, "", "  ", (), []])
@pytest.mark.parametrize("kind", FactType)
def test_an_absent_fact_passes_only_null_and_the_negative_tests(kind: FactType, absent: Any) -> None:
    held = {one for one in operators_of(_fact(kind)) if _meets(kind, absent, one, _any_value(kind, one))}
    assert held == _HOLD_WHEN_ABSENT & set(operators_of(_fact(kind)))


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (FactType.TEXT, 3),
        (FactType.CODE, ("A", "B")),
        (FactType.NUMBER, "3"),
        (FactType.NUMBER, float("nan")),
        (FactType.NUMBER, True),
        (FactType.DATE, "20260301"),
        (FactType.TEXT_LIST, (1, "A")),
        (FactType.NUMBER_LIST, ("A",)),
    ],
)
def test_a_fact_of_another_type_is_present_but_passes_no_positive_test(kind: FactType, found: Any) -> None:
    held = {one for one in operators_of(_fact(kind)) if _meets(kind, found, one, _any_value(kind, one))}
    assert held == (_HOLD_WHEN_ABSENT & set(operators_of(_fact(kind)))) - {Operator.NULL} | {Operator.NOT_NULL}


def test_a_test_relative_to_the_day_is_never_answered_without_one() -> None:
    for found in (date(2026, 2, 20), None):
        with pytest.raises(InvalidRule, match="relative to a day"):
            meets(_fact(FactType.DATE), Operator.WITHIN_DAYS, 3, found, None)


def test_a_pattern_that_takes_other_engines_for_ever_is_searched_at_once() -> None:
    assert not _meets(FactType.TEXT, "a" * 50_000 + "!", "matches", "(a+)+$")


def test_a_text_with_half_a_surrogate_pair_can_be_searched() -> None:
    assert _meets(FactType.TEXT, "\ud800 t1", "matches", "t1$")


def _problem(kind: FactType, operator: str, value: Any, *closed: str) -> str:
    with pytest.raises(PydanticCustomError) as refused:
        read_value(_fact(kind, *closed), Operator(operator), value)
    return refused.value.message()


@pytest.mark.parametrize(
    ("kind", "operator", "value", "told"),
    [
        (FactType.TEXT, "=", None, "must be text; put it in quotes"),
        (FactType.TEXT, "contains", 3, "must be text; put it in quotes"),
        (FactType.TEXT, "contains", " ", "must be text"),
        (FactType.TEXT, "in", "a,b", "must be a list of values for 'in'"),
        (FactType.TEXT, "in", [], "must be a list of values for 'in'"),
        (FactType.TEXT, "=", ["a"], "must be text"),
        (FactType.CODE, "=", False, "an unquoted YES, NO, ON or OFF is read as one"),
        (FactType.NUMBER, "<", "3", "must be a number"),
        (FactType.NUMBER, "=", True, "must be a number"),
        (FactType.NUMBER, "=", float("nan"), "must be a number"),
        (FactType.NUMBER, "=", 10**400, "must be a number"),
        (FactType.NUMBER, "between", [4, 3], "the lower one first"),
        (FactType.NUMBER, "between", [3], "two values"),
        (FactType.NUMBER, "between", [1, 2, 3], "two values"),
        (FactType.NUMBER, "in", [1, "x"], "must be a number"),
        (FactType.DATE, "=", 20260301, "must be a date such as 2026-03-01"),
        (FactType.DATE, "=", "2026-13-01", "must be a date"),
        (FactType.DATE, "=", datetime(2026, 3, 1, 10), "must be a date"),
        (FactType.DATE, "withinDays", -1, "a whole number of days"),
        (FactType.DATE, "withinDays", 1.5, "a whole number of days"),
        (FactType.DATE, "withinDays", True, "a whole number of days"),
        (FactType.TEXT, "null", "x", "'null' takes no value"),
        (FactType.TEXT, "matches", "a" * 201, "201 characters long; 200 are allowed"),
        (FactType.TEXT, "matches", "(secret", "not a pattern that RE2 can read: missing )"),
        (FactType.TEXT, "matches", "(?=a)", "not a pattern that RE2 can read"),
        (FactType.TEXT, "matches", "\ud800", "not a pattern that RE2 can read"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(kind: FactType, operator: str, value: Any, told: str) -> None:
    assert told in _problem(kind, operator, value)


def test_a_problem_does_not_repeat_a_free_value() -> None:
    assert "secret" not in _problem(FactType.TEXT, "matches", "(secret")
    assert "1970" not in _problem(FactType.DATE, "=", "1970-99-99")


def test_a_value_outside_a_closed_set_is_refused_with_what_was_meant() -> None:
    closed = ("T1", "T2", "FLAIR")
    assert _problem(FactType.CODE, "=", "FLAR", *closed) == (
        "Fact is never 'FLAR', did you mean 'FLAIR'? possible are T1, T2, FLAIR"
    )
    assert "possible are T1, T2, FLAIR" in _problem(FactType.CODE, "=", "xyz", *closed)
    assert "'t1', did you mean 'T1'?" in _problem(FactType.CODE, "=", "t1", *closed)
    both = _problem(FactType.CODE, "in", ["T1", "FLAR", "STUR"], *closed)
    assert "FLAR" in both
    assert "STUR" in both
    assert read_value(_fact(FactType.TEXT_LIST, *closed), Operator.CONTAINS, "flair") == "flair"


def test_values_are_kept_in_an_unchangeable_form() -> None:
    assert read_value(_fact(FactType.TEXT), Operator.IN, ["a", "b"]) == ("a", "b")
    assert read_value(_fact(FactType.DATE), Operator.EQUAL, "2026-03-01") == date(2026, 3, 1)
    assert read_value(_fact(FactType.TEXT), Operator.NULL, "") is None


def test_an_operator_is_checked_against_the_type_of_its_fact() -> None:
    with pytest.raises(PydanticCustomError, match="'contains' cannot be asked of Fact, which is a number; possible"):
        read_operator("contains", _fact(FactType.NUMBER))
    with pytest.raises(PydanticCustomError, match="'=' cannot be asked of Fact, which is a list of texts"):
        read_operator("=", _fact(FactType.TEXT_LIST))
    with pytest.raises(PydanticCustomError, match="unknown operator 'contians', did you mean 'contains'"):
        read_operator("contians", None)
    with pytest.raises(PydanticCustomError, match='write "null" in quotes'):
        read_operator(None, _fact(FactType.TEXT))
    with pytest.raises(PydanticCustomError, match="unknown operator"):
        read_operator(["="], None)
    assert read_operator("notIn", _fact(FactType.CODE)) is Operator.NOT_IN


def test_a_pattern_is_not_asked_of_a_closed_set() -> None:
    assert Operator.MATCHES in operators_of(_fact(FactType.CODE))
    assert Operator.MATCHES not in operators_of(_fact(FactType.CODE, "A", "B"))
