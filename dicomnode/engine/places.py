"""Places that are counted over all processes of a host, and that the kernel frees when their holder dies.

A place is a file that its holder has locked. Nothing is written and nothing has to be cleaned up: after a crash the
files lie there, and none is locked.
"""

import fcntl
import os
from pathlib import Path
from urllib.parse import quote


class Place:
    """One place that was taken; it is held until it is freed, or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def free(self) -> None:
        """Give it back; safe to call again."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Places:
    """Groups of places in a folder that all processes which share a limit share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next: dict[str, int] = {}

    def take(self, group: str, limit: int) -> Place | None:
        """Take one of so many places of a group; None when all are taken. Raises OSError of the folder's disk."""
        folder = self._folder / f"of {quote(group, safe='')}"
        folder.mkdir(parents=True, exist_ok=True)
        # Begun behind the place taken last, since that one and those before it are the likeliest to be taken.
        begin = self._next.get(group, 0)
        for number in range(begin, begin + limit):
            descriptor = _lock(folder / str(number % limit))
            if descriptor is not None:
                self._next[group] = number % limit + 1
                return Place(descriptor)
        return None


def _lock(file: Path) -> int | None:
    """Lock a file and give its descriptor; None when somebody has it."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
