"""What can be asked of a fact, and whether a value answers it."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

import re2
from pydantic_core import PydanticCustomError

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.facts import FactField, FactType
from dicomnode.rules.problems import problem, suggestion
from dicomnode.rules.values import comparable, found_value, is_absent, rule_item

PATTERN_MAX_LENGTH = 200
_DAYS_MAX = 36500


class Operator(StrEnum):
    """The tests a condition can make, under the names react-querybuilder uses."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    BETWEEN = "between"
    """Both ends count as inside."""
    IN = "in"
    NOT_IN = "notIn"
    CONTAINS = "contains"
    """A piece of a text, or an element of a list."""
    DOES_NOT_CONTAIN = "doesNotContain"
    BEGINS_WITH = "beginsWith"
    ENDS_WITH = "endsWith"
    MATCHES = "matches"
    """An RE2 pattern found anywhere in the value; ^ and $ tie it to the ends."""
    CONTAINS_ANY = "containsAny"
    CONTAINS_ALL = "containsAll"
    WITHIN_DAYS = "withinDays"
    """At most so many days before or after the day of the decision."""
    NULL = "null"
    NOT_NULL = "notNull"


PRESENCE = (Operator.NULL, Operator.NOT_NULL)
_EQUALITY = (Operator.EQUAL, Operator.NOT_EQUAL, Operator.IN, Operator.NOT_IN)
_ORDER = (
    Operator.LESS,
    Operator.LESS_OR_EQUAL,
    Operator.GREATER,
    Operator.GREATER_OR_EQUAL,
    Operator.BETWEEN,
)
_PIECES = (Operator.CONTAINS, Operator.DOES_NOT_CONTAIN)
_LISTS = (*_PIECES, Operator.CONTAINS_ANY, Operator.CONTAINS_ALL, *PRESENCE)

_BY_TYPE: Mapping[FactType, tuple[Operator, ...]] = {
    FactType.TEXT: (
        *_EQUALITY,
        *_PIECES,
        Operator.BEGINS_WITH,
        Operator.ENDS_WITH,
        Operator.MATCHES,
        *PRESENCE,
    ),
    FactType.CODE: (*_EQUALITY, Operator.MATCHES, *PRESENCE),
    FactType.NUMBER: (*_EQUALITY, *_ORDER, *PRESENCE),
    FactType.DATE: (*_EQUALITY, *_ORDER, Operator.WITHIN_DAYS, *PRESENCE),
    FactType.TEXT_LIST: _LISTS,
    FactType.NUMBER_LIST: _LISTS,
}

_SEVERAL = (Operator.IN, Operator.NOT_IN, Operator.BETWEEN, Operator.CONTAINS_ANY, Operator.CONTAINS_ALL)
_HOLD_WITHOUT_VALUE = (Operator.NOT_EQUAL, Operator.NOT_IN, Operator.DOES_NOT_CONTAIN)
_COMPARISONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
    Operator.BETWEEN: lambda found, asked: asked[0] <= found <= asked[1],
    Operator.IN: lambda found, asked: found in asked,
    Operator.NOT_IN: lambda found, asked: found not in asked,
    Operator.CONTAINS: operator.contains,
    Operator.DOES_NOT_CONTAIN: lambda found, asked: asked not in found,
    Operator.BEGINS_WITH: lambda found, asked: found.startswith(asked),
    Operator.ENDS_WITH: lambda found, asked: found.endswith(asked),
    Operator.CONTAINS_ANY: lambda found, asked: any(one in found for one in asked),
    Operator.CONTAINS_ALL: lambda found, asked: all(one in found for one in asked),
}


def operators_of(fact: FactField) -> tuple[Operator, ...]:
    """List what may be asked of a fact; a pattern makes no sense where the possible values are all known."""
    return tuple(one for one in _BY_TYPE[fact.type] if not (fact.values and one is Operator.MATCHES))


def read_operator(written: object, fact: FactField | None) -> Operator:
    """Check an operator as written in a rule, and against its fact where that is known; raises a problem."""
    if written is None:
        raise problem('is empty; to ask whether a fact is absent, write "null" in quotes')
    known = tuple(Operator)
    if written not in known:
        raise problem(f"unknown operator '{str(written)[:40]}'{suggestion(str(written)[:40], known)}")
    chosen = Operator(str(written))
    if fact is not None and chosen not in (fitting := operators_of(fact)):
        raise problem(
            f"'{chosen}' cannot be asked of {fact.name}, which is a {fact.type}; possible are {', '.join(fitting)}"
        )
    return chosen


def read_value(fact: FactField, asked: Operator, written: object) -> object:
    """Check the value beside an operator and give it in its unchangeable form; raises a problem."""
    if asked in PRESENCE:
        if written not in (None, ""):
            raise problem(f"'{asked}' takes no value")
        return None
    if asked is Operator.WITHIN_DAYS:
        if isinstance(written, bool) or not isinstance(written, int) or not 0 <= written <= _DAYS_MAX:
            raise problem(f"must be a whole number of days, 0 to {_DAYS_MAX}")
        return written
    if asked in _SEVERAL:
        return _read_several(fact, asked, written)
    item = rule_item(fact, written)
    if asked is Operator.MATCHES:
        _check_pattern(str(item))
    return item


def _read_several(fact: FactField, asked: Operator, written: object) -> tuple[object, ...]:
    """Check a list of values and tell of all that are wrong."""
    if not isinstance(written, list | tuple) or not written:
        raise problem(f"must be a list of values for '{asked}'")
    items, faults = [], []
    for one in written:
        try:
            items.append(rule_item(fact, one))
        except PydanticCustomError as fault:
            faults.append(fault.message())
    if faults:
        raise problem("; ".join(dict.fromkeys(faults)))
    if asked is Operator.BETWEEN:
        _check_ends(items)
    return tuple(items)


def _check_ends(items: list[Any]) -> None:
    if len(items) != 2 or items[0] > items[1]:
        raise problem("must be two values for 'between', the lower one first")


def _check_pattern(pattern: str) -> None:
    """Let RE2 read the pattern; its message is cut before it repeats a piece of the pattern."""
    if len(pattern) > PATTERN_MAX_LENGTH:
        raise problem(f"the pattern is {len(pattern)} characters long; {PATTERN_MAX_LENGTH} are allowed")
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as fault:
        reason = fault.args[0].decode("utf-8", "replace").split(":")[0]
        raise problem(f"not a pattern that RE2 can read: {reason}") from fault
    except UnicodeEncodeError as fault:
        raise problem("not a pattern that RE2 can read: characters that Unicode does not allow") from fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a study has of a fact, read once for all tests of it."""

    is_absent: bool
    value: object | None
    """None where it is absent or of another type than declared."""
    folded: object | None
    """The value in the form in which it compares."""


Test = Callable[[Found, date | None], bool]
"""Says whether what was found passes, on the day of the decision."""


def found_of(fact_type: FactType, raw: object) -> Found:
    """Read what a study has."""
    value = found_value(fact_type, raw)
    return Found(is_absent=is_absent(raw), value=value, folded=None if value is None else comparable(fact_type, value))


def test_of(fact: FactField, asked: Operator, value: object) -> Test:
    """Make the test that an operator asks for with the rule's `value`.

    An absent fact passes no test but the negative ones and `null`. The test raises InvalidRule when it is relative to
    the day of the decision and no day was handed in.
    """
    if asked is Operator.NULL:
        return lambda found, _today: found.is_absent
    if asked is Operator.NOT_NULL:
        return lambda found, _today: not found.is_absent
    if asked is Operator.MATCHES:
        return _pattern_test(fact.type, str(value))
    if asked is Operator.WITHIN_DAYS:
        return lambda found, today: _is_within(fact, found.value, value, today)
    compare, folded, otherwise = _COMPARISONS[asked], comparable(fact.type, value), asked in _HOLD_WITHOUT_VALUE
    return lambda found, _today: otherwise if found.folded is None else compare(found.folded, folded)


def meets(fact: FactField, asked: Operator, value: object, raw: object, today: date | None) -> bool:
    """Say whether what a study has (`raw`) passes the test `asked` with the rule's `value`; raises as the test does."""
    return test_of(fact, asked, value)(found_of(fact.type, raw), today)


def _pattern_test(fact_type: FactType, pattern: str) -> Test:
    """Search with RE2, which takes linear time on any pattern; codes keep their case, texts do not."""
    options = re2.Options()
    options.case_sensitive = fact_type is FactType.CODE
    search = re2.compile(pattern, options).search

    def is_found(found: Found, _today: date | None) -> bool:
        if found.value is None:
            return False
        text = str(found.value)
        return search(text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")) is not None

    return is_found


def _is_within(fact: FactField, found: object, days: object, today: date | None) -> bool:
    if today is None:
        raise InvalidRule(f"{fact.name} withinDays is relative to a day, and none was handed in")
    return isinstance(found, date) and isinstance(days, int) and abs((today - found).days) <= days
