"""Elements read as the values that facts of each type have."""

import re
from collections.abc import Callable, Mapping
from datetime import date

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicomnode.domain.facts import FactType
from dicomnode.domain.study import FactValue
from dicomnode.imaging.attributes import UNREADABLE, as_number, as_text, number, numbers, text, texts

_LONGEST_TEXT = 1024
"""In a list of values nobody looks for a longer one, and cut short it would be another."""
_AGE = re.compile(r"(\d+)([DWMY])")
_YEARS: Mapping[str, float] = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1}


def read_first(dataset: Dataset, keyword: str, kind: FactType) -> FactValue:
    """Read the value of an attribute in the form of its type; None where it is absent, empty or no such value."""
    return _READERS[kind](dataset, keyword)


def read_all(element: DataElement, kind: FactType | None) -> tuple[str | float, ...]:
    """Read all values of an element as numbers or as texts; none where one of them is not of that kind."""
    value = element.value
    values = tuple(value) if isinstance(value, MultiValue | list | tuple) else (value,)
    try:
        if kind is FactType.NUMBER_LIST:
            return tuple(_number(one) for one in values)
        if kind is FactType.TEXT_LIST:
            return tuple(one for one in map(_text, values) if one and len(one) <= _LONGEST_TEXT)
    except UNREADABLE:
        return ()
    return ()


def _number(value: object) -> float:
    age = _AGE.fullmatch(value) if isinstance(value, str) else None
    return int(age[1]) * _YEARS[age[2]] if age else as_number(value)


def _text(value: object) -> str:
    """Spell a value; a number the same from a file, where it is a text, and from a header that was kept as JSON."""
    return f"{as_number(value):.15g}" if isinstance(value, int | float) else as_text(value)


def _read_text(instance: Dataset, keyword: str) -> FactValue:
    return text(instance, keyword) or None


def _read_number(instance: Dataset, keyword: str) -> FactValue:
    """Read a number, whole ones without a fraction; an age (VR AS) is given in years."""
    value = number(instance, keyword)
    if value is None:
        age = _AGE.fullmatch(text(instance, keyword))
        return int(age[1]) * _YEARS[age[2]] if age else None
    return int(value) if value.is_integer() else value


def _read_date(instance: Dataset, keyword: str) -> FactValue:
    """Read a date; dots come from before the standard (ACR-NEMA)."""
    try:
        return date.fromisoformat(text(instance, keyword).replace(".", ""))
    except ValueError:
        return None


def _read_texts(instance: Dataset, keyword: str) -> FactValue:
    return texts(instance, keyword) or None


def _read_numbers(instance: Dataset, keyword: str) -> FactValue:
    return numbers(instance, keyword) or None


_READERS: Mapping[FactType, Callable[[Dataset, str], FactValue]] = {
    FactType.TEXT: _read_text,
    FactType.CODE: _read_text,
    FactType.NUMBER: _read_number,
    FactType.DATE: _read_date,
    FactType.TEXT_LIST: _read_texts,
    FactType.NUMBER_LIST: _read_numbers,
}
