"""What lies in the spool: its durable files listed, held against their names, and moved between its rooms."""

import fcntl
import logging
import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from dicomnode.domain.errors import NotInLedger, SpoolFull
from dicomnode.spool.digest import file_digest
from dicomnode.spool.store import Kept, Spool, sync_directory

_logger = logging.getLogger(__name__)

INSTANCES, QUARANTINE = "instances", "quarantine"

_NAME = re.compile(r"[0-9a-f]{64}\.dcm")


def kept_files(spool: Spool, room: str) -> Iterator[str]:
    """List the durable files of a room as paths inside the spool, in the order of their names.

    What does not bear the name of a digest is none of the spool's files.
    """
    for folder in sorted((spool.root / room).iterdir()):
        names = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
        yield from (f"{room}/{folder.name}/{name}" for name in names if _NAME.fullmatch(name))


def digest_in_name(path: str) -> str:
    """Read from a file's path which digest its bytes had when they were kept."""
    return Path(path).stem


def is_intact(spool: Spool, path: str) -> bool:
    """Read the whole file and say whether its bytes still have the digest in its name; a file that is gone has."""
    try:
        return file_digest(spool.root / path) == digest_in_name(path)
    except FileNotFoundError:
        return True
    except OSError:
        # EIO: the disk itself no longer gives the bytes back.
        return False


def remove_abandoned(spool: Spool, before: datetime) -> int:
    """Remove incoming files whose writer died and that were last written before an instant; says how many.

    Nobody was told that they were kept: their senders got no answer and send again.
    """
    removed = 0
    for entry in os.scandir(spool.root / "incoming"):
        try:
            is_old = entry.is_file() and entry.stat().st_mtime < before.timestamp()
            if is_old and not _is_written(entry.path):
                Path(entry.path).unlink()
                removed += 1
        except FileNotFoundError:
            # Kept or given up since it was listed.
            continue
    if removed:
        _logger.info("%d incoming files were removed: whoever wrote them died", removed)
    return removed


def _is_written(file: str) -> bool:
    """Say whether the writer of an incoming file lives; where the file system cannot tell, it may."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def has_settled(spool: Spool, path: str, before: datetime) -> bool:
    """Say whether a file got its name before an instant; one that is gone did not."""
    try:
        return _got_its_name_before((spool.root / path).stat(), before)
    except FileNotFoundError:
        return False


def set_aside(spool: Spool, path: str, before: datetime) -> Kept | None:
    """Move an instance file into quarantine unless it got its name after `before`; None where it stays or is gone.

    The move is durable once `sync_rooms` returned.
    """
    source, target = spool.root / path, spool.root / in_room(path, QUARANTINE)
    try:
        seen = source.stat()
        if not _got_its_name_before(seen, before):
            return None
        source.rename(target)
    except OSError:
        return None
    if target.stat().st_ino != seen.st_ino:
        # The same bytes were received again between the two lines above: that file is about to be acknowledged.
        target.rename(source)
        return None
    return Kept(path=in_room(path, QUARANTINE), digest=digest_in_name(path), size=seen.st_size)


def _got_its_name_before(seen: os.stat_result, before: datetime) -> bool:
    """Compare by the inode's change time, which a rename sets; the modification time is that of the last write."""
    return seen.st_ctime <= before.timestamp()


def move(spool: Spool, path: str, room: str) -> str:
    """Move one file durably into another room and give its new path; raises NotInLedger when it is gone, SpoolFull."""
    moved = in_room(path, room)
    try:
        spool.locate(path).rename(spool.root / moved)
    except FileNotFoundError as error:
        raise NotInLedger("the file is no longer in the spool") from error
    except OSError as error:
        raise SpoolFull(f"the file could not be moved ({error.strerror})") from error
    sync_rooms(spool, (path, moved))
    return moved


def in_room(path: str, room: str) -> str:
    """Name the place of a file in another room."""
    return f"{room}/{path.partition('/')[2]}"


def sync_rooms(spool: Spool, paths: Iterable[str]) -> None:
    """Make all moves from and to these paths survive a power cut, each directory once; raises SpoolFull."""
    try:
        for folder in sorted({(spool.root / path).parent for path in paths}):
            sync_directory(folder)
    except OSError as error:
        raise SpoolFull(f"a directory could not be made durable ({error.strerror})") from error
