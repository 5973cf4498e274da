"""The archive as somebody sees it who may not see names: no identity in what is read, and none to search by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomnode.domain.archive import Archive, DicomJson, Frame, Query
from dicomnode.domain.errors import NotAllowed
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.imaging.dicom_json import tag_of

_PATIENT_GROUP = "0010"
_OF_NO_ONE = frozenset({"00100040", "00101010", "00101020", "00101030"})
"""Sex, age, size and weight: what models and rules need of a patient (PS3.3 C.7.1.1, C.7.2.2)."""
_GROUP_LENGTH, _HEXADECIMAL = 4, 16


class DiscreetArchive:
    """An archive without the attributes that say who somebody is (domain.archive.Archive).

    Whole files are not given at all: they name their patient. Private attributes are left out, because nobody knows
    what is in them. What is burnt into the pixels stays there.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def search_studies(self, query: Query) -> Sequence[DicomJson]:
        """Find studies; raises NotAllowed for a search by identity."""
        return _without_identity(self._archive.search_studies(_harmless(query)))

    def search_series(self, query: Query, study: StudyInstanceUID | None = None) -> Sequence[DicomJson]:
        """Find series; raises NotAllowed for a search by identity."""
        return _without_identity(self._archive.search_series(_harmless(query), study))

    def search_instances(
        self, query: Query, study: StudyInstanceUID | None = None, series: SeriesInstanceUID | None = None
    ) -> Sequence[DicomJson]:
        """Find instances; raises NotAllowed for a search by identity."""
        return _without_identity(self._archive.search_instances(_harmless(query), study, series))

    def instances(
        self, study: StudyInstanceUID, series: SeriesInstanceUID | None = None, instance: SOPInstanceUID | None = None
    ) -> Sequence[StoredInstance]:
        """List instances; raises NotInLedger."""
        return self._archive.instances(study, series, instance)

    def find(self, instance: SOPInstanceUID) -> StoredInstance:
        """Find an instance by its UID; raises NotInLedger."""
        return self._archive.find(instance)

    def metadata(
        self, study: StudyInstanceUID, series: SeriesInstanceUID | None = None, instance: SOPInstanceUID | None = None
    ) -> Sequence[DicomJson]:
        """Read headers; raises NotInLedger."""
        return _without_identity(self._archive.metadata(study, series, instance))

    def file(self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID) -> Path:
        """Give no file; raises NotAllowed."""
        raise _names_its_patient()

    def explicit(self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID) -> bytes:
        """Give no file; raises NotAllowed."""
        raise _names_its_patient()

    def frame(
        self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID, number: int, as_stored: bool
    ) -> Frame:
        """Read one frame; raises NotInLedger, UnreadablePixels."""
        return self._archive.frame(study, series, instance, number, as_stored)

    def bulk_data(
        self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID, tag: str
    ) -> bytes:
        """Give no binary value but pixels: it may be a document; raises NotAllowed."""
        raise _names_its_patient()


def says_who(tag: str) -> bool:
    """Whether an attribute (tag as 8 hex digits) may say who the patient is."""
    group = tag[:_GROUP_LENGTH]
    is_private = int(group, _HEXADECIMAL) % 2 == 1
    return is_private or (group == _PATIENT_GROUP and tag not in _OF_NO_ONE)


def _without_identity(headers: Sequence[DicomJson]) -> Sequence[DicomJson]:
    return [_cleaned(header) for header in headers]


def _cleaned(item: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what says who the patient is, in sequences as well."""
    return {tag: _element(element) for tag, element in item.items() if not says_who(tag)}


def _element(element: Mapping[str, Any]) -> Mapping[str, Any]:
    if element.get("vr") != "SQ":
        return element
    return {**element, "Value": [_cleaned(item) for item in element.get("Value") or ()]}


def _harmless(query: Query) -> Query:
    """Give back a query that searches for nobody; raises NotAllowed, or InvalidValue for what is no attribute."""
    if any(says_who(tag_of(part)) for name in query.matching for part in name.split(".")):
        raise NotAllowed("a search by the patient's identity takes the permission see-names")
    return query


def _names_its_patient() -> NotAllowed:
    return NotAllowed("a whole instance names its patient, which takes the permission see-names")
