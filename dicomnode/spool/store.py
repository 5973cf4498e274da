"""Instance files: written beside, synced, renamed to their digest, and only then real.

incoming/    files that are still being written; nothing refers to them
instances/   ab/abcdef….dcm: durable files named by the SHA-256 of their bytes
quarantine/  refused but kept, named the same way
"""

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from dicomnode.domain.errors import NotInLedger, SpoolFull

_ROOMS = ("instances", "quarantine")
_PREFIXES = tuple(f"{first:02x}" for first in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A durable file: its path inside the spool, SHA-256 as hex digits, and size in bytes."""

    path: str
    digest: str
    size: int


class Spool:
    """The folder that holds every instance file of the node."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "incoming").mkdir(parents=True, exist_ok=True)
        # All at once and durably, so that no instance is ever acknowledged in a directory that power may still take.
        for room in _ROOMS:
            for prefix in _PREFIXES:
                (root / room / prefix).mkdir(parents=True, exist_ok=True)
            sync_directory(root / room)
        sync_directory(root)
        sync_directory(root.parent)

    def begin(self) -> "SpoolFile":
        """Open a new file in `incoming`; raises SpoolFull."""
        return SpoolFile(self)

    def keep(self, data: bytes) -> Kept:
        """Write one whole instance durably; the same bytes again give the same file. Raises SpoolFull."""
        file = self.begin()
        file.write(data)
        return file.keep()

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

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._path = spool.root / "incoming" / secrets.token_hex(16)
        self._digest = hashlib.sha256()
        self.size = 0
        try:
            self._file = self._path.open("xb", buffering=0)
        except OSError as error:
            raise SpoolFull(f"cannot open a file in the spool ({error.strerror})") from error

    @property
    def path(self) -> Path:
        """Where the bytes lie until they are kept."""
        return self._path

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes; raises SpoolFull, and the file is gone then."""
        view = memoryview(data)
        try:
            while view:
                written = self._file.write(view) or 0
                self._digest.update(view[:written])
                self.size += written
                view = view[written:]
        except OSError as error:
            self.discard()
            raise SpoolFull(f"the disk refused the bytes ({error.strerror})") from error

    def keep(self, room: str = "instances") -> Kept:
        """Sync the file, rename it to its digest and sync the directory: after this, power may go. Raises SpoolFull."""
        digest = self._digest.hexdigest()
        relative = f"{room}/{digest[:2]}/{digest}.dcm"
        target = self._spool.root / relative
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(target)
            sync_directory(target.parent)
        except OSError as error:
            self.discard()
            raise SpoolFull(f"the file could not be made durable ({error.strerror})") from error
        return Kept(path=relative, digest=digest, size=self.size)

    def discard(self) -> None:
        """Forget the bytes; does nothing when they were kept."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make a rename inside a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
