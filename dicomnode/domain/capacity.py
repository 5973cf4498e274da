"""How much room a disk has left, and from where on that is a reason to warn or to refuse."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class DiskLevel(StrEnum):
    """How a disk stands; the words an operator reads."""

    OK = "ok"
    LOW = "low"
    """A person should make room; everything still works."""
    FULL = "full"
    """No new instance is taken, so that what is here can still be derived and delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """A mark on a disk of any size: so many percent or so many bytes free, whichever is less."""

    percent: float
    size: float

    def free_bytes(self, total: int) -> float:
        """Say where the mark lies on a disk of so many bytes."""
        return min(total * self.percent / 100, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskState:
    """A disk at one moment: its level, and its free and total bytes."""

    level: DiskLevel
    free: int
    total: int


class Capacity(Protocol):
    """Tells whether there is room for more instances."""

    def state(self) -> DiskState:
        """Look at the disk."""
        ...

    def congestion(self) -> str | None:
        """Say why no new instance can be taken for now; None when it can."""
        ...
