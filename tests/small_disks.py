"""Real disks that are small enough to be filled: a tmpfs of a test's own, with ballast to take its room away."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A mounted file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    @contextmanager
    def filled(self, leaving: int = 0) -> Iterator[None]:
        """Take all room but so many bytes."""
        ballast = self.folder / "ballast"
        with ballast.open("wb", buffering=0) as file:
            while (rest := self.free - leaving) > 0:
                file.write(b"\0" * min(rest, 1 << 16))
        try:
            yield
        finally:
            ballast.unlink()

    @contextmanager
    def without_inodes(self) -> Iterator[None]:
        """Let no further file be made, while there is room for bytes."""
        folder = self.folder / "many"
        folder.mkdir()
        for number in range(os.statvfs(self.folder).f_ffree):
            (folder / str(number)).touch()
        try:
            yield
        finally:
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()


@contextmanager
def small_disk(folder: Path, *, mebibytes: int, inodes: int) -> Iterator[SmallDisk]:
    """Mount one; skips the test where this process may not mount."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder.mkdir()
    options = f"size={mebibytes}m,nr_inodes={inodes}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this container may not mount a small disk")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
