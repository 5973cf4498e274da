"""The audit trail: what is written, what is looked up, and how the lines reach a file and a repository."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from dicomnode.domain.account import Visitor
from dicomnode.domain.audit import AuditAction, AuditEvent, AuditOutcome
from dicomnode.domain.errors import DicomnodeError
from dicomnode.domain.ports import Clock
from dicomnode.journey.audit_message import AuditSource, audit_message
from dicomnode.ledger.audit import (
    AuditOutlet,
    AuditQuery,
    AuditRecord,
    last_settings,
    list_audit,
    note_told,
    patient_of,
    record_audit,
    untold,
)
from dicomnode.ledger.transaction import Ledger

_logger = logging.getLogger(__name__)

ONE_VIEWING = timedelta(minutes=15)
"""What one visitor sees of one study within so long is one line: a viewing asks for hundreds of images."""
_MOST_VIEWINGS = 10_000
_AT_A_TIME = 100
_Key = tuple[str, ...]

CAME_FROM: ContextVar[str] = ContextVar("dicomnode_came_from", default="")
"""The address of the request that is being answered, for who writes a line far from it; empty at a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What somebody did, without who and when."""

    action: AuditAction
    kind: str = ""
    study_instance_uid: str = ""
    object: str = ""
    outcome: AuditOutcome = AuditOutcome.SUCCESS


class AuditTrail:
    """Writes lines, and looks them up; safe to use from several threads."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._viewings: OrderedDict[_Key, datetime] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, visitor: Visitor, deed: Deed, address: str, detail: dict[str, object] | None = None) -> None:
        """Write down what a visitor did."""
        event = AuditEvent(
            at=self._clock.now(),
            who=visitor.name or "(nobody)",
            action=deed.action,
            kind=deed.kind,
            study_instance_uid=deed.study_instance_uid,
            object=deed.object,
            outcome=deed.outcome,
            address=address,
            detail=detail or {},
        )
        with self._ledger.transaction() as tx:
            record_audit(tx, event)

    def look(self, visitor: Visitor, deed: Deed, address: str) -> None:
        """Write down what a visitor saw, once for each viewing.

        Which viewings are under way is known to this process alone: another one, or the next, writes one line more.
        """
        came_by = visitor.session or visitor.token or f"{visitor.name} {address}"
        key = (came_by, deed.action, deed.study_instance_uid or deed.object, str(deed.outcome), deed.kind)
        if not self._is_new(key):
            return
        try:
            self.note(visitor, deed, address)
        except DicomnodeError:
            # What was not written down is not under way: the next look is tried again.
            with self._lock:
                self._viewings.pop(key, None)
            raise

    def _is_new(self, key: _Key) -> bool:
        now = self._clock.now()
        with self._lock:
            began = self._viewings.get(key)
            if began is not None and now - began < ONE_VIEWING:
                return False
            self._viewings[key] = now
            self._viewings.move_to_end(key)
            if len(self._viewings) > _MOST_VIEWINGS:
                self._viewings.popitem(last=False)
        return True

    def lines(self, query: AuditQuery, *, limit: int | None = None, offset: int = 0) -> tuple[AuditRecord, ...]:
        """List lines, the latest first."""
        with self._ledger.transaction() as tx:
            return list_audit(tx, query, limit=limit, offset=offset)

    def process(self, action: AuditAction, who: str, detail: dict[str, object] | None = None) -> None:
        """Write down that a process of the node started or stops."""
        with self._ledger.transaction() as tx:
            record_audit(tx, AuditEvent(at=self._clock.now(), who=who, action=action, detail=detail or {}))

    def settings_are(self, digest: str, who: str) -> None:
        """Write down that the node starts with other settings than before; at its first start there is no before."""
        with self._ledger.transaction() as tx:
            if last_settings(tx) != digest:
                record_audit(tx, AuditEvent(at=self._clock.now(), who=who, action=AuditAction.SETTINGS, object=digest))


class AuditChannel(Protocol):
    """Takes audit messages; raises OSError when it cannot, and is then given the same message again."""

    def put(self, message: bytes, record: AuditRecord) -> None:
        """Take one message (PS3.15 A.5.1, XML in UTF-8)."""
        ...


class AuditDispatch:
    """Brings the lines to their channels: rows come first, and a channel that fails is told again later."""

    def __init__(
        self, ledger: Ledger, clock: Clock, source: AuditSource, channels: dict[AuditOutlet, AuditChannel]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._source = source
        self._channels = channels
        self._failing: set[AuditOutlet] = set()

    def step(self) -> None:
        """Tell every channel what it was not told yet."""
        for outlet, channel in self._channels.items():
            while self._tell(outlet, channel):
                pass

    def _tell(self, outlet: AuditOutlet, channel: AuditChannel) -> bool:
        """Tell a channel the oldest lines; says whether there may be more that it takes."""
        with self._ledger.transaction() as tx:
            records = untold(tx, outlet, _AT_A_TIME)
            messages = [audit_message(one, self._source, lambda uid: patient_of(tx, uid)) for one in records]
            told = self._put(outlet, channel, records, messages)
            if told:
                note_told(tx, outlet, told, self._clock.now())
        return len(told) == _AT_A_TIME

    def _put(
        self, outlet: AuditOutlet, channel: AuditChannel, records: Sequence[AuditRecord], messages: Sequence[bytes]
    ) -> list[int]:
        told: list[int] = []
        for record, message in zip(records, messages, strict=True):
            try:
                channel.put(message, record)
            except OSError as error:
                if outlet not in self._failing:
                    self._failing.add(outlet)
                    _logger.warning("audit messages wait: the %s does not take them (%s)", outlet, error)
                return told
            told.append(record.id)
        if told and outlet in self._failing:
            self._failing.discard(outlet)
            _logger.warning("the %s takes audit messages again", outlet)
        return told
