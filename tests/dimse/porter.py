"""A doorkeeper that decides by a door, counts in memory, and remembers whom it turned away."""

import threading
from collections.abc import Callable

from dicomnode.dimse.storage_scp import Listening
from dicomnode.domain.association import Association
from dicomnode.domain.door import Cause, Door, Place, Refusal, Visitor
from dicomnode.domain.uids import AETitle


class Porter:
    """Implements domain.door.Doorkeeper; `fails` is raised when somebody is to be remembered."""

    def __init__(self, door: Door, maximum_associations: int = 64) -> None:
        self._door = door
        self._maximum = maximum_associations
        self._lock = threading.Lock()
        self.inside: list[Association] = []
        self.congestion: Callable[[], str | None] = lambda: None
        self.clear()

    def clear(self) -> None:
        """Forget who came, but for those who are inside."""
        self.away: list[tuple[Visitor, Refusal]] = []
        self.echoes: list[Association] = []
        self.fails: Exception | None = None
        self.left = 0

    def admit(self, association: Association) -> Place | Refusal:
        refusal = self._door.refusal(association)
        if refusal is not None:
            return refusal
        said = self.congestion()
        if said is not None:
            return Refusal(cause=Cause.CONGESTION, said=said)
        with self._lock:
            if len(self.inside) >= self._maximum:
                return Refusal(cause=Cause.LIMIT, said=f"{self._maximum} associations are open")
            self.inside.append(association)
        return Seat(self, association)

    def leave(self, association: Association) -> None:
        with self._lock:
            self.inside.remove(association)
            self.left += 1

    def turned_away(self, visitor: Visitor, refusal: Refusal) -> None:
        self.away.append((visitor, refusal))
        if self.fails is not None:
            raise self.fails

    def heard(self, association: Association) -> None:
        self.echoes.append(association)


class Seat:
    """One association's place (domain.door.Place)."""

    def __init__(self, porter: Porter, association: Association) -> None:
        self._porter = porter
        self._association: Association | None = association

    def free(self) -> None:
        association, self._association = self._association, None
        if association is not None:
            self._porter.leave(association)


def open_door(called_ae: str = "NODE") -> Porter:
    """A doorkeeper that lets everyone in who knows the title."""
    return Porter(Door(called_ae=(AETitle(called_ae),)))


def listening_at(called_ae: str = "NODE", port: int = 0) -> Listening:
    """How a listener on loopback waits for everyone who knows its title."""
    return Listening(host="127.0.0.1", port=port, ae_title=AETitle(called_ae), doorkeeper=open_door(called_ae))
