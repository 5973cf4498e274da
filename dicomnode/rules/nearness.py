"""How far a value of one series is from that of another: numbers, dates, and times as DICOM writes them."""

import re
from dataclasses import dataclass
from datetime import date

from dicomnode.domain.facts import FactField, FactType
from dicomnode.domain.study import SeriesFacts
from dicomnode.rules.values import found_value

_SECONDS_A_DAY = 86_400
_TM = re.compile(r"(\d{2}):?(?:(\d{2}):?(?:(\d{2}(?:\.\d{1,6})?))?)?")
"""VR TM (PS3.5 section 6.2); colons come from before the standard (ACR-NEMA)."""
_DT = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?(?:[+-]\d{4})?")
"""VR DT, at least to the day; the series of a study are written with one offset from UTC, so it does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """A place on an axis; a time whose day is not known can be compared with others within a day alone."""

    day: int | None
    place: float


def has_distance(fact: FactField) -> bool:
    """Tell whether values of a fact can be near to each other."""
    return fact.type in (FactType.NUMBER, FactType.DATE) or _is_time(fact)


def distance(fact: FactField, one: SeriesFacts, other: SeriesFacts) -> float | None:
    """Give how far the values of two series are apart, times in seconds and dates in days; None where one is absent."""
    here, there = _moment(fact, one), _moment(fact, other)
    if here is None or there is None:
        return None
    days = 0 if here.day is None or there.day is None else here.day - there.day
    return abs(days * _SECONDS_A_DAY + here.place - there.place)


def distance_in_words(fact: FactField, apart: float) -> str:
    """Write a distance with its unit."""
    if _is_time(fact):
        return f"{apart:g} s"
    return f"{apart:g} {'day' if apart == 1 else 'days'}" if fact.type is FactType.DATE else f"{apart:g}"


def _is_time(fact: FactField) -> bool:
    """Tell a time by its keyword: its VR is not known here, and both TM and DT are texts."""
    return fact.type is FactType.TEXT and fact.name.endswith("Time")


def _moment(fact: FactField, series: SeriesFacts) -> _Moment | None:
    found = found_value(fact.type, series.values.get(fact.name))
    if isinstance(found, date):
        return _Moment(day=None, place=float(found.toordinal()))
    if isinstance(found, int | float):
        return _Moment(day=None, place=float(found))
    if not isinstance(found, str):
        return None
    return _of_date_time(found) if fact.name.endswith("DateTime") else _of_time(found, _day_beside(fact, series))


def _day_beside(fact: FactField, series: SeriesFacts) -> int | None:
    """Find the day of a time in the attribute beside it: AcquisitionDate for AcquisitionTime."""
    day = series.values.get(f"{fact.name.removesuffix('Time')}Date")
    return day.toordinal() if isinstance(day, date) else None


def _of_time(text: str, day: int | None) -> _Moment | None:
    parts = _TM.fullmatch(text.strip())
    return None if parts is None else _Moment(day=day, place=_seconds(*parts.groups()))


def _of_date_time(text: str) -> _Moment | None:
    parts = _DT.fullmatch(text.strip())
    if parts is None:
        return None
    try:
        day = date(int(parts[1]), int(parts[2]), int(parts[3])).toordinal()
    except ValueError:
        return None
    return _of_time(parts[4] or "00", day)


def _seconds(hours: str, minutes: str | None, seconds: str | None) -> float:
    return int(hours) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)
