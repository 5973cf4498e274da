"""Counting: what the headers of a study with news tell of its completeness, each of them read once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.imaging.completeness import CountingHeader, SeriesCount, count_series, counting_header
from dicomnode.journey.index import HeaderIndex
from dicomnode.ledger.completion import HeldInstance
from dicomnode.ledger.studies import find_instances
from dicomnode.ledger.transaction import Ledger

_Read = dict[SOPInstanceUID, CountingHeader]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedSeries:
    """What the headers of one series with images tell, and how an operator knows it."""

    label: str
    count: SeriesCount


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCount:
    """What the headers of a study tell: of its series that have images, and how many headers are still to be read."""

    series: Mapping[SeriesInstanceUID, CountedSeries]
    unread: int


class SeriesCounting:
    """Counts the series of studies; what was read of a study is kept until it is forgotten."""

    def __init__(self, ledger: Ledger, index: HeaderIndex) -> None:
        self._ledger = ledger
        self._index = index
        self._read: dict[StudyInstanceUID, _Read] = {}

    def known(self, study: StudyInstanceUID) -> int:
        """Tell how many headers of a study were read."""
        return len(self._read.get(study, ()))

    def read(self, study: StudyInstanceUID, held: Sequence[HeldInstance], most: int) -> int:
        """Read headers that were not read yet, so many at most, and tell how many; raises LedgerUnavailable."""
        read = self._read.setdefault(study, {})
        unread = [one.sop_instance_uid for one in held if one.sop_instance_uid not in read][:most]
        with self._ledger.transaction() as tx:
            instances = tuple(find_instances(tx, unread).values())
        headers = self._index.readable(instances)
        read |= {one.sop_instance_uid: counting_header(header) for one, header in zip(instances, headers, strict=True)}
        return len(unread)

    def count(self, study: StudyInstanceUID, held: Sequence[HeldInstance]) -> StudyCount:
        """Count a study by what was read of it."""
        read = self._read.get(study, {})
        by_series: dict[SeriesInstanceUID, list[CountingHeader]] = {}
        for one in held:
            if one.sop_instance_uid in read:
                by_series.setdefault(one.series_instance_uid, []).append(read[one.sop_instance_uid])
        counts = {uid: (count_series(headers), headers[0]) for uid, headers in by_series.items()}
        return StudyCount(
            series={
                uid: CountedSeries(label=_label(first), count=count)
                for uid, (count, first) in counts.items()
                if count is not None
            },
            unread=len(held) - sum(len(headers) for headers in by_series.values()),
        )

    def keep_only(self, studies: frozenset[StudyInstanceUID]) -> None:
        """Forget every study but these."""
        for gone in self._read.keys() - studies:
            del self._read[gone]


def _label(first: CountingHeader) -> str:
    return "a series without number" if first.series_number is None else f"series {first.series_number}"
