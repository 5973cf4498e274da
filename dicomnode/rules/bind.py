"""Which series plays which role of a rule that fired, why that one, and why the other candidates did not."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dicomnode.domain.rule import RoleBinding
from dicomnode.domain.study import SeriesFacts
from dicomnode.rules.actions import Preference
from dicomnode.rules.compiled import CompiledRole, Joined
from dicomnode.rules.explain import found_in_words, reasons_against
from dicomnode.rules.nearness import distance, distance_in_words
from dicomnode.rules.operators import meets
from dicomnode.rules.sight import Sight, places
from dicomnode.rules.values import found_value, is_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The series that play the roles, and one sentence for each role that stayed empty."""

    bindings: tuple[RoleBinding, ...]
    problems: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Choice:
    """How the roles of one synthesis are being given to series, which are named by their places."""

    sight: Sight
    chosen: dict[str, int]

    def series(self, place: int) -> SeriesFacts:
        return self.sight.series[place]

    def roles(self) -> dict[int, str]:
        return {place: role for role, place in self.chosen.items()}


def bind(roles: Sequence[CompiledRole], sight: Sight, *, explain: bool = True) -> Bound:
    """Choose a series for each role, in the order of the rule; no series plays two roles.

    Without `explain` the bindings do not say why; problems always do.
    """
    bindings: list[RoleBinding] = []
    problems: list[str] = []
    choice = _Choice(sight=sight, chosen={})
    for role in roles:
        fitting = role.group.answer(sight)
        taken = choice.roles()
        free = _in_order([place for place in places(fitting) if place not in taken], role.prefer, choice)
        if not free:
            problems.append(_problem(role, fitting, choice))
            continue
        why = _why(free, role.prefer, choice, fitting.bit_count()) if explain else ""
        lost = _lost(free, role, choice) if explain else ()
        uid = sight.series[free[0]].series_instance_uid
        bindings.append(RoleBinding(role=role.name, series_instance_uid=uid, why=why, lost=lost))
        choice.chosen[role.name] = free[0]
    return Bound(bindings=tuple(bindings), problems=tuple(problems))


def _in_order(candidates: list[int], prefer: Sequence[Preference], choice: _Choice) -> list[int]:
    """Sort the best series first: by the preferences, then lowest Series Number, then UID."""
    if len(candidates) < 2:
        return candidates
    return sorted(
        candidates,
        key=lambda place: (
            *(_rank(preference, place, choice) for preference in prefer),
            _series_number(choice.series(place)),
            choice.series(place).series_instance_uid,
        ),
    )


def _rank(preference: Preference, place: int, choice: _Choice) -> float:
    """Give the place a preference puts a series in; lower is better, and absent values come last."""
    series = choice.series(place)
    if preference.nearest is not None:
        apart = _distance(preference, place, choice)
        return math.inf if apart is None else apart
    raw = series.values.get(preference.field)
    if preference.order is None:
        return float(not meets(preference.fact, preference.operator, preference.value, raw, None))
    found = found_value(preference.fact.type, raw)
    if found is None:
        return math.inf
    number = float(found.toordinal()) if isinstance(found, date) else _as_float(found)
    return -number if preference.order == "highest" else number


def _distance(preference: Preference, place: int, choice: _Choice) -> float | None:
    """Say how far a series is from the one that plays the role it should be near to; None where either has no value."""
    beside = choice.chosen.get(preference.nearest or "")
    return None if beside is None else distance(preference.fact, choice.series(place), choice.series(beside))


def _series_number(series: SeriesFacts) -> float:
    raw = series.values.get("SeriesNumber")
    return _as_float(raw) if is_number(raw) else math.inf


def _as_float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.inf


def _why(ranked: Sequence[int], prefer: Sequence[Preference], choice: _Choice, fitting: int) -> str:
    """Say why the first series was taken: by what it is better than the next."""
    names = choice.sight.names
    first = names[ranked[0]]
    if fitting == 1:
        return f"{first} is the only series that fits"
    if len(ranked) == 1:
        return f"{first} is the only one of {fitting} that fit and plays no other role"
    others = ", ".join(names[place] for place in ranked[1:])
    return f"{first} is the best of {len(ranked)} that fit: {_advantage(ranked, prefer, choice)}; before {others}"


def _advantage(ranked: Sequence[int], prefer: Sequence[Preference], choice: _Choice) -> str:
    first, second = ranked[0], ranked[1]
    decisive = _decisive(first, second, prefer, choice)
    if decisive is not None:
        found = _has(decisive, first, choice)
        return f"{found}, the {decisive.order or 'nearest'}" if decisive.order or decisive.nearest else found
    if _series_number(choice.series(first)) != _series_number(choice.series(second)):
        return "equally preferred, lowest SeriesNumber"
    return "equally preferred, first by UID"


def _decisive(first: int, second: int, prefer: Sequence[Preference], choice: _Choice) -> Preference | None:
    """Find the preference by which one series comes before another."""
    return next((one for one in prefer if _rank(one, first, choice) != _rank(one, second, choice)), None)


def _has(preference: Preference, place: int, choice: _Choice) -> str:
    """Say what a series has of what is preferred."""
    series = choice.series(place)
    if preference.nearest is None:
        return found_in_words(preference.fact, series)
    apart = _distance(preference, place, choice)
    beside = choice.sight.names[choice.chosen[preference.nearest]] if preference.nearest in choice.chosen else ""
    if apart is None:
        return f"{preference.field} cannot be compared with that of role {preference.nearest}"
    return f"{preference.field} is {distance_in_words(preference.fact, apart)} from that of {beside}"


def _lost(ranked: Sequence[int], role: CompiledRole, choice: _Choice) -> tuple[str, ...]:
    """Say of every other candidate what it lost by: those that fit too, and those that miss by one test."""
    sight, taken = choice.sight, choice.roles()
    fitting = role.group.answer(sight)
    lost = [f"{sight.names[place]}: {_beaten(ranked[0], place, role.prefer, choice)}" for place in ranked[1:]]
    lost += [f"{sight.names[place]}: plays {taken[place]}" for place in places(fitting) if place in taken]
    missed = sight.near_misses(role.group, sight.everything & ~fitting)
    lost += [
        f"{sight.names[place]}: does not fit, {reasons_against(sight.explain_series(test, place))}"
        for place, test in missed
    ]
    return tuple(lost)


def _beaten(first: int, place: int, prefer: Sequence[Preference], choice: _Choice) -> str:
    decisive = _decisive(first, place, prefer, choice)
    if decisive is None:
        return "equally preferred, comes later by SeriesNumber or UID"
    return f"{_has(decisive, place, choice)}; of the one taken {_has(decisive, first, choice)}"


def _problem(role: CompiledRole, fitting: int, choice: _Choice) -> str:
    """Say why a role stays empty, and which series comes nearest."""
    sight, taken = choice.sight, choice.roles()
    if fitting:
        playing = ", ".join(f"{sight.names[place]} plays {taken[place]}" for place in places(fitting))
        return f"No series is left for role {role.name}: {playing}."
    return f"No series fits role {role.name}{nearest_miss(role.group, sight)}."


def nearest_miss(group: Joined, sight: Sight) -> str:
    """Name the series that comes nearest to what is asked for, and what it lacks, as the end of a sentence."""
    closest = sight.nearest(group, sight.everything)
    if closest is None:
        return ": there is no series to look at"
    return f"; nearest is {sight.names[closest]}: {reasons_against(sight.explain_series(group, closest))}"
