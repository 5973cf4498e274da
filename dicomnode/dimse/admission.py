"""Letting associations in at a listener, or turning them away in the standard's words (PS3.8 section 9.3.4)."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import cast
from weakref import WeakSet

from pynetdicom import evt
from pynetdicom.association import Association as PynetdicomAssociation
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AssociationSocket

from dicomnode.dimse.peer_words import abortion
from dicomnode.domain.association import Association
from dicomnode.domain.door import Cause, Doorkeeper, Place, Refusal, Visitor
from dicomnode.domain.errors import DicomnodeError, InvalidValue
from dicomnode.domain.uids import AETitle

_logger = logging.getLogger(__name__)

_PERMANENT, _TRANSIENT = 0x01, 0x02
_SERVICE_USER, _PRESENTATION = 0x01, 0x03
_CALLING_NOT_RECOGNIZED = (_PERMANENT, _SERVICE_USER, 0x03)
_REJECTIONS: Mapping[Cause, tuple[int, int, int]] = {
    Cause.CALLED_AE: (_PERMANENT, _SERVICE_USER, 0x07),
    Cause.CONGESTION: (_TRANSIENT, _PRESENTATION, 0x01),
    Cause.LIMIT: (_TRANSIENT, _PRESENTATION, 0x02),
}
"""Result, source and reason of PS3.8 Table 9-21; whoever comes for another cause is not recognized."""
_SERVICE_PROVIDER = 0x02
_GRACE_SECONDS = 5.0
_LONGEST_TITLE = 16
_MOST_WAITING = 256
"""So many connections of a listener may be open on which nobody has said yet who is there: each costs two threads."""


class Admission:
    """Stands at one listener, and asks the doorkeeper about everybody who comes."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper
        self._places: dict[PynetdicomAssociation, Place] = {}
        self._waiting: dict[PynetdicomAssociation, float] = {}
        """Connections without a request yet, and when each was opened."""
        self._ended: WeakSet[PynetdicomAssociation] = WeakSet()
        self._lock = threading.Lock()

    @property
    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """What the listener has to bind."""
        return [
            (evt.EVT_CONN_OPEN, self._begin),
            (evt.EVT_REQUESTED, self._admit),
            (evt.EVT_PDU_RECV, self._listen),
            (evt.EVT_PDU_SENT, self._give_up),
            (evt.EVT_CONN_CLOSE, self._end),
        ]

    def _begin(self, event: evt.Event) -> None:
        """Note when a connection was opened, and leave its end to ARTIM alone; one of too many ends at once.

        pynetdicom 3.0.4 lets a second timer of the same length run beside it, in the association's own thread;
        whichever is first ends the connection, and the second one ends it without an event.
        """
        asked = event.assoc
        if asked.acse_timeout is not None:
            asked._acse_timeout = asked.acse_timeout + _GRACE_SECONDS
        with self._lock:
            is_one_too_many = len(self._waiting) >= _MOST_WAITING
            if not is_one_too_many:
                self._waiting[asked] = time.monotonic()
        if is_one_too_many:
            said = f"on {_MOST_WAITING} connections nobody has asked for an association yet"
            self._note(asked, Refusal(cause=Cause.LIMIT, said=said))
            cast(AssociationSocket, asked.dul.socket).close()

    def _admit(self, event: evt.Event) -> None:
        """Take a place for who may come in, and answer everybody else at once."""
        asked = event.assoc
        self._free_forgotten()
        with self._lock:
            self._waiting.pop(asked, None)
        answer = self._ask(asked)
        if not isinstance(answer, Refusal):
            self._keep(asked, answer)
            return
        self._note(asked, answer)
        asked.acse.send_reject(*_REJECTIONS.get(answer.cause, _CALLING_NOT_RECOGNIZED))
        asked.kill()

    def _keep(self, asked: PynetdicomAssociation, place: Place) -> None:
        """Hold a place until its connection ends; it may have ended in the meantime."""
        with self._lock:
            has_ended = asked in self._ended
            if not has_ended:
                self._places[asked] = place
        if has_ended:
            place.free()

    def _ask(self, asked: PynetdicomAssociation) -> Place | Refusal:
        """Ask the doorkeeper; titles that the standard does not allow belong to nobody."""
        try:
            association = association_of(asked)
        except InvalidValue as error:
            is_called = not _is_title(_request(asked).called_ae_title)
            return Refusal(cause=Cause.CALLED_AE if is_called else Cause.CALLING_AE, said=error.reason)
        return self._doorkeeper.admit(association)

    def _listen(self, event: evt.Event) -> None:
        """Take note of a peer's abort, in its own words."""
        if isinstance(event.pdu, A_ABORT_RQ):
            said = f"the peer aborted: {abortion(event.pdu.source, event.pdu.reason_diagnostic)}"
            self._note(event.assoc, Refusal(cause=Cause.ABORT, said=said))

    def _give_up(self, event: evt.Event) -> None:
        """Take note of an abort by this side, and of what the peer did to deserve it."""
        if not isinstance(event.pdu, A_ABORT_RQ):
            return
        asked = event.assoc
        if asked.requestor.primitive is None:
            self._note(asked, Refusal(cause=Cause.PROTOCOL, said="what it sent is no association request"))
        elif event.pdu.source == _SERVICE_PROVIDER:
            self._note(asked, Refusal(cause=Cause.PROTOCOL, said="within its association, it sent what is no message"))
        elif asked.dul.idle_timer_expired():
            said = f"within its association, it said nothing for {asked.network_timeout:g} s"
            self._note(asked, Refusal(cause=Cause.SILENCE, said=said))

    def _end(self, event: evt.Event) -> None:
        """Give the place of a connection back; of one that never asked for an association, let go of its thread."""
        asked = event.assoc
        with self._lock:
            place = self._places.pop(asked, None)
            opened_at = self._waiting.pop(asked, None)
            self._ended.add(asked)
        if place is not None:
            place.free()
        if asked.requestor.primitive is None:
            self._note_silence(asked, opened_at)
            # pynetdicom's thread would wait out its own timer for a request that can no longer come.
            asked.dul.to_user_queue.put(None)

    def _note_silence(self, asked: PynetdicomAssociation, opened_at: float | None) -> None:
        """Take note of a peer that connected and let the timer run out (ARTIM, PS3.8 section 9.1.5)."""
        seconds = asked.dul.artim_timer.timeout
        if seconds is not None and opened_at is not None and time.monotonic() - opened_at >= seconds:
            said = f"it connected and sent no association request within {seconds:g} s"
            self._note(asked, Refusal(cause=Cause.SILENCE, said=said))

    def _free_forgotten(self) -> None:
        """Give back the places of associations whose thread ended without closing its connection in good order."""
        with self._lock:
            gone = [asked for asked in self._places if _is_over(asked)]
            forgotten = [self._places.pop(asked) for asked in gone]
            self._waiting = {asked: at for asked, at in self._waiting.items() if not _is_over(asked)}
        for place in forgotten:
            place.free()

    def turn_away(self, visitor: Visitor, refusal: Refusal) -> None:
        """Let the doorkeeper remember somebody; one that cannot changes nothing of what happened."""
        _logger.warning("association refused or ended: %s", refusal.said)
        try:
            self._doorkeeper.turned_away(visitor, refusal)
        except DicomnodeError as error:
            _logger.warning("a refusal could not be recorded: %s", error.reason)

    def _note(self, asked: PynetdicomAssociation, refusal: Refusal) -> None:
        self.turn_away(_visitor(asked), refusal)


def association_of(asked: PynetdicomAssociation) -> Association:
    """Read who is at the other end; raises InvalidValue for titles the standard does not allow."""
    request = _request(asked)
    return Association(
        calling_ae=AETitle(request.calling_ae_title or ""),
        called_ae=AETitle(request.called_ae_title or ""),
        peer_address=str(asked.requestor.address),
    )


def _is_over(asked: PynetdicomAssociation) -> bool:
    """Whether an association's thread has run and ended."""
    return asked.ident is not None and not asked.is_alive()


def _request(asked: PynetdicomAssociation) -> A_ASSOCIATE:
    return cast(A_ASSOCIATE, asked.requestor.primitive)


def _visitor(asked: PynetdicomAssociation) -> Visitor:
    """Describe who is at the other end as far as it has said."""
    request = asked.requestor.primitive
    if request is None:
        return Visitor(peer_address=str(asked.requestor.address))
    return Visitor(
        peer_address=str(asked.requestor.address),
        calling_ae=_shown(request.calling_ae_title),
        called_ae=_shown(request.called_ae_title),
    )


def _shown(title: str | None) -> str:
    """Show a title of any bytes with those characters that a title can have."""
    plain = (title or "").strip().encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in plain)[:_LONGEST_TITLE]


def _is_title(text: str | None) -> bool:
    try:
        AETitle(text or "")
    except InvalidValue:
        return False
    return True
