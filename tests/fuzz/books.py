"""Keeping account of what became of everything that was sent: nothing may be there that nobody sent in full."""

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute

from dicomnode.domain.errors import DicomnodeError
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.imaging.headers import read_header
from dicomnode.journey.archive import LedgerArchive
from dicomnode.ledger.tables import InstanceRow, QuarantineRow
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from tests.dicomweb.sending import data_set_of

QUARANTINED = frozenset((0xA900, 0xC001))
"""What the node answers when it keeps the bytes for a person to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What ledger and spool hold since the last look: the data sets by the announced SOP Instance UID."""

    stored: list[tuple[str, bytes]]
    quarantined: list[tuple[str, bytes]]


@dataclass
class Books:
    """Ledger and spool of a node, and what was sent to it in full so far."""

    ledger: Ledger
    spool: Spool
    sent: set[bytes] = field(default_factory=set)
    _last_instance: int = 0
    _last_quarantined: int = 0

    def note_sent(self, data_set: bytes) -> None:
        """Note that a data set was sent from its first to its last byte."""
        self.sent.add(_digest(data_set))

    def was_sent(self, data_set: bytes) -> bool:
        return _digest(data_set) in self.sent

    def news(self, *, is_explained: Callable[[bytes], bool] | None = None) -> News:
        """Look what is new, and check it: each row has its file, whose data set somebody sent in full."""
        explained = is_explained or self.was_sent
        with self.ledger.transaction() as tx:
            instances = (
                tx.session.execute(
                    sa.select(InstanceRow).where(InstanceRow.id > self._last_instance).order_by(InstanceRow.id)
                )
                .scalars()
                .all()
            )
            quarantined = (
                tx.session.execute(
                    sa.select(QuarantineRow).where(QuarantineRow.id > self._last_quarantined).order_by(QuarantineRow.id)
                )
                .scalars()
                .all()
            )
            news = News(
                stored=[(row.sop_instance_uid, self.data_set(row.path, row.size)) for row in instances],
                quarantined=[(row.sop_instance_uid, self.data_set(row.path, row.size)) for row in quarantined],
            )
            self._last_instance = max((row.id for row in instances), default=self._last_instance)
            self._last_quarantined = max((row.id for row in quarantined), default=self._last_quarantined)
        for row in instances:
            self._check_readable(row)
        for uid, data in (*news.stored, *news.quarantined):
            assert explained(data), f"{uid} was kept, but nobody sent these {len(data)} bytes in full"
        return news

    def holds(self, sop_instance_uid: str, data_set: bytes) -> bool:
        """Whether exactly this content is recorded under a UID, in use or beside it."""
        with self.ledger.transaction() as tx:
            rows = tx.session.execute(
                sa.select(InstanceRow.path, InstanceRow.size)
                .where(InstanceRow.sop_instance_uid == sop_instance_uid)
                .order_by(InstanceRow.id.desc())
            ).all()
        return any(self.data_set(path, size) == data_set for path, size in rows)

    def instance_paths(self) -> set[str]:
        return self._paths(InstanceRow.path)

    def quarantine_paths(self) -> set[str]:
        return self._paths(QuarantineRow.path)

    def _paths(self, column: InstrumentedAttribute[str]) -> set[str]:
        with self.ledger.transaction() as tx:
            return set(tx.session.execute(sa.select(column)).scalars())

    def knows(self, sop_instance_uid: str) -> bool:
        """Whether an instance of this UID is recorded and in use."""
        with self.ledger.transaction() as tx:
            found = tx.session.execute(
                sa.select(InstanceRow.path).where(InstanceRow.sop_instance_uid == sop_instance_uid, InstanceRow.in_use)
            ).first()
        return found is not None and (self.spool.root / found.path).is_file()

    def data_set(self, path: str, size: int) -> bytes:
        """Read the data set of a kept file."""
        file = (self.spool.root / path).read_bytes()
        assert len(file) == size, path
        return data_set_of(file)

    def _check_readable(self, row: InstanceRow) -> None:
        """What was accepted is read as often as one likes, by whoever asks: never with anything but a reason."""
        header = read_header(self.spool.root / row.path)
        assert (header.sop_instance_uid, header.study_instance_uid, header.series_instance_uid) == (
            row.sop_instance_uid,
            row.study_instance_uid,
            row.series_instance_uid,
        )
        if row.in_use:
            look_into(LedgerArchive(self.ledger, self.spool), row)


def look_into(archive: LedgerArchive, row: InstanceRow) -> None:
    """Read an instance in all ways that DICOMweb gives: each answers, or refuses with a reason of the node's own."""
    study, series = StudyInstanceUID(row.study_instance_uid), SeriesInstanceUID(row.series_instance_uid)
    instance = SOPInstanceUID(row.sop_instance_uid)
    json.dumps(archive.metadata(study, series, instance), allow_nan=False)
    for read in (
        lambda: archive.explicit(study, series, instance),
        lambda: archive.frame(study, series, instance, 1, as_stored=True),
        lambda: archive.frame(study, series, instance, 1, as_stored=False),
    ):
        with contextlib.suppress(DicomnodeError):
            read()


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
