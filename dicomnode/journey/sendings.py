"""Sendings: which associations bring a study, and how they end, is noted beside reception, for its completion."""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from dicomnode.domain.association import Association
from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.domain.ports import Clock
from dicomnode.domain.study import ReceivedInstance
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.completion import Sending, note_sendings
from dicomnode.ledger.transaction import Ledger

_logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Coming:
    """How one study comes in: the serials of the associations that are open, and how those before them ended."""

    calling_ae: str
    changed_at: datetime
    open: set[int] = field(default_factory=set)
    is_released: bool = True
    is_noted: bool = False

    def change(self, sender: Association, at: datetime) -> None:
        """Note that one of its associations began or ended."""
        self.calling_ae, self.changed_at, self.is_noted = sender.calling_ae, at, False


class Sendings:
    """Follows the associations of one process (domain.ports.AssociationEnds).

    What it notes reaches the ledger with `flush`, which is to be called twice a second: a sender that opens an
    association for each image must not keep the database from what is received.
    """

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._receiver = uuid4().hex
        self._lock = threading.Lock()
        self._studies: dict[StudyInstanceUID, _Coming] = {}
        self._associations: dict[int, set[StudyInstanceUID]] = {}

    def received(self, batch: Sequence[ReceivedInstance]) -> None:
        """Take note of instances that were recorded just now; those whose association has no serial are left out."""
        with self._lock:
            for one in batch:
                brought = self._associations.get(one.association.serial)
                if brought is None or one.header.study_instance_uid not in brought:
                    self._begin(one)

    def ended(self, association: Association, *, is_released: bool) -> None:
        """Take note of how an association ended."""
        with self._lock:
            for study in self._associations.pop(association.serial, ()):
                coming = self._studies[study]
                coming.open.discard(association.serial)
                coming.is_released = coming.is_released and is_released
                coming.change(association, self._clock.now())

    def flush(self) -> None:
        """Bring what changed into the ledger; raises LedgerUnavailable, and keeps it for the next time then."""
        with self._lock:
            news = [(study, coming) for study, coming in self._studies.items() if not coming.is_noted]
            rows = [_sending(study, coming) for study, coming in news]
            for _study, coming in news:
                coming.is_noted = True
        if not rows:
            return
        try:
            with self._ledger.transaction() as tx:
                note_sendings(tx, self._receiver, rows)
        except LedgerUnavailable:
            with self._lock:
                for _study, coming in news:
                    coming.is_noted = False
            raise
        with self._lock:
            for study, coming in news:
                if coming.is_noted and not coming.open:
                    self._studies.pop(study, None)

    def close(self) -> None:
        """Bring the last notes into the ledger; without them, studies wait for their quiet time."""
        try:
            self.flush()
        except LedgerUnavailable as error:
            _logger.warning("the last ends of associations could not be recorded: %s", error.reason)

    def _begin(self, one: ReceivedInstance) -> None:
        """Note that an association has brought the first instance of a study."""
        sender, study, now = one.association, one.header.study_instance_uid, self._clock.now()
        if not sender.serial:
            return
        self._associations.setdefault(sender.serial, set()).add(study)
        coming = self._studies.setdefault(study, _Coming(calling_ae=sender.calling_ae, changed_at=now))
        coming.open.add(sender.serial)
        coming.change(sender, now)


def _sending(study: StudyInstanceUID, coming: _Coming) -> Sending:
    return Sending(
        study_instance_uid=study,
        open_associations=len(coming.open),
        calling_ae=coming.calling_ae,
        is_released=coming.is_released,
        changed_at=coming.changed_at,
    )
