"""Finding the fact that a person has in mind: by a part of its name, or of what it means."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from dicomnode.domain.facts import FactCatalogue, FactField

Scope = Literal["study", "series"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFact:
    """A fact, and whether conditions on the study or on one of its series ask for it."""

    scope: Scope
    field: FactField


def search_facts(
    catalogue: FactCatalogue, search: str, limit: int, scope: Scope | None = None
) -> tuple[FoundFact, ...]:
    """Find facts, the nearest first: those of this very name, that begin so, that contain it, that mean it.

    A name with a path is found when it is written whole. An empty search gives the first facts by name.
    """
    wanted = search.strip().casefold()
    ranked = [(_rank(one.field, wanted), one) for one in _all(catalogue, search.strip(), scope)]
    found = [(rank, one) for rank, one in ranked if rank is not None]
    found.sort(key=lambda pair: (pair[0], pair[1].field.name.casefold(), pair[1].scope))
    return tuple(one for _rank_of, one in found[:limit])


def _all(catalogue: FactCatalogue, whole: str, scope: Scope | None) -> Iterator[FoundFact]:
    places: tuple[tuple[Scope, Mapping[str, FactField]], ...] = (
        ("study", catalogue.study),
        ("series", catalogue.series),
    )
    for of, facts in places:
        if scope not in (None, of):
            continue
        for name in facts:
            yield FoundFact(scope=of, field=facts[name])
        with_path = facts.get(whole)
        if with_path is not None and whole not in set(facts):
            yield FoundFact(scope=of, field=with_path)


def _rank(field: FactField, wanted: str) -> int | None:
    """Say how near a fact is; None where it has nothing to do with what is wanted."""
    name = field.name.casefold()
    nearness = (name == wanted, name.startswith(wanted), wanted in name, wanted in field.description.casefold())
    return next((rank for rank, is_so in enumerate(nearness) if is_so), None)
