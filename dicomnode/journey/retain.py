"""Retain: studies that are done with leave the node by age, or to make room; first their rows, then slowly their files.

What speaks against it is asked under the study's lock, in the transaction that takes its instances out of the ledger:
from then on nobody is promised them. The same transaction lists their files, so that a crash leaves nothing untold.
A file is unlinked only while no row names it and no reception can be about to: one that has just got its name is left.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dicomnode.domain.capacity import Capacity, DiskLevel
from dicomnode.domain.errors import NotInLedger, SpoolFull
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.reconcile import SETTLED
from dicomnode.ledger.headers import last_received_at
from dicomnode.ledger.named_files import files_named
from dicomnode.ledger.retention import (
    Holding,
    end_removals,
    find_holding,
    forget_instances,
    hold_study,
    lock_study,
    obstacles,
    pending_removals,
    studies_held,
)
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.spool.removal import RemovalRoom, SeenFile
from dicomnode.spool.store import Spool

_logger = logging.getLogger(__name__)

STEP_SECONDS = 1.0
_FILES_PER_STEP = 20
"""ext4 becomes ten times slower for whoever writes while hundreds of inodes were freed within its last seconds."""
_QUIET = timedelta(seconds=5)
_REST = timedelta(minutes=10)
"""How long to wait before all studies are looked at again when none could go."""
_LEAST_AGE = timedelta(hours=1)
"""No study goes sooner, however little room there is: its sender may still be at work on it."""
_STUDIES_PER_PAGE = 100
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """What the administrator allows: nothing goes by age without `keep`, nor sooner for want of room.

    `asked` are the destinations that are asked whether they list what they stored.
    """

    keep: timedelta | None
    make_room: bool
    asked: frozenset[str]

    def before(self, now: datetime, level: DiskLevel) -> datetime | None:
        """Say how long ago a study must have received its last instance to go; None when none may."""
        ages = [] if self.keep is None else [self.keep]
        if self.make_room and level is not DiskLevel.OK:
            ages.append(_LEAST_AGE)
        return now - min(ages) if ages else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the node holds of a study, and all that keeps it; nothing does when it may go."""

    holding: Holding
    obstacles: tuple[str, ...]

    @property
    def may_go(self) -> bool:
        """Whether retention would remove it."""
        return not self.obstacles


class Retention:
    """Removes what may go; any number of processes may do so at once."""

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock, capacity: Capacity, policy: RetentionPolicy) -> None:
        self._ledger = ledger
        self._room = RemovalRoom(spool)
        self._clock = clock
        self._capacity = capacity
        self._policy = policy
        self._place = ""
        self._rest_until: datetime | None = None

    def step(self) -> None:
        """Do a little: unlink a few files, or take one study out of the ledger when no file waits.

        Meant to be called every second; while the node receives it does nothing, unless the disk lacks room. Raises
        LedgerUnavailable, SpoolFull.
        """
        now = self._clock.now()
        if self._is_receiving(now) or self.unlink_some():
            return
        if self._rest_until is not None and now < self._rest_until:
            return
        self._place = ""
        self._tidy()
        self._rest_until = None if self.remove_next() else now + _REST

    def verdicts(self) -> Iterator[Verdict]:
        """Say of every study that holds instances whether it may go now, and if not, why; the oldest first."""
        now = self._clock.now()
        for uid in self._oldest_first(now):
            with self._ledger.transaction() as tx:
                verdict = self._judge(tx, uid, now)
            if verdict is not None:
                yield verdict

    def remove_next(self) -> Verdict | None:
        """Take the oldest study that may go out of the ledger; its files are then listed to be unlinked."""
        now = self._clock.now()
        before = self._before(now)
        if before is None:
            return None
        for uid in self._oldest_first(before):
            with self._ledger.transaction() as tx:
                verdict = self._judge(tx, uid, now)
            # Only a look: what is true under the lock is what counts.
            if verdict is not None and verdict.may_go:
                removed = self._remove(uid)
                if removed is not None:
                    return removed
        return None

    def unlink_some(self) -> bool:
        """Unlink the next few files that wait for it; says no when all were tried in this round."""
        with self._ledger.transaction() as tx:
            paths = pending_removals(tx, self._place, _FILES_PER_STEP)
        if not paths:
            return False
        self._place = paths[-1]
        # In this order: whoever gave a settled file its name has recorded it by now, if ever.
        seen = self._settled(self._room.look(paths))
        with self._ledger.transaction() as tx:
            named = {file.path for file in files_named(tx, paths)}
        for path, file in seen.items():
            if path not in named:
                self._unlink(path, file)
        gone = set(paths) - set(self._room.look(paths))
        self._room.sync(gone)
        with self._ledger.transaction() as tx:
            end_removals(tx, sorted(named | gone))
        return True

    def hold(self, study_instance_uid: StudyInstanceUID, reason: str) -> str:
        """Keep a study for a reason until a person gives it free; raises NotInLedger when nothing of it is here."""
        return self._hold(study_instance_uid, reason, f"An operator holds this study: {reason}")

    def release(self, study_instance_uid: StudyInstanceUID) -> str:
        """Leave a study to retention again; raises NotInLedger when nothing of it is here."""
        return self._hold(study_instance_uid, None, "An operator no longer holds this study.")

    def _hold(self, uid: StudyInstanceUID, reason: str | None, said: str) -> str:
        with self._ledger.transaction() as tx:
            lock_study(tx, uid)
            if find_holding(tx, uid) is None:
                raise NotInLedger("the node holds no instances of this study")
            hold_study(tx, uid, reason)
            state = "done" if reason is None else "held"
            write_event(tx, uid, at=self._clock.now(), step="retain", state=state, text=said)
        return said

    def _oldest_first(self, before: datetime) -> Iterator[StudyInstanceUID]:
        """Walk through the studies with instances that have received nothing since an instant."""
        last: tuple[datetime, str] | None = None
        while True:
            with self._ledger.transaction() as tx:
                page = studies_held(tx, before, last, _STUDIES_PER_PAGE)
            if not page:
                return
            yield from (uid for _at, uid in page)
            last = page[-1]

    def _before(self, now: datetime) -> datetime | None:
        return self._policy.before(now, self._capacity.state().level)

    def _judge(self, tx: Transaction, uid: StudyInstanceUID, now: datetime) -> Verdict | None:
        """Hold a study against the policy; None when nothing of it is here."""
        holding = find_holding(tx, uid)
        if holding is None:
            return None
        # The same bytes that come again change no row, but their file is a new one.
        named = [seen.named_at for seen in self._room.look(holding.paths).values()]
        holding = replace(holding, changed_at=max(holding.changed_at, *named)) if named else holding
        found = obstacles(tx, uid, self._policy.asked)
        young = self._too_young(holding.changed_at, now)
        return Verdict(holding=holding, obstacles=found if young is None else (*found, young))

    def _too_young(self, changed_at: datetime, now: datetime) -> str | None:
        """Say until when a study is kept; None when it is old enough to go."""
        before = self._before(now)
        if before is None:
            return "there is room" if self._policy.make_room else "keep_days is not set: nothing is removed by age"
        return None if changed_at <= before else f"it is kept until {changed_at + (now - before):%Y-%m-%d %H:%M} UTC"

    def _remove(self, uid: StudyInstanceUID) -> Verdict | None:
        """Take a study's instances out of the ledger, if that may be done now that nobody else can change it."""
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            lock_study(tx, uid)
            verdict = self._judge(tx, uid, now)
            if verdict is None or not verdict.may_go:
                return None
            forget_instances(tx, verdict.holding, now)
            told = self._in_words(verdict.holding, now)
            write_event(tx, uid, at=now, step="retain", state="removed", text=told)
        _logger.info("study %s removed by retention: %d instances", uid, verdict.holding.instances)
        return verdict

    def _in_words(self, holding: Holding, now: datetime) -> str:
        """Tell what was removed and why."""
        keep = self._policy.keep
        why = (
            f"nothing of it was received for {keep / timedelta(days=1):g} days"
            if keep is not None and holding.changed_at <= now - keep
            else "the disk of the spool lacked room"
        )
        return (
            f"Removed by retention: {holding.instances} instances, {holding.size / _MEGABYTE:.1f} MB, because {why} "
            "and everything made of it was delivered."
        )

    def _is_receiving(self, now: datetime) -> bool:
        """Whether unlinking would slow down a sender; where the disk lacks room, that is the lesser evil."""
        with self._ledger.transaction() as tx:
            last = last_received_at(tx)
        return last is not None and now - last < _QUIET and self._capacity.state().level is DiskLevel.OK

    def _settled(self, seen: Mapping[str, SeenFile]) -> dict[str, SeenFile]:
        """Choose the files whose reception, if there was one, has ended."""
        before = self._clock.now() - SETTLED
        return {path: file for path, file in seen.items() if file.named_at <= before}

    def _unlink(self, path: str, seen: SeenFile) -> None:
        """Unlink a file; where the disk refuses, it stays on the list."""
        try:
            self._room.remove(path, seen)
        except SpoolFull as error:
            _logger.warning("file %s stays: %s", path, error.reason)

    def _tidy(self) -> None:
        """End what a kill left between the two steps of an unlinking."""
        left = self._room.left_aside(self._clock.now() - SETTLED)
        with self._ledger.transaction() as tx:
            named = {file.path for file in files_named(tx, tuple(left.values()))}
        for name, path in left.items():
            if path in named:
                self._room.put_back(name)
            else:
                self._room.drop(name)
