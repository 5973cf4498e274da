"""The facts of a catalogue together with those whose names are paths, which are made when a rule asks for them."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_description, dictionary_VR, tag_for_keyword

from dicomnode.domain.facts import FactField, FactType, NamesWithPaths, Summary
from dicomnode.imaging.fact_names import (
    DEEPEST,
    FUNCTIONAL_GROUPS,
    FactPath,
    known_creator,
    private_vr,
    split_name,
)
from dicomnode.imaging.fact_types import type_of_all

_SUMMARIES: Mapping[FactType, tuple[Summary, ...]] = {
    FactType.TEXT: (Summary.ALL, Summary.COUNT),
    FactType.CODE: (Summary.ALL, Summary.COUNT),
    FactType.NUMBER: tuple(Summary),
    FactType.DATE: (Summary.MIN, Summary.MAX, Summary.COUNT),
    FactType.TEXT_LIST: (Summary.ALL, Summary.COUNT),
    FactType.NUMBER_LIST: tuple(Summary),
}
"""What the values of a series can be summarised to; texts have no least and no greatest."""
_SAID: Mapping[Summary, str] = {
    Summary.ALL: "all values of {0} in the series",
    Summary.MIN: "the least {0} in the series",
    Summary.MAX: "the greatest {0} in the series",
    Summary.COUNT: "how many different values of {0} the series has",
}
_NUMBERS = (FactType.NUMBER, FactType.NUMBER_LIST)


class FactsWithPaths(NamesWithPaths):
    """A mapping of facts that also finds paths and summaries; going through it gives the plain ones."""

    def __init__(
        self, plain: Mapping[str, FactField], summarised: frozenset[str], sequences: frozenset[str] | None = None
    ) -> None:
        """Begin with the facts that are listed; `sequences` are those a path may begin with, None for any."""
        self._plain = plain
        self._summarised = summarised
        self._sequences = sequences

    def __getitem__(self, name: str) -> FactField:
        """Find a fact; raises KeyError."""
        return self._plain[name] if name in self._plain else self._made(name)

    def __iter__(self) -> Iterator[str]:
        """Go through the facts that are no paths."""
        return iter(self._plain)

    def __len__(self) -> int:
        """Count the facts that are no paths."""
        return len(self._plain)

    def nearest(self, name: str) -> str | None:
        """Give the name that was probably meant, looking at each part of a path by itself."""
        path = split_name(name)
        if path is None or (path.name == name and len(path.elements) == 1 and not path.summary):
            return known_creator(name) or _closest(name, self._plain)
        return next((one for one in _meant(path) if one != name and one in self), None)

    def _made(self, name: str) -> FactField:
        path = split_name(name)
        field = None if path is None or path.name != name else self._of_path(path)
        if field is None:
            raise KeyError(name)
        return field

    def _of_path(self, path: FactPath) -> FactField | None:
        """Describe a path, or a summary of a plain attribute; None for what is neither."""
        (first, *others), last = path.elements, path.elements[-1]
        if not others and not first.startswith("["):
            plain = self._plain.get(first) if path.summary and first in self._summarised else None
            return _summary(plain, path) if plain else None
        if self._sequences is not None and first not in self._sequences:
            return None
        within = path.elements[:-1]
        if len(path.elements) > DEEPEST or not all(map(_is_sequence, within)) or set(within) & {*FUNCTIONAL_GROUPS}:
            return None
        listed = _listed(last)
        if listed is None or known_creator(last):
            return None
        found = FactField(name=".".join(path.elements), type=listed, description=_described(path.elements))
        return _summary(found, path) if path.summary else found


def _summary(field: FactField, path: FactPath) -> FactField | None:
    """Describe a summary of a fact; None where its type has none of that kind, or it is the list itself."""
    asked = path.summary
    is_list_itself = len(path.elements) > 1 or path.elements[0].startswith("[")
    if asked is None or asked not in _SUMMARIES[field.type] or (asked is Summary.ALL and is_list_itself):
        return None
    of_values = FactType.NUMBER if field.type in _NUMBERS else field.type
    kind = {
        Summary.ALL: FactType.NUMBER_LIST if field.type in _NUMBERS else FactType.TEXT_LIST,
        Summary.COUNT: FactType.NUMBER,
    }.get(asked, of_values)
    return FactField(name=path.name, type=kind, description=_SAID[asked].format(field.description))


def _is_sequence(element: str) -> bool:
    if element.startswith("["):
        known = private_vr(element)
        return known is None or known[0] == "SQ"
    tag = tag_for_keyword(element)
    return tag is not None and dictionary_VR(tag) == "SQ"


def _listed(element: str) -> FactType | None:
    """Give the type of all values of an attribute together; None for what a rule cannot compare."""
    if element.startswith("["):
        known = private_vr(element)
        return FactType.TEXT_LIST if known is None else type_of_all(known[0])
    tag = tag_for_keyword(element)
    return None if tag is None else type_of_all(dictionary_VR(tag))


def _described(elements: Iterable[str]) -> str:
    return " of ".join(_called(element) for element in reversed(tuple(elements)))


def _called(element: str) -> str:
    if element.startswith("["):
        known = private_vr(element)
        return f"{known[1] if known else 'private attribute'} {element}"
    tag = tag_for_keyword(element) or 0
    return f"{dictionary_description(tag)} ({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _meant(path: FactPath) -> Iterator[str]:
    """List what a path may have been meant to be, the likeliest first."""
    elements = tuple(element for element in path.elements if element not in FUNCTIONAL_GROUPS)
    if not elements:
        return
    meant = tuple(_mended(element, is_last=index == len(elements)) for index, element in enumerate(elements, 1))
    yield FactPath(elements=meant, summary=path.summary).name
    yield FactPath(elements=meant).name
    asked = _closest(elements[-1], Summary)
    if len(elements) > 1 and asked:
        within = (*meant[:-2], _mended(elements[-2], is_last=True))
        yield FactPath(elements=within, summary=Summary(asked)).name


def _mended(element: str, *, is_last: bool) -> str:
    """Give the keyword that was probably meant; what is right, private or like none stays as it is."""
    if element.startswith("["):
        return known_creator(element) or element
    values, sequences = _keywords()
    known = values if is_last else sequences
    return element if element in known else _closest(element, known) or element


def _closest(name: str, known: Iterable[str]) -> str | None:
    by_folded = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


@cache
def _keywords() -> tuple[frozenset[str], frozenset[str]]:
    """List the keywords of what a rule can compare, and those of sequences."""
    entries = [(vr, keyword) for vr, _, _, _, keyword in DicomDictionary.values() if keyword]
    comparable = frozenset(keyword for vr, keyword in entries if type_of_all(vr) is not None)
    return comparable, frozenset(keyword for vr, keyword in entries if vr == "SQ")
