"""A reception that keeps what it is given in memory, and fails where a test wants it to."""

import threading

from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.ports import InstanceSink


class Shelf:
    """Implements domain.ports.Reception; `fails` names the moment (open, write, accept) and the error."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Take everything down and fail nowhere."""
        self.accepted: list[tuple[OfferedInstance, bytes]] = []
        self.discarded = 0
        self.refusals: list[tuple[Association, str]] = []
        self.fails: dict[str, Exception] = {}

    def open(self, offered: OfferedInstance) -> InstanceSink:
        self.fail_at("open")
        return ShelfPlace(self, offered)

    def refused(self, association: Association, reason: str) -> None:
        self.refusals.append((association, reason))
        self.fail_at("refused")

    def fail_at(self, moment: str) -> None:
        if moment in self.fails:
            raise self.fails[moment]


class ShelfPlace:
    """One instance on its way onto the shelf (domain.ports.InstanceSink)."""

    def __init__(self, shelf: Shelf, offered: OfferedInstance) -> None:
        self._shelf = shelf
        self._offered = offered
        self._data = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self._shelf.fail_at("write")
        self._data += data

    def accept(self) -> None:
        self._shelf.fail_at("accept")
        with self._shelf.lock:
            self._shelf.accepted.append((self._offered, bytes(self._data)))

    def discard(self) -> None:
        with self._shelf.lock:
            self._shelf.discarded += 1
