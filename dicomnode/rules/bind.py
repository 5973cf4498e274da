"""Which series plays which role of a rule that fired, and why that one."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from dicomnode.domain.rule import RoleBinding
from dicomnode.domain.study import SeriesFacts
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.rules.evaluate import nearest, split
from dicomnode.rules.explain import explain, found_in_words, named, reasons_against
from dicomnode.rules.operators import meets
from dicomnode.rules.rule import InputSelection, Preference
from dicomnode.rules.values import found_value, is_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The series that play the roles, and one sentence for each role that stayed empty."""

    bindings: tuple[RoleBinding, ...]
    problems: tuple[str, ...]


def bind(inputs: Mapping[str, InputSelection], series: tuple[SeriesFacts, ...], today: date | None) -> Bound:
    """Choose a series for each role, in the order of the rule; no series plays two roles."""
    bindings: list[RoleBinding] = []
    problems: list[str] = []
    roles: dict[SeriesInstanceUID, str] = {}
    for role, selection in inputs.items():
        fitting, others = split(selection, series, today)
        free = _in_order((one for one in fitting if one.series_instance_uid not in roles), selection.prefer)
        if free:
            chosen = free[0].series_instance_uid
            bindings.append(
                RoleBinding(role=role, series_instance_uid=chosen, why=_why(free, selection.prefer, len(fitting)))
            )
            roles[chosen] = role
        elif fitting:
            playing = ", ".join(f"{named(one)} plays {roles[one.series_instance_uid]}" for one in fitting)
            problems.append(f"No series is left for role {role}: {playing}.")
        else:
            problems.append(f"No series fits role {role}{_nearest_miss(selection, others, today)}.")
    return Bound(bindings=tuple(bindings), problems=tuple(problems))


def _in_order(series: Iterable[SeriesFacts], prefer: Sequence[Preference]) -> list[SeriesFacts]:
    """Sort the best series first: by the preferences, then lowest Series Number, then UID."""
    return sorted(
        series,
        key=lambda one: (
            *(_rank(preference, one) for preference in prefer),
            _series_number(one),
            one.series_instance_uid,
        ),
    )


def _rank(preference: Preference, series: SeriesFacts) -> float:
    """Give the place a preference puts a series in; lower is better, and absent values come last."""
    raw = series.values.get(preference.field)
    if preference.order is None:
        return float(not meets(preference.fact, preference.operator, preference.value, raw, None))
    found = found_value(preference.fact.type, raw)
    if found is None:
        return math.inf
    number = float(found.toordinal()) if isinstance(found, date) else _as_float(found)
    return -number if preference.order == "highest" else number


def _series_number(series: SeriesFacts) -> float:
    raw = series.values.get("SeriesNumber")
    return _as_float(raw) if is_number(raw) else math.inf


def _as_float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.inf


def _why(ranked: Sequence[SeriesFacts], prefer: Sequence[Preference], fitting: int) -> str:
    """Say why the first series was taken: by what it is better than the next."""
    first = named(ranked[0])
    if fitting == 1:
        return f"{first} is the only series that fits"
    if len(ranked) == 1:
        return f"{first} is the only one of {fitting} that fit and plays no other role"
    others = ", ".join(named(one) for one in ranked[1:])
    return f"{first} is the best of {len(ranked)} that fit: {_advantage(ranked[0], ranked[1], prefer)}; before {others}"


def _advantage(first: SeriesFacts, second: SeriesFacts, prefer: Sequence[Preference]) -> str:
    for preference in prefer:
        if _rank(preference, first) != _rank(preference, second):
            found = found_in_words(preference.fact, first)
            return f"{found}, the {preference.order}" if preference.order else found
    if _series_number(first) != _series_number(second):
        return "equally preferred, lowest SeriesNumber"
    return "equally preferred, first by UID"


def _nearest_miss(selection: InputSelection, series: tuple[SeriesFacts, ...], today: date | None) -> str:
    closest = nearest(selection, series, today)
    if closest is None:
        return ": there is no series to look at"
    return f"; nearest is {named(closest)}: {reasons_against(explain(selection, closest, today))}"
