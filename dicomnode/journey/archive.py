"""The node's own holdings as an archive: rows of the ledger, headers and frames from the spool."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from dicomnode.domain.archive import DicomJson, Frame, Query
from dicomnode.domain.errors import InvalidValue, MalformedInstance, NotInLedger
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.imaging.dicom_json import read_json, read_value, tag_of
from dicomnode.imaging.frames import PixelPlace, encode_explicit, read_frame, read_pixel_place
from dicomnode.imaging.matching import matches
from dicomnode.ledger.studies import (
    SeriesSummary,
    StudySummary,
    find_instance,
    find_study,
    list_instances,
    list_series,
    list_studies,
)
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.spool.store import Spool

STUDY_ATTRIBUTES = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ModalitiesInStudy",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
"""What an answer says of a study (PS3.18 Table 10.6.3-3)."""
SERIES_ATTRIBUTES = (
    "Modality",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "SeriesInstanceUID",
    "SeriesNumber",
    "BodyPartExamined",
    "FrameOfReferenceUID",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "NumberOfSeriesRelatedInstances",
    "SyntheticData",
    "ContributingEquipmentSequence",
)
"""What an answer says of a series (Table 10.6.3-4), and what tells a synthetic series from an acquired one."""
INSTANCE_ATTRIBUTES = (
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "ImageType",
    "Rows",
    "Columns",
    "BitsAllocated",
    "NumberOfFrames",
    "AvailableTransferSyntaxUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)
"""What an answer says of an instance (Table 10.6.3-5), and where it lies."""

_STUDY_TAGS = tuple(map(tag_of, STUDY_ATTRIBUTES))
_SERIES_TAGS = tuple(map(tag_of, SERIES_ATTRIBUTES))
_INSTANCE_TAGS = tuple(map(tag_of, INSTANCE_ATTRIBUTES))
_STUDY_UID, _SERIES_UID, _INSTANCE_UID = map(tag_of, ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
_SEARCHED_BY_LEDGER = tuple(map(tag_of, ("AccessionNumber", "PatientID", "PatientName")))
_UID_SEPARATOR = re.compile(r"[,\\]")
_LITERAL = re.compile(r"[A-Za-z0-9]+")
_HEADERS_KEPT = 2048
_STUDIES_AT_A_TIME = 100


class LedgerArchive:
    """Looks into ledger and spool (domain.archive.Archive); files never change, so headers are kept in memory."""

    def __init__(self, ledger: Ledger, spool: Spool) -> None:
        self._ledger = ledger
        self._spool = spool
        self._header = lru_cache(maxsize=_HEADERS_KEPT)(self._read_header)
        self._pixel_place = lru_cache(maxsize=_HEADERS_KEPT)(self._read_pixel_place)

    def search_studies(self, query: Query) -> Sequence[DicomJson]:
        """Find studies, latest received first; raises InvalidValue for an attribute that cannot be matched."""
        wanted = _wanted(query, _STUDY_TAGS)
        with self._ledger.transaction() as tx:
            return _part(self._studies(tx, wanted), wanted, query)

    def search_series(self, query: Query, study: StudyInstanceUID | None = None) -> Sequence[DicomJson]:
        """Find series, of one study or of all; raises InvalidValue for an attribute that cannot be matched."""
        wanted = _wanted(query, _STUDY_TAGS + _SERIES_TAGS)
        if study is not None:
            wanted[_STUDY_UID] = study
        with self._ledger.transaction() as tx:
            found = _part(self._series(tx, wanted), wanted, query)
        return found if study is None else tuple(_only(series, (_STUDY_UID, *_SERIES_TAGS)) for series in found)

    def search_instances(
        self, query: Query, study: StudyInstanceUID | None = None, series: SeriesInstanceUID | None = None
    ) -> Sequence[DicomJson]:
        """Find instances, of one study or series or of all; raises InvalidValue for what cannot be matched."""
        wanted = _wanted(query, _STUDY_TAGS + _SERIES_TAGS + _INSTANCE_TAGS)
        if study is not None:
            wanted[_STUDY_UID] = study
        if series is not None:
            wanted[_SERIES_UID] = series
        with self._ledger.transaction() as tx:
            found = _part(self._instances(tx, wanted), wanted, query)
        told = (_STUDY_UID, *(_SERIES_TAGS if series is None else (_SERIES_UID,)), *_INSTANCE_TAGS)
        return found if study is None else tuple(_only(instance, told) for instance in found)

    def instances(
        self, study: StudyInstanceUID, series: SeriesInstanceUID | None = None, instance: SOPInstanceUID | None = None
    ) -> Sequence[StoredInstance]:
        """List the instances of a study, series or the one; raises NotInLedger when there are none."""
        with self._ledger.transaction() as tx:
            found = list_instances(tx, study, series) if instance is None else (find_instance(tx, instance),)
        held = tuple(one for one in found if one.study_instance_uid == study)
        if series is not None:
            held = tuple(one for one in held if one.series_instance_uid == series)
        if not held:
            raise NotInLedger("there is nothing of this UID here")
        return held

    def find(self, instance: SOPInstanceUID) -> StoredInstance:
        """Find the instance that is in use under its UID alone; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            return find_instance(tx, instance)

    def metadata(
        self, study: StudyInstanceUID, series: SeriesInstanceUID | None = None, instance: SOPInstanceUID | None = None
    ) -> Sequence[DicomJson]:
        """Read the whole header of each instance; raises NotInLedger when there are none."""
        return tuple(self._header(one.path) for one in self.instances(study, series, instance))

    def file(self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID) -> Path:
        """Find the Part 10 file of an instance as it was stored; raises NotInLedger."""
        file = self._spool.locate(self.instances(study, series, instance)[0].path)
        if not file.is_file():
            raise NotInLedger("the file of this instance is gone from the spool")
        return file

    def explicit(self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID) -> bytes:
        """Encode an instance as a Part 10 file in Explicit VR Little Endian; raises NotInLedger, UnreadablePixels."""
        return encode_explicit(self.file(study, series, instance))

    def frame(
        self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID, number: int, as_stored: bool
    ) -> Frame:
        """Read one frame, counted from 1; raises NotInLedger or UnreadablePixels."""
        stored = self.instances(study, series, instance)[0]
        place = self._pixel_place(stored.path)
        if place is None:
            raise NotInLedger("the instance has no pixel data")
        return read_frame(self._spool.locate(stored.path), place, number, as_stored=as_stored)

    def bulk_data(
        self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID, tag: str
    ) -> bytes:
        """Read one binary value as it is stored; raises NotInLedger when there is none."""
        return read_value(self.file(study, series, instance), tag)

    def _read_header(self, path: str) -> DicomJson:
        return read_json(self._spool.locate(path))

    def _read_pixel_place(self, path: str) -> PixelPlace | None:
        return read_pixel_place(self._spool.locate(path))

    def _header_if_readable(self, instance: StoredInstance) -> DicomJson:
        """Read a header for a list, which must not break because one file is damaged or gone."""
        try:
            return self._header(instance.path)
        except (MalformedInstance, NotInLedger):
            return {}

    def _studies(self, tx: Transaction, wanted: Mapping[str, str]) -> Iterator[DicomJson]:
        """Describe the studies that can match; one of which nothing is in use has nothing to show."""
        for summary in _candidates(tx, wanted):
            series = list_series(tx, summary.study_instance_uid)
            if series:
                yield self._study(tx, summary, series)

    def _study(self, tx: Transaction, summary: StudySummary, series: Sequence[SeriesSummary]) -> DicomJson:
        """Describe one study: what the ledger counts, and the rest from an instance of its smallest series."""
        uid = summary.study_instance_uid
        smallest = min(series, key=lambda one: one.instances)
        header = self._header_if_readable(list_instances(tx, uid, smallest.series_instance_uid)[0])
        counted = {
            "StudyInstanceUID": ("UI", uid),
            "ModalitiesInStudy": ("CS", *sorted({one.modality for one in series if one.modality})),
            "NumberOfStudyRelatedSeries": ("IS", len(series)),
            "NumberOfStudyRelatedInstances": ("IS", sum(one.instances for one in series)),
        }
        return {**_only(header, _STUDY_TAGS), **_elements(counted)}

    def _series(self, tx: Transaction, wanted: Mapping[str, str]) -> Iterator[DicomJson]:
        """Describe the series that can match, each with its study."""
        for summary in _candidates(tx, wanted):
            all_series = list_series(tx, summary.study_instance_uid)
            if not all_series:
                continue
            study = self._study(tx, summary, all_series)
            for series in all_series:
                first = list_instances(tx, summary.study_instance_uid, series.series_instance_uid)[0]
                yield {**study, **self._one_series(series, self._header_if_readable(first))}

    def _one_series(self, series: SeriesSummary, header: DicomJson) -> DicomJson:
        known = {"Modality": ("CS", series.modality), "SeriesDescription": ("LO", series.description)}
        counted = {
            "SeriesInstanceUID": ("UI", series.series_instance_uid),
            "NumberOfSeriesRelatedInstances": ("IS", series.instances),
        }
        return {**_elements(known), **_only(header, _SERIES_TAGS), **_elements(counted)}

    def _instances(self, tx: Transaction, wanted: Mapping[str, str]) -> Iterator[DicomJson]:
        """Describe the instances that can match, each with its study and series."""
        for series in self._series(tx, wanted):
            if not matches(series, _limited_to(wanted, _STUDY_TAGS + _SERIES_TAGS)):
                continue
            study_uid, series_uid = (series[tag]["Value"][0] for tag in (_STUDY_UID, _SERIES_UID))
            for stored in list_instances(tx, study_uid, series_uid):
                known = {
                    "SOPClassUID": ("UI", stored.sop_class_uid),
                    "SOPInstanceUID": ("UI", stored.sop_instance_uid),
                    "AvailableTransferSyntaxUID": ("UI", stored.transfer_syntax_uid),
                }
                header = self._header_if_readable(stored)
                yield {**series, **_only(header, _INSTANCE_TAGS), **_elements(known)}


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


def _candidates(tx: Transaction, wanted: Mapping[str, str]) -> Iterator[StudySummary]:
    """List the studies that can match, as far as the ledger can tell: by UID, or by a text it can look for."""
    uids = wanted.get(_STUDY_UID, "").strip("*")
    if uids:
        for uid in _UID_SEPARATOR.split(uids):
            with suppress(NotInLedger):
                yield find_study(tx, uid)
        return
    texts = [text for tag in _SEARCHED_BY_LEDGER for text in _LITERAL.findall(wanted.get(tag, ""))]
    search, offset = max(texts, key=len, default=""), 0
    while summaries := list_studies(tx, search=search, limit=_STUDIES_AT_A_TIME, offset=offset):
        yield from summaries
        offset += len(summaries)


def _part(found: Iterable[DicomJson], wanted: Mapping[str, str], query: Query) -> tuple[DicomJson, ...]:
    """Take the part of the matching answers that the query asks for."""
    matching = (header for header in found if matches(header, wanted))
    return tuple(islice(matching, query.offset, query.offset + query.limit))


def _limited_to(wanted: Mapping[str, str], tags: Sequence[str]) -> dict[str, str]:
    return {tag: value for tag, value in wanted.items() if tag in tags}


def _only(header: DicomJson, tags: Sequence[str]) -> dict[str, Any]:
    return {tag: header[tag] for tag in tags if tag in header}


def _elements(values: Mapping[str, tuple[object, ...]]) -> dict[str, Any]:
    """Write attributes in the JSON model: keyword -> VR and values."""
    return {
        tag_of(keyword): {"vr": vr, "Value": [value for value in found if value != ""]}
        for keyword, (vr, *found) in values.items()
    }
