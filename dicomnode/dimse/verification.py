"""C-ECHO, both ways (PS3.4 Annex A, PS3.7 section 9.1.5)."""

from collections.abc import Sequence

from pynetdicom import evt
from pynetdicom.presentation import build_context

from dicomnode.dimse.admission import association_of
from dicomnode.dimse.presentation import VERIFICATION
from dicomnode.dimse.requesting import Proposal, request_association
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.door import Doorkeeper
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable
from dicomnode.domain.uids import AETitle

_SUCCESS = 0x0000


class VerificationSCP:
    """Answers C-ECHO, and lets the doorkeeper know who asked."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper

    @property
    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """C-ECHO."""
        return [(evt.EVT_C_ECHO, self._answer)]

    def _answer(self, event: evt.Event) -> int:
        self._doorkeeper.heard(association_of(event.assoc))
        return _SUCCESS


class VerificationSCU:
    """Asks peers whether they are there (domain.peer.Verification)."""

    def __init__(self, calling_ae: AETitle, timeout_seconds: float = 10) -> None:
        self._calling_ae = calling_ae
        self._timeout = timeout_seconds

    def echo(self, peer: Endpoint) -> None:
        """Send one C-ECHO over an association of its own; raises DeliveryError unless the answer is success."""
        proposal = Proposal(
            calling_ae=self._calling_ae, timeout_seconds=self._timeout, contexts=[build_context(VERIFICATION)]
        )
        opened = request_association(peer, proposal)
        if opened is None:
            raise DestinationRefused(f"{peer.name} lets {self._calling_ae} in, but does not take C-ECHO")
        try:
            status = opened.association.send_c_echo().get("Status")
        finally:
            opened.release()
        if status is None:
            said = f": it aborted, {opened.farewell.said}" if opened.farewell.said else ""
            raise DestinationUnreachable(f"{peer.name} did not answer C-ECHO{said}")
        if status != _SUCCESS:
            raise DestinationRefused(f"{peer.name} answered C-ECHO with status 0x{status:04X}")
