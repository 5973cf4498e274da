"""Reconcile: what lies in the spool is held against what stands in the ledger, both ways.

A crash between the rename of a file and the commit of its row leaves a file that no row names: nobody was told that it
was kept, so it goes into quarantine, where a person may release it. A row whose file is gone is told in its study's
timeline. Comparing streams both sides in the order of their paths; only what differs is held in memory.
"""

import heapq
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from operator import itemgetter

from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.ports import Clock
from dicomnode.imaging.file_meta import read_file_meta
from dicomnode.ledger.named_files import NamedFile, files_named, named_files, quarantined_paths, tell_once
from dicomnode.ledger.quarantine import Stray, record_strays
from dicomnode.ledger.retention import pending_among
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.inventory import INSTANCES, QUARANTINE, has_settled, is_intact, kept_files, set_aside, sync_rooms
from dicomnode.spool.store import Spool

_logger = logging.getLogger(__name__)

NEVER_RECORDED = "kept but never recorded"
SETTLED = timedelta(minutes=10)
"""Beside a running node a younger file may still get its row: a derived series is written before it is recorded."""
_MISSING = (
    "Files missing from the spool: {count}. Restore the spool from its backup, or send the study to this node again."
)
_DAMAGED = (
    "Files changed since they were kept: {count}. Restore them from the backup, or send the study to this node again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was found: how many files and rows were compared, and what did not agree.

    `set_aside` are the files that went into quarantine, `recorded` those that lay there without being listed.
    """

    files: int
    rows: int
    set_aside: tuple[str, ...] = ()
    recorded: int = 0
    missing: tuple[NamedFile, ...] = ()
    damaged: tuple[NamedFile, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether every instance that the ledger names lies in the spool as it was kept."""
        return not self.missing and not self.damaged


@dataclass(slots=True)
class _Comparison:
    """Where the two sides differ."""

    files: int = 0
    rows: int = 0
    unnamed: list[str] = field(default_factory=list)
    missing: list[NamedFile] = field(default_factory=list)

    def note(self, path: str, sides: Sequence[NamedFile | None]) -> None:
        """Count what is at a path: its file, given as None, and the rows that name it."""
        rows = [side for side in sides if side is not None]
        self.rows += len(rows)
        self.files += len(sides) - len(rows)
        if not rows:
            self.unnamed.append(path)
        elif len(rows) == len(sides):
            self.missing += rows


class Reconciling:
    """Brings spool and ledger back into agreement."""

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock) -> None:
        self._ledger = ledger
        self._spool = spool
        self._clock = clock

    def reconcile(self, settled: timedelta = SETTLED, *, deep: bool = False) -> Reconciliation:
        """Compare, set aside and tell; `deep` also reads every file and holds it against its digest.

        A file is only set aside when it has had its name for as long as `settled`; zero is for whoever is alone on the
        data folder. Raises SpoolFull, LedgerUnavailable.
        """
        found = self._compare()
        moved = self._set_aside(found.unnamed, settled)
        recorded = self._record_strays(moved, settled)
        missing = tuple(one for one in found.missing if not (self._spool.root / one.path).is_file())
        damaged = self._damaged() if deep else ()
        self._tell(missing, "missing", _MISSING)
        self._tell(damaged, "damaged", _DAMAGED)
        done = Reconciliation(
            files=found.files,
            rows=found.rows,
            set_aside=moved,
            recorded=recorded - len(moved),
            missing=missing,
            damaged=damaged,
        )
        _log(done)
        return done

    def _compare(self) -> _Comparison:
        """Walk both sides in the order of their paths and note where they differ."""
        found = _Comparison()
        with self._ledger.transaction() as tx:
            files = ((path, None) for path in kept_files(self._spool, INSTANCES))
            rows = ((row.path, row) for row in named_files(tx))
            both: Iterable[tuple[str, NamedFile | None]] = heapq.merge(files, rows, key=itemgetter(0))
            for path, sides in groupby(both, key=itemgetter(0)):
                found.note(path, [side for _path, side in sides])
        return found

    def _set_aside(self, unnamed: Sequence[str], settled: timedelta) -> tuple[str, ...]:
        """Move what no row names into quarantine; gives the new paths."""
        before = self._clock.now() - settled
        with self._ledger.transaction() as tx:
            # A row may have come since the comparison began; and what retention removed is explained.
            named = {row.path for row in files_named(tx, unnamed)}.union(pending_among(tx, unnamed))
        moved = {path: set_aside(self._spool, path, before) for path in unnamed if path not in named}
        kept = {path: file.path for path, file in moved.items() if file is not None}
        sync_rooms(self._spool, [*kept, *kept.values()])
        return tuple(kept.values())

    def _record_strays(self, moved: Sequence[str], settled: timedelta) -> int:
        """Put on the list what lies in quarantine without a row: what was just moved, and what a crash left."""
        before = self._clock.now() - settled
        with self._ledger.transaction() as tx:
            listed = quarantined_paths(tx)
        lying = [path for path in kept_files(self._spool, QUARANTINE) if path not in listed]
        just_moved = frozenset(moved)
        strays = [self._stray(path) for path in lying if path in just_moved or has_settled(self._spool, path, before)]
        with self._ledger.transaction() as tx:
            record_strays(tx, strays, NEVER_RECORDED, self._clock.now())
        return len(strays)

    def _stray(self, path: str) -> Stray:
        """Describe a file by what its file meta information says, where it can be read."""
        file = self._spool.root / path
        size = file.stat().st_size
        try:
            meta = read_file_meta(file)
        except MalformedInstance:
            return Stray(path=path, size=size, calling_ae="", sop_instance_uid="")
        return Stray(path=path, size=size, calling_ae=meta.source_ae or "", sop_instance_uid=meta.sop_instance_uid)

    def _damaged(self) -> tuple[NamedFile, ...]:
        """Read every file and find the instances whose bytes are no longer those that were kept."""
        broken = [path for path in kept_files(self._spool, INSTANCES) if not is_intact(self._spool, path)]
        with self._ledger.transaction() as tx:
            return files_named(tx, broken)

    def _tell(self, files: Sequence[NamedFile], state: str, text: str) -> None:
        """Tell each study's timeline, once for each file."""
        studies: dict[str, list[NamedFile]] = defaultdict(list)
        for file in files:
            studies[file.study_instance_uid].append(file)
        if studies:
            with self._ledger.transaction() as tx:
                for ours in studies.values():
                    tell_once(tx, ours, state, text, self._clock.now())


def _log(done: Reconciliation) -> None:
    """Say what was done in one line, as a warning when a person should look."""
    level = logging.INFO if done.agrees and not done.set_aside and not done.recorded else logging.WARNING
    _logger.log(
        level,
        "spool and ledger reconciled: %d files, %d rows; %d files set aside, %d missing, %d damaged",
        done.files,
        done.rows,
        len(done.set_aside) + done.recorded,
        len(done.missing),
        len(done.damaged),
    )
