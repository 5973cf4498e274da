"""How much room is left on the spool's disk."""

import shutil
from pathlib import Path

from dicomnode.domain.capacity import DiskLevel, DiskState, Watermark

_GIB = 2**30


class SpoolSpace:
    """Watches the disk of the spool (domain.capacity.Capacity): below `warn` it is low, below `refuse` it is full."""

    def __init__(self, folder: Path, warn: Watermark, refuse: Watermark) -> None:
        self._folder = folder
        self._warn = warn
        self._refuse = refuse

    def state(self) -> DiskState:
        """Look at the disk; what only root may use does not count as free, and a disk that is gone has no room."""
        try:
            usage = shutil.disk_usage(self._folder)
        except OSError:
            return DiskState(level=DiskLevel.FULL, free=0, total=0)
        level = DiskLevel.OK
        if usage.free < self._refuse.free_bytes(usage.total):
            level = DiskLevel.FULL
        elif usage.free < self._warn.free_bytes(usage.total):
            level = DiskLevel.LOW
        return DiskState(level=level, free=usage.free, total=usage.total)

    def congestion(self) -> str | None:
        """Say why no new instance can be taken for now; None when it can."""
        state = self.state()
        if state.level is not DiskLevel.FULL:
            return None
        return f"only {state.free / _GIB:.2f} GiB are free on the spool's disk"
