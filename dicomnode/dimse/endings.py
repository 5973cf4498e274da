"""How the associations ended over which instances may have come: released, or broken off (PS3.8 section 7)."""

import threading
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from pynetdicom import evt
from pynetdicom.association import Association as PynetdicomAssociation
from pynetdicom.pdu import A_RELEASE_RP

from dicomnode.domain.association import Association
from dicomnode.domain.ports import AssociationEnds


class Endings:
    """Stands at one listener and tells once how each of its associations ended; the receive loop has no part in it."""

    def __init__(self, ends: AssociationEnds) -> None:
        self._ends = ends
        self._open: WeakKeyDictionary[PynetdicomAssociation, Association] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """What the listener has to bind."""
        return [
            (evt.EVT_PDU_SENT, self._answered),
            (evt.EVT_ABORTED, self._broken_off),
            (evt.EVT_CONN_CLOSE, self._broken_off),
        ]

    def begin(self, accepted: PynetdicomAssociation, association: Association) -> None:
        """Take note of an association that may bring instances from now on."""
        with self._lock:
            self._open[accepted] = association

    def _answered(self, event: evt.Event) -> None:
        """Tell of a release when it was answered: what pynetdicom says of it may come after the connection closed."""
        if isinstance(event.pdu, A_RELEASE_RP):
            self._end(event.assoc, is_released=True)

    def _broken_off(self, event: evt.Event) -> None:
        """Tell of an end without a release; after one, the connection closes too, and nothing is told."""
        self._end(event.assoc, is_released=False)

    def _end(self, accepted: PynetdicomAssociation, *, is_released: bool) -> None:
        with self._lock:
            association = self._open.pop(accepted, None)
        if association is not None:
            self._ends.ended(association, is_released=is_released)
