"""Looking into what the node holds: queries, headers, files and frames, in the terms of DICOMweb (PS3.18)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID, TransferSyntaxUID

DicomJson = Mapping[str, Any]
"""One data set in the DICOM JSON Model (PS3.18 Annex F): tag as 8 hex digits -> vr with Value or BulkDataURI."""

EXPLICIT_VR_LITTLE_ENDIAN = TransferSyntaxUID("1.2.840.10008.1.2.1")
"""The transfer syntax of whatever a client asks for without naming another (PS3.18 section 8.7.3.5.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to search for: attribute (keyword or tag) -> the value it must match, and which part of the answer.

    Values are matched as PS3.4 section C.2.2.2 says: single value, list of UIDs, range of dates or times, wildcards.
    """

    limit: int
    offset: int = 0
    matching: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    """Attributes to tell beyond the usual ones, or "all" (PS3.18 section 8.3.4.3); what there is not is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The pixel data of one frame and how it is encoded."""

    transfer_syntax_uid: TransferSyntaxUID
    data: bytes


class Archive(Protocol):
    """All studies of the node, received and derived, for reading."""

    def search_studies(self, query: Query) -> Sequence[DicomJson]:
        """Find studies, latest received first; raises InvalidValue for an attribute that cannot be matched."""
        ...

    def search_series(self, query: Query, study: StudyInstanceUID | None = None) -> Sequence[DicomJson]:
        """Find series, of one study or of all; raises InvalidValue for an attribute that cannot be matched."""
        ...

    def search_instances(
        self, query: Query, study: StudyInstanceUID | None = None, series: SeriesInstanceUID | None = None
    ) -> Sequence[DicomJson]:
        """Find instances, of one study or series or of all; raises InvalidValue for what cannot be matched."""
        ...

    def instances(
        self, study: StudyInstanceUID, series: SeriesInstanceUID | None = None, instance: SOPInstanceUID | None = None
    ) -> Sequence[StoredInstance]:
        """List the instances of a study, series or the one; raises NotInLedger when there are none."""
        ...

    def find(self, instance: SOPInstanceUID) -> StoredInstance:
        """Find the instance that is in use under its UID alone; raises NotInLedger."""
        ...

    def metadata(
        self, study: StudyInstanceUID, series: SeriesInstanceUID | None = None, instance: SOPInstanceUID | None = None
    ) -> Sequence[DicomJson]:
        """Read the whole header of each instance; raises NotInLedger when there are none.

        Pixel data and other long binary values are given as a BulkDataURI that is relative to their series.
        """
        ...

    def file(self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID) -> Path:
        """Find the Part 10 file of an instance as it was stored; raises NotInLedger."""
        ...

    def explicit(self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID) -> bytes:
        """Encode an instance as a Part 10 file in Explicit VR Little Endian, its pixel data not compressed.

        Raises NotInLedger, or UnreadablePixels when they cannot be decoded.
        """
        ...

    def frame(
        self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID, number: int, as_stored: bool
    ) -> Frame:
        """Read one frame, counted from 1: as it was stored, or in Explicit VR Little Endian.

        Raises NotInLedger when there is no such frame, UnreadablePixels when it cannot be decoded.
        """
        ...

    def bulk_data(
        self, study: StudyInstanceUID, series: SeriesInstanceUID, instance: SOPInstanceUID, tag: str
    ) -> bytes:
        """Read one binary value (tag as 8 hex digits) as it is stored; raises NotInLedger when there is none."""
        ...
