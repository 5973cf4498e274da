"""Search: questions for studies, series and instances, answered from the ledger a page of studies at a time."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from dicomnode.domain.archive import DicomJson, Query
from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.imaging.dicom_json import tag_of
from dicomnode.imaging.matching import matches
from dicomnode.journey.index import HeaderIndex
from dicomnode.journey.listing import (
    INSTANCE_TAGS,
    SERIES_TAGS,
    STUDY_TAGS,
    elements,
    only,
    series_level,
    study_level,
)
from dicomnode.ledger.search import (
    Criteria,
    ListedInstance,
    ListedSeries,
    list_instances_of,
    list_series_of,
    search_studies,
)
from dicomnode.ledger.transaction import Ledger

_STUDY_UID, _SERIES_UID, _INSTANCE_UID = map(tag_of, ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
_PATIENT_ID, _PATIENT_NAME, _ACCESSION = map(tag_of, ("PatientID", "PatientName", "AccessionNumber"))
_STUDY_DATE = tag_of("StudyDate")
_UID_SEPARATOR = re.compile(r"[,\\]")
_LITERAL = re.compile(r"[A-Za-z0-9]+")
_DATES = re.compile(r"(\d{8})?-(\d{8})?|(\d{8})")
_WILDCARDS = "*?"
_STUDIES_AT_A_TIME = 100
_STUDIES_FOR_INSTANCES = 10
"""So many are looked at first in a search for instances, of which a study has many."""
_INSTANCES_AT_A_TIME = 1000
_HEADERS_AT_A_TIME = 100
_EVERYTHING = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """One answer, and an instance of what it tells of."""

    answer: dict[str, Any]
    example: StoredInstance


_ToldSeries = tuple[_Found, ListedSeries]


class Searching:
    """Searches what is in use; what an answer needs of headers comes from the index."""

    def __init__(self, ledger: Ledger, index: HeaderIndex) -> None:
        self._ledger = ledger
        self._index = index

    def studies(self, query: Query) -> Sequence[DicomJson]:
        """Find studies, latest received first; raises InvalidValue for an attribute that cannot be matched."""
        wanted = _wanted(query, STUDY_TAGS)
        return self._told(_part(self._studies(wanted, _most(query)), wanted, query), query, STUDY_TAGS, study_level())

    def series(self, query: Query, study: StudyInstanceUID | None) -> Sequence[DicomJson]:
        """Find series, of one study or of all; raises InvalidValue for an attribute that cannot be matched."""
        wanted = _wanted(query, STUDY_TAGS + SERIES_TAGS)
        if study is not None:
            wanted[_STUDY_UID] = study
        usual = STUDY_TAGS + SERIES_TAGS if study is None else (_STUDY_UID, *SERIES_TAGS)
        return self._told(
            _cut(_part(self._series(wanted, _most(query)), wanted, query), usual), query, usual, series_level()
        )

    def instances(
        self, query: Query, study: StudyInstanceUID | None, series: SeriesInstanceUID | None
    ) -> Sequence[DicomJson]:
        """Find instances, of one study or series or of all; raises InvalidValue for what cannot be matched."""
        wanted = _wanted(query, STUDY_TAGS + SERIES_TAGS + INSTANCE_TAGS)
        if study is not None:
            wanted[_STUDY_UID] = study
        if series is not None:
            wanted[_SERIES_UID] = series
        above: tuple[str, ...] = STUDY_TAGS + SERIES_TAGS
        if study is not None:
            above = (_STUDY_UID, *SERIES_TAGS) if series is None else (_STUDY_UID, _SERIES_UID)
        usual = above + INSTANCE_TAGS
        return self._told(_cut(_part(self._instances(wanted, _most(query)), wanted, query), usual), query, usual)

    def _pages(self, wanted: Mapping[str, str], first: int) -> Iterator[Sequence[Sequence[ListedSeries]]]:
        """List the series of the studies that can match, some studies at a time; the first may be enough."""
        criteria, offset, limit = _criteria(wanted), 0, min(first, _STUDIES_AT_A_TIME)
        while True:
            with self._ledger.transaction() as tx:
                studies = search_studies(tx, criteria, limit=limit, offset=offset)
                listed = list_series_of(tx, studies)
            by_study: dict[str, list[ListedSeries]] = {uid: [] for uid in studies}
            for series in listed:
                by_study[series.first.instance.study_instance_uid].append(series)
            # Of a study of which nothing is in use there is nothing to show.
            yield [series for series in by_study.values() if series]
            if len(studies) < limit:
                return
            offset, limit = offset + limit, _STUDIES_AT_A_TIME

    def _studies(self, wanted: Mapping[str, str], most: int) -> Iterator[_Found]:
        """Describe the studies that can match."""
        for page in self._pages(wanted, most):
            examples = [_smallest(study).first for study in page]
            headers = self._index.summaries(examples)
            for study, example, header in zip(page, examples, headers, strict=True):
                yield _Found(answer=_study(study, header), example=example.instance)

    def _series(self, wanted: Mapping[str, str], most: int) -> Iterator[_Found]:
        """Describe the series that can match, each with its study."""
        for page in self._pages(wanted, most):
            yield from (found for found, _series in self._series_of(page))

    def _series_of(self, page: Sequence[Sequence[ListedSeries]]) -> Iterator[_ToldSeries]:
        headers = iter(self._index.summaries([series.first for study in page for series in study]))
        for study in page:
            ours = list(islice(headers, len(study)))
            told = _study(study, ours[study.index(_smallest(study))])
            for series, header in zip(study, ours, strict=True):
                yield _Found(answer={**told, **_one_series(series, header)}, example=series.first.instance), series

    def _instances(self, wanted: Mapping[str, str], most: int) -> Iterator[_Found]:
        """Describe the instances that can match, each with its study and series."""
        of_series = {tag: value for tag, value in wanted.items() if tag in STUDY_TAGS + SERIES_TAGS}
        uids = _uids(wanted, _INSTANCE_UID)
        for page in self._pages(wanted, _STUDIES_FOR_INSTANCES):
            matching = [told for told in self._series_of(page) if matches(told[0].answer, of_series)]
            for some in _portions(matching, min(most, _INSTANCES_AT_A_TIME)):
                yield from self._instances_of(some, uids)

    def _instances_of(self, told: Sequence[_ToldSeries], uids: Sequence[str]) -> Iterator[_Found]:
        with self._ledger.transaction() as tx:
            listed = list_instances_of(tx, [series for _found, series in told], uids)
        by_series: dict[tuple[str, str], list[ListedInstance]] = {}
        for one in listed:
            by_series.setdefault(_place(one.instance), []).append(one)
        for found, series in told:
            ours = iter(by_series.get(_place(series.first.instance), ()))
            while some := list(islice(ours, _HEADERS_AT_A_TIME)):
                for one, header in zip(some, self._index.summaries(some), strict=True):
                    yield _Found(answer={**found.answer, **_one_instance(one.instance, header)}, example=one.instance)

    def _told(
        self, found: Sequence[_Found], query: Query, usual: Sequence[str], level: frozenset[str] | None = None
    ) -> Sequence[DicomJson]:
        """Add what the query asks for beyond the usual attributes, as far as it belongs to the level."""
        included = _included(query, usual, level)
        if included is None or not found:
            return tuple(one.answer for one in found)
        headers = self._index.readable([one.example for one in found])
        further = (
            {tag: element for tag, element in header.items() if included(tag) and "BulkDataURI" not in element}
            for header in headers
        )
        return tuple({**more, **one.answer} for more, one in zip(further, found, strict=True))


def _wanted(query: Query, matchable: Sequence[str]) -> dict[str, str]:
    """Turn the attributes of a query into tags; raises InvalidValue for one that cannot be matched.

    Leaving out a condition would answer with other patients' studies, so it is refused instead.
    """
    wanted = {}
    for name, value in query.matching.items():
        tag = tag_of(name)
        if tag not in matchable:
            raise InvalidValue(f"{name} cannot be matched at this level")
        wanted[tag] = value
    return wanted


def _included(query: Query, usual: Sequence[str], level: frozenset[str] | None) -> Callable[[str], bool] | None:
    """Say which attributes are asked for beyond the usual ones; None where there are none.

    An item of a sequence is asked for by the path to it, and comes with the whole sequence.
    """
    if _EVERYTHING in query.include:
        return lambda tag: level is None or tag in level
    named = set()
    for name in query.include:
        with suppress(InvalidValue):
            named.add(tag_of(name.partition(".")[0]))
    further = named.difference(usual) if level is None else (named & level).difference(usual)
    return further.__contains__ if further else None


def _criteria(wanted: Mapping[str, str]) -> Criteria:
    """Say what the ledger can look for; it may find more than is wanted, never less."""
    patient_id, part_of_patient_id = _whole_or_part(wanted.get(_PATIENT_ID, ""))
    accession_number, part_of_accession_number = _whole_or_part(wanted.get(_ACCESSION, ""))
    dates = _DATES.fullmatch(wanted.get(_STUDY_DATE, ""))
    first, last, only_one = dates.groups(default="") if dates else ("", "", "")
    return Criteria(
        study_instance_uids=_uids(wanted, _STUDY_UID),
        series_instance_uids=_uids(wanted, _SERIES_UID),
        sop_instance_uids=_uids(wanted, _INSTANCE_UID),
        patient_id=patient_id,
        part_of_patient_id=part_of_patient_id,
        accession_number=accession_number,
        part_of_accession_number=part_of_accession_number,
        part_of_patient_name=_longest(wanted.get(_PATIENT_NAME, "")),
        first_date=first or only_one,
        last_date=last or only_one,
    )


def _uids(wanted: Mapping[str, str], tag: str) -> tuple[str, ...]:
    """List the UIDs that are wanted; none where any will do."""
    uids = wanted.get(tag, "").strip("*")
    return tuple(_UID_SEPARATOR.split(uids)) if uids else ()


def _whole_or_part(value: str) -> tuple[str, str]:
    """Tell an identifier that is given whole from one that is given in part."""
    if any(joker in value for joker in _WILDCARDS):
        return "", _longest(value)
    return value.strip(), ""


def _longest(value: str) -> str:
    return max(_LITERAL.findall(value), key=len, default="")


def _part(found: Iterable[_Found], wanted: Mapping[str, str], query: Query) -> list[_Found]:
    """Take the part of the matching answers that the query asks for."""
    matching = (one for one in found if matches(one.answer, wanted))
    return list(islice(matching, query.offset, query.offset + query.limit))


def _most(query: Query) -> int:
    """Tell how many answers are needed at the most."""
    return max(1, query.offset + query.limit)


def _cut(found: Sequence[_Found], tags: Sequence[str]) -> list[_Found]:
    return [replace(one, answer=only(one.answer, tags)) for one in found]


def _smallest(series: Sequence[ListedSeries]) -> ListedSeries:
    return min(series, key=lambda one: one.instances)


def _place(instance: StoredInstance) -> tuple[str, str]:
    return instance.study_instance_uid, instance.series_instance_uid


def _portions(told: Iterable[_ToldSeries], size: int) -> Iterator[Sequence[_ToldSeries]]:
    """Cut a list of series into portions that hold at least so many instances."""
    some: list[_ToldSeries] = []
    instances = 0
    for one in told:
        some.append(one)
        instances += one[1].instances
        if instances >= size:
            yield some
            some, instances = [], 0
    if some:
        yield some


def _study(series: Sequence[ListedSeries], header: DicomJson) -> dict[str, Any]:
    """Describe one study: what the ledger counts, and the rest from the header of one of its instances."""
    counted = {
        "StudyInstanceUID": ("UI", series[0].first.instance.study_instance_uid),
        "ModalitiesInStudy": ("CS", *sorted({one.modality for one in series if one.modality})),
        "NumberOfStudyRelatedSeries": ("IS", len(series)),
        "NumberOfStudyRelatedInstances": ("IS", sum(one.instances for one in series)),
    }
    return {**only(header, STUDY_TAGS), **elements(counted)}


def _one_series(series: ListedSeries, header: DicomJson) -> dict[str, Any]:
    known = {"Modality": ("CS", series.modality), "SeriesDescription": ("LO", series.description)}
    counted = {
        "SeriesInstanceUID": ("UI", series.first.instance.series_instance_uid),
        "NumberOfSeriesRelatedInstances": ("IS", series.instances),
    }
    return {**elements(known), **only(header, SERIES_TAGS), **elements(counted)}


def _one_instance(stored: StoredInstance, header: DicomJson) -> dict[str, Any]:
    known = {
        "SOPClassUID": ("UI", stored.sop_class_uid),
        "SOPInstanceUID": ("UI", stored.sop_instance_uid),
        "AvailableTransferSyntaxUID": ("UI", stored.transfer_syntax_uid),
    }
    return {**only(header, INSTANCE_TAGS), **elements(known)}
