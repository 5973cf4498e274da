"""Values of facts: as a rule writes them, and as a study has them."""

import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime

from dicomnode.domain.facts import FactField, FactType
from dicomnode.rules.problems import problem, suggestion

_TEXTS = (FactType.TEXT, FactType.CODE, FactType.TEXT_LIST)
_NUMBERS = (FactType.NUMBER, FactType.NUMBER_LIST)
_FOLDED = (FactType.TEXT, FactType.TEXT_LIST)


def is_absent(raw: object) -> bool:
    """Tell whether a study lacks the value: no attribute, an empty one, or nothing but spaces."""
    return raw is None or (isinstance(raw, str) and not raw.strip()) or (isinstance(raw, tuple | list) and not raw)


def found_value(fact_type: FactType, raw: object) -> object | None:
    """Give what a study has in the form of its type; None when absent, or of another type than declared."""
    return None if is_absent(raw) else _FINDERS[fact_type](raw)


def comparable(fact_type: FactType, value: object) -> object:
    """Fold the case of texts, alone or in a list, so that they compare without regard to it."""
    if fact_type not in _FOLDED:
        return value
    if isinstance(value, tuple):
        return tuple(comparable(fact_type, one) for one in value)
    return value.casefold() if isinstance(value, str) else value


def rule_item(fact: FactField, written: object) -> object:
    """Check one value written in a rule against its fact; raises a problem, which never repeats a free value."""
    if isinstance(written, bool):
        raise problem(
            f"must be {_kind(fact.type)}, not true or false; an unquoted YES, NO, ON or OFF is read as one:"
            " put it in quotes"
        )
    item = _as_date(written) if fact.type is FactType.DATE else written
    if not _HAS_KIND[_kind(fact.type)](item):
        raise problem(f"must be {_kind(fact.type)}{_EXAMPLE.get(_kind(fact.type), '')}")
    closed = [comparable(fact.type, one) for one in fact.values]
    if closed and comparable(fact.type, item) not in closed:
        meant = suggestion(str(item)[:40], fact.values) or ";"
        raise problem(f"{fact.name} is never '{str(item)[:40]}'{meant} possible are {', '.join(fact.values)}")
    return item


def is_number(value: object) -> bool:
    """Tell whether this is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _kind(fact_type: FactType) -> str:
    return "text" if fact_type in _TEXTS else "a number" if fact_type in _NUMBERS else "a date"


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _as_date(written: object) -> object:
    """Read a date from text, 2026-03-01 or 20260301; anything else stays what it is."""
    if not isinstance(written, str):
        return written
    try:
        return date.fromisoformat(written)
    except ValueError:
        return written


def _is_date(value: object) -> bool:
    return isinstance(value, date) and not isinstance(value, datetime)


def _one(fits: Callable[[object], bool]) -> Callable[[object], object | None]:
    return lambda raw: raw if fits(raw) else None


def _several(fits: Callable[[object], bool]) -> Callable[[object], object | None]:
    """Read a list; an attribute that may be multi-valued often comes with one value."""

    def read(raw: object) -> object | None:
        items = tuple(raw) if isinstance(raw, tuple | list) else (raw,)
        return items if all(fits(item) for item in items) else None

    return read


def _day(raw: object) -> object | None:
    return raw.date() if isinstance(raw, datetime) else raw if isinstance(raw, date) else None


_EXAMPLE = {"a date": " such as 2026-03-01", "text": "; put it in quotes"}
_HAS_KIND: Mapping[str, Callable[[object], bool]] = {"text": _is_text, "a number": is_number, "a date": _is_date}
_FINDERS: Mapping[FactType, Callable[[object], object | None]] = {
    FactType.TEXT: _one(_is_text),
    FactType.CODE: _one(_is_text),
    FactType.NUMBER: _one(is_number),
    FactType.DATE: _day,
    FactType.TEXT_LIST: _several(lambda item: isinstance(item, str)),
    FactType.NUMBER_LIST: _several(is_number),
}
