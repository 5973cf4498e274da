"""What a lower room asks of a higher one; `node` hands in the implementation."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from dicomnode.domain.association import Association, OfferedInstance
from dicomnode.domain.errors import DicomnodeError


class Clock(Protocol):
    """Tells the time; injected so that tests and replays decide what time it is."""

    def now(self) -> datetime:
        """Give the present instant, aware, in UTC."""
        ...


class InstanceSink(Protocol):
    """Takes one instance's data set as it arrives; nothing is promised before `accept` returns."""

    def write(self, *pieces: bytes | memoryview) -> None:
        """Append the next bytes of the encoded data set, valid only during the call; raises SpoolFull."""
        ...

    def accept(self) -> None:
        """Make the instance durable and record it: file synced, renamed, row committed (raises ReceptionError)."""
        ...

    def discard(self) -> None:
        """Forget the bytes: the sender gave up, or said no more; safe to call at any time."""
        ...


class Reception(Protocol):
    """Where a listener (DIMSE or DICOMweb) hands over what it is offered."""

    def open(self, offered: OfferedInstance) -> InstanceSink:
        """Begin to take one instance; raises ReceptionError when it cannot be taken at all."""
        ...

    def accept(self, sinks: Sequence[InstanceSink]) -> Sequence[DicomnodeError | None]:
        """Make several of this reception's own instances durable and record them, for little more than one costs.

        Gives for each, in order, None when its sender may be told success, or else why not: as `InstanceSink.accept`.
        """
        ...


class AssociationEnds(Protocol):
    """Hears how each association ends over which instances may have come; a request of STOW-RS counts as one."""

    def ended(self, association: Association, *, is_released: bool) -> None:
        """Take note of an end: in good order, or broken off. Returns at once and raises nothing."""
        ...
