"""All instances of a series -> the values of their attributes: the first of each, and the range of those that differ.

Most elements are the same in all instances, and comparing two is much cheaper than reading one: each is read once as
long as it does not change.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from dicomnode.domain.fact_values import FactValues, summarise
from dicomnode.domain.facts import FactField, FactType, Summary
from dicomnode.domain.study import FactValue
from dicomnode.imaging.attributes import read_element
from dicomnode.imaging.fact_names import DEEPEST, FUNCTIONAL_GROUPS, private_name, private_vr
from dicomnode.imaging.fact_types import type_of_all
from dicomnode.imaging.fact_value_reading import read_all, read_first
from dicomnode.imaging.functional_groups import CLASSIC_KEYWORDS
from dicomnode.imaging.json_data_set import JsonDataSet

MOST_VALUES = 64
"""So many distinct values of one attribute are listed; of more there are only the least, the greatest and the count."""
MOST_PATHS = 2000
"""So many facts with paths a series may have, in the order of their names; scanners write some hundred."""

_ONE_EACH = frozenset({"SOPInstanceUID", "ReferencedSOPInstanceUID"})
"""Different in every instance by definition: nobody asks for the list."""
_CREATORS = range(0x10, 0x100)

_Found = dict[str, set[str | float]]
"""Name -> the distinct values."""


def attribute_facts(
    instances: Iterable[Dataset], fields: Mapping[str, FactField], only: frozenset[str] | None = None
) -> FactValues:
    """Read all attributes, or only some, of instances; a plain fact is that of the first that has a value.

    Where the values differ their list, or its ends and length, stands beside it under the names of summaries.
    """
    survey = _Survey(fields, None if only is None else frozenset(map(Tag, only)))
    for instance in instances:
        survey.look_at(instance)
    return survey.facts()


class _Survey:
    """What was found in the instances that were looked at."""

    def __init__(self, fields: Mapping[str, FactField], only: frozenset[BaseTag] | None) -> None:
        self._fields = fields
        self._only = only
        self._seen: dict[tuple[str, int], object] = {}
        self._first: dict[str, FactValue] = {}
        self._every: _Found = {}
        self._days: dict[str, set[FactValue]] = {}
        self._nested: _Found = {}

    def look_at(self, instance: Dataset) -> None:
        """Take up what an instance has that the instances before did not have."""
        creators = {} if self._only else _private_creators(instance)
        for tag in self._changed(instance, ""):
            keyword = keyword_for_tag(tag)
            if keyword in FUNCTIONAL_GROUPS:
                self._look_at_groups(instance, tag)
            elif keyword in self._fields:
                self._take_plain(instance, keyword)
            elif tag.is_private or _is_sequence(tag):
                self._take_nested(instance, tag, "", creators, 1)

    def facts(self) -> FactValues:
        """Put together what was found, in the order of the names."""
        values = FactValues(self._first)
        for name, found in self._every.items():
            if set(_several(values.get(name))) != found:
                values.update(_kept(name, f"{name}.{Summary.ALL}", found))
        for name, days in self._days.items():
            if len(days) > 1:
                ordered = sorted(days)  # type: ignore[type-var]
                values.update(_ends(name, ordered[0], ordered[-1], len(ordered)))
        for name in islice(sorted(self._nested), MOST_PATHS):
            values.update(_kept(name, name, self._nested[name]))
        return values

    def _changed(self, dataset: Dataset, place: str) -> Iterator[BaseTag]:
        """List the elements that are not as they were in the data set before at this place."""
        for tag, raw in _raw_elements(dataset):
            key = place, int(tag)
            if self._only is not None and tag not in self._only:
                continue
            if self._seen.get(key) != raw:
                self._seen[key] = raw
                yield tag

    def _take_plain(self, dataset: Dataset, keyword: str, name: str = "") -> None:
        """Take up a value that has a place among the facts that are listed."""
        name = name or keyword
        field = self._fields[name]
        first = read_first(dataset, keyword, field.type)
        if first is None:
            return
        self._first.setdefault(name, first)
        if field.type is FactType.DATE:
            self._days.setdefault(name, set()).add(first)
        elif name not in _ONE_EACH:
            self._every.setdefault(name, set()).update(_several(first))

    def _look_at_groups(self, instance: Dataset, tag: BaseTag) -> None:
        """Take up the functional groups of all frames, macro by macro (PS3.3 C.7.6.16.2)."""
        for group in _items(read_element(instance, tag)):
            creators = _private_creators(group)
            for macro in self._changed(group, "frame"):
                self._take_nested(group, macro, "", creators, 1)
                for item in _items(read_element(group, macro)):
                    self._take_lifted(item)

    def _take_lifted(self, item: Dataset) -> None:
        """Take up what a macro says as if the frame were a classic instance, under its classic name too."""
        for tag, _ in _raw_elements(item):
            keyword = keyword_for_tag(tag)
            for name in {keyword, CLASSIC_KEYWORDS.get(keyword, keyword)}:
                if name in self._fields:
                    self._take_plain(item, keyword, name)

    def _take_nested(
        self, dataset: Dataset, tag: BaseTag, path: str, creators: Mapping[tuple[int, int], str], depth: int
    ) -> None:
        """Take up an element that has a path: a private one, or one in the items of a sequence."""
        element = _name(tag, creators)
        if not element or element in _ONE_EACH:
            return
        read, name = read_element(dataset, tag), f"{path}{element}"
        if read is None:
            return
        if read.VR == "SQ":
            for item in _items(read) if depth < DEEPEST else ():
                inner = _private_creators(item)
                for tag_of_item, _ in _raw_elements(item):
                    self._take_nested(item, tag_of_item, f"{name}.", inner, depth + 1)
        elif depth > 1 or tag.is_private:
            values = read_all(read, _listed_type(element, tag, read))
            if values:
                self._nested.setdefault(name, set()).update(values)


def _is_sequence(tag: BaseTag) -> bool:
    return dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"


def _raw_elements(dataset: Dataset) -> Iterator[tuple[BaseTag, object]]:
    """List the elements as they stand in the file or the stored header: what is equal there has equal values."""
    if isinstance(dataset, JsonDataSet):
        yield from dataset.encoded()
        return
    for tag in sorted(dataset.keys()):
        raw = dataset.get_item(tag)
        # What was decoded before is not compared: that decodes all the rest, outside of what keeps pydicom quiet.
        yield tag, (raw.VR, raw.value) if isinstance(raw, RawDataElement) else object()


def _private_creators(dataset: Dataset) -> dict[tuple[int, int], str]:
    """List who reserved which block: (group, block) -> private creator (PS3.5 section 7.8.1)."""
    reserving = [tag for tag in dataset.keys() if tag.is_private and tag.element in _CREATORS]  # noqa: SIM118
    found = ((tag, read_element(dataset, tag)) for tag in reserving)
    return {(tag.group, tag.element): str(element.value).strip() for tag, element in found if element is not None}


def _name(tag: BaseTag, creators: Mapping[tuple[int, int], str]) -> str:
    """Name an element as rules do; empty for a private one that nobody reserved, and for what reserves."""
    if not tag.is_private:
        return keyword_for_tag(tag)
    creator = creators.get((tag.group, tag.element >> 8))
    return private_name(creator, tag) if creator else ""


def _listed_type(element: str, tag: BaseTag, read: DataElement) -> FactType | None:
    """Give the type that the catalogue promises for the values of an element."""
    if not tag.is_private:
        return type_of_all(dictionary_VR(tag))
    known = private_vr(element)
    if known is not None:
        return type_of_all(known[0])
    return None if type_of_all(read.VR) is None else FactType.TEXT_LIST


def _items(element: DataElement | None) -> Iterator[Dataset]:
    if element is not None and element.VR == "SQ":
        yield from (item for item in element.value if isinstance(item, Dataset))


def _several(value: FactValue) -> tuple[str | float, ...]:
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, str | float | int) else ()


def _kept(name: str, listed: str, found: set[str | float]) -> dict[str, FactValue]:
    """Keep a list of values; of one that is too long what can be said in short."""
    values: FactValue = tuple(sorted(found))  # type: ignore[assignment]
    if len(found) <= MOST_VALUES:
        return {listed: values}
    return _ends(name, summarise(values, Summary.MIN), summarise(values, Summary.MAX), len(found))


def _ends(name: str, least: FactValue, greatest: FactValue, count: int) -> dict[str, FactValue]:
    known = {Summary.MIN: least, Summary.MAX: greatest, Summary.COUNT: count}
    return {f"{name}.{summary}": value for summary, value in known.items() if value is not None}
