"""A reception that keeps what it is given in memory, and fails where a test wants it to."""

import threading
from collections.abc import Sequence

from dicomnode.domain.association import OfferedInstance
from dicomnode.domain.errors import DicomnodeError
from dicomnode.domain.ports import InstanceSink


class Shelf:
    """Implements domain.ports.Reception; `fails` names the moment (open, write, accept) and the error."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Take everything down and fail nowhere."""
        self.batches: list[int] = []
        self.accepted: list[tuple[OfferedInstance, bytes]] = []
        self.discarded = 0
        self.is_open = threading.Event()
        """Nothing is accepted while a test has cleared it."""
        self.is_open.set()
        self.fails: dict[str, Exception] = {}
        self.fails_for: dict[str, Exception] = {}

    def open(self, offered: OfferedInstance) -> InstanceSink:
        self.fail_at("open")
        return ShelfPlace(self, offered)

    def accept(self, sinks: Sequence[InstanceSink]) -> Sequence[DicomnodeError | None]:
        self.batches.append(len(sinks))
        self.is_open.wait()
        return [outcome_of(sink) for sink in sinks]

    def fail_at(self, moment: str) -> None:
        if moment in self.fails:
            raise self.fails[moment]


def outcome_of(sink: InstanceSink) -> DicomnodeError | None:
    """Accept one instance of several; its error does not keep the others from being taken."""
    try:
        sink.accept()
    except DicomnodeError as error:
        return error
    return None


class ShelfPlace:
    """One instance on its way onto the shelf (domain.ports.InstanceSink)."""

    def __init__(self, shelf: Shelf, offered: OfferedInstance) -> None:
        self._shelf = shelf
        self._offered = offered
        self._data = bytearray()

    def write(self, *pieces: bytes | memoryview) -> None:
        self._shelf.fail_at("write")
        for piece in pieces:
            self._data += piece

    def accept(self) -> None:
        self._shelf.fail_at("accept")
        if self._offered.sop_instance_uid in self._shelf.fails_for:
            raise self._shelf.fails_for[self._offered.sop_instance_uid]
        with self._shelf.lock:
            self._shelf.accepted.append((self._offered, bytes(self._data)))

    def discard(self) -> None:
        with self._shelf.lock:
            self._shelf.discarded += 1
