"""Instance files: written beside, synced, renamed to their digest, and only then real.

incoming/    files that are still being written, each locked by its writer; nothing refers to them
instances/   ab/abcdef….dcm: durable files named by the digest of their bytes
quarantine/  refused but kept, named the same way
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dicomnode.domain.errors import NotInLedger, SpoolFull
from dicomnode.spool.digest import Digest

_ROOMS = ("instances", "quarantine")
_PREFIXES = tuple(f"{first:02x}" for first in range(256))
_MOST_PIECES = 1000
"""Linux takes 1024 pieces in one call."""
_WRITE_BEHIND = 8 * 1024 * 1024
"""So many bytes of a file may wait in memory before the disk is told to begin: its sync then never takes long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A durable file: its path inside the spool, digest as hex digits, and size in bytes."""

    path: str
    digest: str
    size: int


class Spool:
    """The folder that holds every instance file of the node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = str(root)
        (root / "incoming").mkdir(parents=True, exist_ok=True)
        # All at once and durably, so that no instance is ever acknowledged in a directory that power may still take.
        for room in _ROOMS:
            for prefix in _PREFIXES:
                (root / room / prefix).mkdir(parents=True, exist_ok=True)
            sync_directory(root / room)
        sync_directory(root)
        sync_directory(root.parent)

    def begin(self, front: bytes = b"") -> "SpoolFile":
        """Open a new file in `incoming`, which begins with `front`; raises SpoolFull."""
        return SpoolFile(self, front)

    def keep(self, data: bytes) -> Kept:
        """Write one whole instance durably; the same bytes again give the same file. Raises SpoolFull."""
        file = self.begin()
        file.write(data)
        return file.keep()

    def keep_together(self, files: Sequence["SpoolFile"], room: str = "instances") -> Sequence[Kept | SpoolFull]:
        """Make files durable for little more than the price of one; gives for each what it became, in order.

        After this, power may go. Each file is synced before it gets its name, each directory after all its names.
        """
        if len(files) > 1:
            for file in files:
                file.write_behind()
        outcomes = [_named(file, room) for file in files]
        lost = _unsynced({self._directory(kept) for kept in outcomes if isinstance(kept, Kept)})
        if not lost:
            return outcomes
        return [one if isinstance(one, SpoolFull) else lost.get(self._directory(one), one) for one in outcomes]

    def _directory(self, kept: Kept) -> str:
        return f"{self.folder}/{kept.path.rpartition('/')[0]}"

    def locate(self, path: str) -> Path:
        """Turn a path the ledger holds into a file; raises NotInLedger for a path that leaves the spool."""
        file = (self.root / path).resolve()
        if not file.is_relative_to(self.root.resolve()):
            raise NotInLedger("a path that leaves the spool")
        return file

    def find(self, path: str) -> Path:
        """Turn a path the ledger holds into a file that is there; raises NotInLedger when it is gone."""
        file = self.locate(path)
        if not file.is_file():
            raise NotInLedger(
                "a file that the ledger names is no longer in the spool; `dicomnode reconcile` lists them"
            )
        return file

    def clear_incoming(self) -> int:
        """Remove what a dead process left half-written (nobody was told it was kept) and say how many entries."""
        leftovers = list((self.root / "incoming").iterdir())
        for entry in leftovers:
            if entry.is_dir():
                # What a derivation that was killed at the output gate leaves.
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        return len(leftovers)


class SpoolFile:
    """One file that is being written; it either becomes durable or never existed."""

    def __init__(self, spool: Spool, front: bytes = b"") -> None:
        self._root = spool.folder
        self._spool = spool
        self._name = f"{self._root}/incoming/{secrets.token_hex(16)}"
        self._digest = Digest(front)
        self._front = front
        """What is written together with the first bytes: one call of the system less."""
        self.size = self._behind = 0
        self._is_kept = False
        try:
            self._descriptor = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SpoolFull(f"cannot open a file in the spool ({error.strerror})") from error
        # The kernel frees the lock when the writer dies: so others know what nobody writes any more.
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @property
    def path(self) -> Path:
        """Where the bytes lie until they are kept."""
        return Path(self._name)

    def write(self, *pieces: bytes | memoryview) -> None:
        """Append bytes; raises SpoolFull, and the file is gone then."""
        for piece in pieces:
            self._digest.update(piece)
        front, self._front = self._front, b""
        waiting = [memoryview(piece) for piece in ((front, *pieces) if front else pieces)]
        try:
            while waiting:
                written = os.writev(self._descriptor, waiting[:_MOST_PIECES])
                self.size += written
                waiting = _behind(waiting, written)
        except OSError as error:
            self.discard()
            raise SpoolFull(f"the disk refused the bytes ({error.strerror})") from error
        if self.size - self._behind >= _WRITE_BEHIND:
            self.write_behind()

    def write_behind(self) -> None:
        """Tell the disk to begin with what was written so far, without waiting for it."""
        # What Linux makes of this advice: it starts to write the dirty pages, and forgets only the clean ones.
        os.posix_fadvise(self._descriptor, self._behind, 0, os.POSIX_FADV_DONTNEED)
        self._behind = self.size

    def name(self, room: str) -> Kept:
        """Sync the bytes and give the file its name in a room; the directory is still to be synced. Raises OSError."""
        digest = self._digest.hex()
        relative = f"{room}/{digest[:2]}/{digest}.dcm"
        if self._front:
            self.write()
        os.fdatasync(self._descriptor)
        # Paths as text: making a Path costs more than the call.
        os.rename(self._name, f"{self._root}/{relative}")  # noqa: PTH104
        self._is_kept = True
        self._close()
        return Kept(path=relative, digest=digest, size=self.size)

    def keep(self, room: str = "instances") -> Kept:
        """Make this one file durable: after this, power may go. Raises SpoolFull."""
        (outcome,) = self._spool.keep_together((self,), room)
        if isinstance(outcome, SpoolFull):
            raise outcome
        return outcome

    def discard(self) -> None:
        """Forget the bytes; does nothing when they were kept."""
        self._close()
        if not self._is_kept:
            with suppress(FileNotFoundError):
                os.unlink(self._name)  # noqa: PTH108

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _behind(pieces: list[memoryview], written: int) -> list[memoryview]:
    """Give what is left of pieces after so many bytes were written."""
    for index, piece in enumerate(pieces):
        if written < len(piece):
            return [piece[written:], *pieces[index + 1 :]]
        written -= len(piece)
    return []


def _named(file: SpoolFile, room: str) -> Kept | SpoolFull:
    try:
        return file.name(room)
    except OSError as error:
        file.discard()
        return _not_durable(error)


def _unsynced(directories: Iterable[str]) -> dict[str, SpoolFull]:
    """Sync directories and give those that could not be synced."""
    lost: dict[str, SpoolFull] = {}
    for directory in directories:
        try:
            sync_directory(directory)
        except OSError as error:
            lost[directory] = _not_durable(error)
    return lost


def _not_durable(error: OSError) -> SpoolFull:
    return SpoolFull(f"the file could not be made durable ({error.strerror})")


def sync_directory(directory: Path | str) -> None:
    """Make a rename inside a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
