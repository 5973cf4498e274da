"""The values of facts by name, of which summaries are worked out when somebody asks for them."""

from datetime import date
from typing import Any, TypeVar, overload

from dicomnode.domain.facts import Summary
from dicomnode.domain.study import FactValue

T = TypeVar("T")

_SUMMARIES = frozenset(Summary)


class FactValues(dict[str, FactValue]):
    """Name -> value, as a dictionary that also knows `EchoTime.max` where it only holds `EchoTime`.

    What it holds under a summary's own name comes first: an attribute whose values differ within a series.
    """

    @overload
    def get(self, name: str, default: None = None, /) -> FactValue: ...
    @overload
    def get(self, name: str, default: FactValue, /) -> FactValue: ...
    @overload
    def get(self, name: str, default: T, /) -> FactValue | T: ...
    def get(self, name: str, default: FactValue | T = None, /) -> FactValue | T:
        """Give the value of a fact, or the default where the study has none."""
        value = super().get(name)
        if value is None and "." in name:
            value = self._summarised(name)
        return default if value is None else value

    def __missing__(self, name: str) -> FactValue:
        """Work out a summary; raises KeyError like any dictionary."""
        value = self._summarised(name) if "." in name else None
        if value is None:
            raise KeyError(name)
        return value

    def _summarised(self, name: str) -> FactValue:
        """Summarise the one value or the list that is held; None where there is nothing, or it has no order."""
        base, _, asked = name.rpartition(".")
        if asked not in _SUMMARIES:
            return None
        if super().get(f"{base}.{Summary.COUNT}") is not None:
            # The list was too long to be kept, and what is held beside it is one value of many.
            return None
        held = super().get(f"{base}.{Summary.ALL}", super().get(base))
        return None if held is None else summarise(held, Summary(asked))


def summarise(held: FactValue, asked: Summary) -> FactValue:
    """Summarise one value or a list of values; None where that has no meaning."""
    values: list[Any] = sorted(set(held)) if isinstance(held, tuple) else [held]
    if not values or held is None:
        return None
    if asked is Summary.COUNT:
        return len(values)
    if asked is Summary.ALL:
        return None if isinstance(held, bool | date) else tuple(values)
    if isinstance(held, str | bool) or isinstance(values[0], str):
        return None
    value: FactValue = values[0 if asked is Summary.MIN else -1]
    return value
