"""Sending instances as they are: C-STORE as SCU (PS3.4 Annex B), one outcome per instance."""

from collections.abc import Sequence
from pathlib import Path

from pynetdicom import _config
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context
from pynetdicom.status import code_to_category

from dicomnode.dimse.presentation import VERIFICATION
from dicomnode.dimse.reactor import steady
from dicomnode.dimse.sockets import SOCKET_HANDLERS, SendingEntity
from dicomnode.domain.delivery import Endpoint, OutgoingInstance, StoreOutcome
from dicomnode.domain.errors import DeliveryError, DestinationRefused, DestinationUnreachable
from dicomnode.domain.uids import AETitle

_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_NO_CONTEXT = 0x0122
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_CONTEXTS_PER_ASSOCIATION = 128
_ACCEPTED, _REJECTED_PERMANENT = 0x00, 0x01


class StorageSCU:
    """A destination reached by C-STORE."""

    def __init__(self, endpoint: Endpoint, calling_ae: AETitle, timeout_seconds: float = 30) -> None:
        self.endpoint = endpoint
        self._calling_ae = calling_ae
        self._timeout = timeout_seconds

    def store(self, instances: tuple[OutgoingInstance, ...]) -> tuple[StoreOutcome, ...]:
        """Send all instances, over one association where their kinds fit into it; raises DeliveryError when none opens.

        Success and warning both mean that the peer has the instance (PS3.4 Table B.2-1). What was not answered before
        the association broke counts as not stored and retryable.
        """
        _config.STORE_SEND_CHUNKED_DATASET = True
        _config.LOG_REQUEST_IDENTIFIERS = False
        kinds = sorted({_kind(item) for item in instances})
        outcomes: list[StoreOutcome] = []
        for first in range(0, len(kinds), _CONTEXTS_PER_ASSOCIATION):
            some = kinds[first : first + _CONTEXTS_PER_ASSOCIATION]
            outcomes += self._store_kinds([item for item in instances if _kind(item) in some], some)
        return tuple(outcomes)

    def echo(self) -> None:
        """Check the way there with C-ECHO; raises DeliveryError."""
        association = self._associate([(VERIFICATION, IMPLICIT_LITTLE_ENDIAN)])
        if association is None:
            raise DestinationRefused(f"{self.endpoint.name} does not take C-ECHO")
        try:
            status = association.send_c_echo().get("Status")
        finally:
            _release(association)
        if status is None:
            raise DestinationUnreachable(f"{self.endpoint.name} did not answer C-ECHO")
        if status != 0:
            raise DestinationRefused(f"{self.endpoint.name} did not answer C-ECHO with success")

    def _store_kinds(
        self, instances: Sequence[OutgoingInstance], kinds: Sequence[tuple[str, str]]
    ) -> list[StoreOutcome]:
        """Send instances of at most as many kinds as one association can have contexts."""
        association = self._associate(kinds)
        if association is None:
            return [_not_taken(item) for item in instances]
        try:
            return [_send(association, number, item) for number, item in enumerate(instances, start=1)]
        finally:
            _release(association)

    def _associate(self, kinds: Sequence[tuple[str, str]]) -> Association | None:
        """Open an association for these pairs of SOP class and transfer syntax; raises DeliveryError.

        None when the destination lets this node in but takes nothing of what it offers.
        """
        entity = SendingEntity(ae_title=self._calling_ae)
        entity.maximum_pdu_size = 0
        entity.connection_timeout = entity.acse_timeout = self._timeout
        entity.dimse_timeout = entity.network_timeout = self._timeout
        entity.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in kinds]
        where = self.endpoint
        try:
            association = entity.associate(
                where.host, where.port, ae_title=where.ae_title, max_pdu=0, evt_handlers=list(SOCKET_HANDLERS)
            )
        except OSError as error:
            raise DestinationUnreachable(f"{where.name}: no address of {where.host} ({error.strerror})") from error
        if association.is_established:
            return steady(association)
        answer = _answer(association)
        if answer is not None and answer.result != _ACCEPTED:
            raise _rejection(answer, f"{where.name} rejected the association of {self._calling_ae}")
        if association.rejected_contexts:
            return None
        raise DestinationUnreachable(f"{where.name} does not answer at {where.host} port {where.port}")


def _kind(item: OutgoingInstance) -> tuple[str, str]:
    """What an instance needs a presentation context for: its SOP class in its transfer syntax."""
    return item.sop_class_uid, item.transfer_syntax_uid


def _answer(association: Association) -> A_ASSOCIATE | None:
    """Find what the peer said to the request; None when it said nothing.

    pynetdicom 3.0.4 may see the connection end before it looks for a rejection that came at once, and leave it unread.
    """
    said = association.acceptor.primitive or association.dul.peek_next_pdu()
    return said if isinstance(said, A_ASSOCIATE) else None


def _rejection(answer: A_ASSOCIATE, said: str) -> DeliveryError:
    """Tell a rejection for good from one that may pass, with the peer's reason (PS3.8 section 9.3.4)."""
    text = f"{said}: {answer.reason_str}"
    return DestinationRefused(text) if answer.result == _REJECTED_PERMANENT else DestinationUnreachable(text)


def _release(association: Association) -> None:
    """End the association in good order unless it ended already."""
    if association.is_established:
        association.release()


def _send(association: Association, number: int, item: OutgoingInstance) -> StoreOutcome:
    """Send one instance and turn the answer into an outcome."""
    if not association.is_established:
        return _outcome(item, 0, "the association ended before this instance was answered", retryable=True)
    try:
        answer = association.send_c_store(Path(item.file), msg_id=number % 0xFFFF or 1)
    except ValueError:
        return _not_taken(item)
    status = answer.get("Status")
    if status is None:
        # The next instance would only wait in vain as long again.
        association.abort()
        return _outcome(item, 0, "no answer", retryable=True)
    if code_to_category(status) in ("Success", "Warning"):
        return StoreOutcome(sop_instance_uid=item.sop_instance_uid, status=status, stored=True, retryable=False)
    return _outcome(item, status, str(answer.get("ErrorComment") or ""), retryable=status in _OUT_OF_RESOURCES)


def _not_taken(item: OutgoingInstance) -> StoreOutcome:
    """Build the outcome of an instance that the peer accepted no presentation context for."""
    return _outcome(item, _NO_CONTEXT, "the destination does not take this SOP class in this transfer syntax")


def _outcome(item: OutgoingInstance, status: int, comment: str, *, retryable: bool = False) -> StoreOutcome:
    """Build the outcome of an instance the destination does not have."""
    return StoreOutcome(
        sop_instance_uid=item.sop_instance_uid, status=status, stored=False, retryable=retryable, comment=comment
    )
