"""Unlinking files that nothing names any more, without ever taking one that has just been received again.

Between looking at a file and unlinking its name, a reception may give that name to a new file of the same bytes. So a
file first moves into a room of its own, `removed/`, where it can be seen which of the two it was, and be put back.
"""

import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dicomnode.domain.errors import SpoolFull
from dicomnode.spool.inventory import INSTANCES, digest_in_name, sync_rooms
from dicomnode.spool.store import Spool, sync_directory

_ROOM = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenFile:
    """A file as it was when it was looked at: which one it is, and when it got its name."""

    inode: int
    written: int
    named_at: datetime


class RemovalRoom:
    """Takes files out of the spool; several processes may do so at once."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._room = spool.root / _ROOM
        if not self._room.is_dir():
            self._room.mkdir(exist_ok=True)
            sync_directory(spool.root)

    def look(self, paths: Iterable[str]) -> Mapping[str, SeenFile]:
        """Look at files by their paths inside the spool; those that are gone are left out. Raises SpoolFull."""
        found = ((path, _seen(self._spool.root / path)) for path in paths)
        return {path: seen for path, seen in found if seen is not None}

    def remove(self, path: str, seen: SeenFile) -> None:
        """Unlink a file unless its name was given to another since it was seen; raises SpoolFull when it cannot.

        The removal is durable once `sync` returned.
        """
        # A name of its own: two processes that remove the same file must not meet here.
        aside = self._room / f"{secrets.token_hex(8)}-{Path(path).name}"
        try:
            (self._spool.root / path).rename(aside)
            if _identity(aside.stat()) == (seen.inode, seen.written):
                aside.unlink()
            else:
                self.put_back(aside.name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise SpoolFull(f"a file could not be removed ({error.strerror})") from error

    def sync(self, paths: Iterable[str]) -> None:
        """Make the removal of these paths survive a power cut; raises SpoolFull."""
        sync_rooms(self._spool, (*paths, f"{_ROOM}/any"))

    def left_aside(self, before: datetime) -> Mapping[str, str]:
        """Find what a kill left in the room before an instant: each file's name here and its path inside the spool.

        Raises SpoolFull.
        """
        try:
            lying = [(file, _seen(file)) for file in self._room.iterdir()]
        except OSError as error:
            raise SpoolFull(f"a folder could not be looked at ({error.strerror})") from error
        return {file.name: _home(file.name) for file, seen in lying if seen is not None and seen.named_at <= before}

    def put_back(self, name: str) -> None:
        """Give a file of the room its place in the spool again, durably; raises SpoolFull."""
        try:
            (self._room / name).rename(self._spool.root / _home(name))
        except OSError as error:
            raise SpoolFull(f"a file could not be put back ({error.strerror})") from error
        self.sync((_home(name),))

    def drop(self, name: str) -> None:
        """Unlink a file of the room; raises SpoolFull when it cannot."""
        try:
            (self._room / name).unlink(missing_ok=True)
        except OSError as error:
            raise SpoolFull(f"a file could not be removed ({error.strerror})") from error


def _seen(file: Path) -> SeenFile | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SpoolFull(f"a file could not be looked at ({error.strerror})") from error
    inode, written = _identity(found)
    # A rename sets the change time of the inode; the modification time stays that of the last write.
    return SeenFile(inode=inode, written=written, named_at=datetime.fromtimestamp(found.st_ctime, UTC))


def _identity(found: os.stat_result) -> tuple[int, int]:
    """Tell one file from another: an inode's number alone may be used again."""
    return found.st_ino, found.st_mtime_ns


def _home(name: str) -> str:
    """Say where a file of the room has its place in the spool."""
    own = name.partition("-")[2]
    return f"{INSTANCES}/{digest_in_name(own)[:2]}/{own}"
