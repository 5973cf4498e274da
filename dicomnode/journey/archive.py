"""The node's own holdings as an archive: rows of the ledger, headers and frames from the spool."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from dicomnode.domain.archive import DicomJson, Frame, Query
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.imaging.dicom_json import in_utf_8, read_value
from dicomnode.imaging.frames import PixelPlace, encode_explicit, read_frame, read_pixel_place
from dicomnode.journey.index import HeaderIndex
from dicomnode.journey.search import Searching
from dicomnode.ledger.studies import find_instance, list_instances
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool

_PLACES_KEPT = 2048


class LedgerArchive:
    """Looks into ledger and spool (domain.archive.Archive); files never change, so where pixels lie is remembered."""

    def __init__(self, ledger: Ledger, spool: Spool) -> None:
        self._ledger = ledger
        self._spool = spool
        self._index = HeaderIndex(ledger, spool)
        self._searching = Searching(ledger, self._index)
        self._pixel_place = lru_cache(maxsize=_PLACES_KEPT)(self._read_pixel_place)

    def search_studies(self, query: Query) -> Sequence[DicomJson]:
        """Find studies, latest received first; raises InvalidValue for an attribute that cannot be matched."""
        return self._searching.studies(query)

    def search_series(self, query: Query, study: StudyInstanceUID | None = None) -> Sequence[DicomJson]:
        """Find series, of one study or of all; raises InvalidValue for an attribute that cannot be matched."""
        return self._searching.series(query, study)

    def search_instances(
        self, query: Query, study: StudyInstanceUID | None = None, series: SeriesInstanceUID | None = None
    ) -> Sequence[DicomJson]:
        """Find instances, of one study or series or of all; raises InvalidValue for what cannot be matched."""
        return self._searching.instances(query, study, series)

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
        return tuple(map(in_utf_8, self._index.whole(self.instances(study, series, instance))))

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

    def _read_pixel_place(self, path: str) -> PixelPlace | None:
        return read_pixel_place(self._spool.locate(path))
