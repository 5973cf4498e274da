"""Opening associations to peers; why one did not open, or ended, is said in the peer's own words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ssl import SSLContext

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext

from dicomnode.dimse.peer_words import abortion, rejection
from dicomnode.dimse.reactor import steady
from dicomnode.dimse.sockets import SOCKET_HANDLERS, SendingEntity
from dicomnode.dimse.tls import calling_context
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DeliveryError, DestinationRefused, DestinationUnreachable, InvalidSettings
from dicomnode.domain.uids import AETitle

_ACCEPTED, _REJECTED_PERMANENT = 0x00, 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What to ask a peer for: as whom, with which contexts and roles, and how long to wait for each answer."""

    calling_ae: AETitle
    timeout_seconds: float
    contexts: Sequence[PresentationContext]
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = ()


@dataclass(slots=True)
class Farewell:
    """What a peer said when it aborted an association; empty as long as it did not."""

    said: str = field(default="", init=False)

    def listen(self, event: evt.Event) -> None:
        """Take note of an A-ABORT (handler of EVT_PDU_RECV)."""
        if isinstance(event.pdu, A_ABORT_RQ):
            self.said = abortion(event.pdu.source, event.pdu.reason_diagnostic)


@dataclass(slots=True)
class _Handshake:
    """What a peer said against TLS; empty as long as it did not."""

    failure: str = field(default="", init=False)

    def arguments(self, where: Endpoint) -> tuple[SSLContext, str] | None:
        """Prepare TLS in pynetdicom's terms, where the peer is to be reached so; raises DestinationUnreachable."""
        if where.tls is None:
            return None
        try:
            return calling_context(where.tls, self._note), where.host
        except InvalidSettings as error:
            raise DestinationUnreachable(f"{where.name}: TLS cannot begin: {error.reason}") from error

    def _note(self, failure: str) -> None:
        self.failure = self.failure or failure


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAssociation:
    """An association that a peer accepted, with at least one context."""

    association: Association
    farewell: Farewell

    def release(self) -> None:
        """End it in good order unless it ended already."""
        if self.association.is_established:
            self.association.release()


def request_association(where: Endpoint, proposal: Proposal) -> OpenAssociation | None:
    """Open an association; None when the peer lets this node in but takes nothing of what it offers.

    Raises DestinationRefused where the peer says that it will never let this node in, and DestinationUnreachable where
    it says nothing, or that another time it may.
    """
    entity = SendingEntity(ae_title=proposal.calling_ae)
    entity.maximum_pdu_size = 0
    entity.connection_timeout = entity.acse_timeout = proposal.timeout_seconds
    entity.dimse_timeout = entity.network_timeout = proposal.timeout_seconds
    entity.requested_contexts = list(proposal.contexts)
    farewell, handshake = Farewell(), _Handshake()
    try:
        association = entity.associate(
            where.host,
            where.port,
            ae_title=where.ae_title,
            max_pdu=0,
            ext_neg=list(proposal.roles),
            evt_handlers=[*SOCKET_HANDLERS, (evt.EVT_PDU_RECV, farewell.listen)],
            tls_args=handshake.arguments(where),
        )
    except OSError as error:
        raise DestinationUnreachable(f"{where.name}: no address of {where.host} ({error.strerror})") from error
    if association.is_established:
        return OpenAssociation(association=steady(association), farewell=farewell)
    answer = _answer(association)
    if answer is not None and answer.result != _ACCEPTED:
        raise _rejected(answer, f"{where.name} did not let {proposal.calling_ae} in")
    if association.rejected_contexts:
        return None
    if farewell.said:
        raise DestinationUnreachable(f"{where.name} aborted the association, {farewell.said}")
    if handshake.failure:
        raise DestinationUnreachable(f"{where.name}: no connection under TLS: {handshake.failure}")
    raise DestinationUnreachable(f"{where.name} does not answer at {where.host} port {where.port}")


def _answer(association: Association) -> A_ASSOCIATE | None:
    """Find what the peer said to the request; None when it said nothing.

    pynetdicom 3.0.4 may see the connection end before it looks for a rejection that came at once, and leave it unread.
    """
    said = association.acceptor.primitive or association.dul.peek_next_pdu()
    return said if isinstance(said, A_ASSOCIATE) else None


def _rejected(answer: A_ASSOCIATE, what: str) -> DeliveryError:
    """Tell a rejection for good from one that may pass (PS3.8 section 9.3.4)."""
    text = f"{what}: {rejection(answer.result, answer.result_source, answer.diagnostic)}"
    return DestinationRefused(text) if answer.result == _REJECTED_PERMANENT else DestinationUnreachable(text)
