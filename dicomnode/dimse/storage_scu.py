"""Sending instances as they are: C-STORE as SCU (PS3.4 Annex B), one outcome per instance."""

from collections.abc import Sequence
from pathlib import Path

from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import build_context
from pynetdicom.status import code_to_category

from dicomnode.dimse.presentation import VERIFICATION
from dicomnode.dimse.sockets import send_without_delay
from dicomnode.domain.delivery import Endpoint, OutgoingInstance, StoreOutcome
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable
from dicomnode.domain.uids import AETitle

_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_NO_CONTEXT = 0x0122
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
_CONTEXTS_PER_ASSOCIATION = 128


class StorageSCU:
    """A destination reached by C-STORE."""

    def __init__(self, endpoint: Endpoint, calling_ae: AETitle, timeout_seconds: float = 30) -> None:
        self.endpoint = endpoint
        self._calling_ae = calling_ae
        self._timeout = timeout_seconds

    def store(self, instances: tuple[OutgoingInstance, ...]) -> tuple[StoreOutcome, ...]:
        """Send all instances over one association; raises DestinationUnreachable when none could be opened.

        Success and warning both mean that the peer has the instance (PS3.4 Table B.2-1). What was not answered before
        the association broke counts as not stored and retryable.
        """
        _config.STORE_SEND_CHUNKED_DATASET = True
        _config.LOG_REQUEST_IDENTIFIERS = False
        kinds = sorted({(item.sop_class_uid, item.transfer_syntax_uid) for item in instances})
        association = self._associate(kinds[:_CONTEXTS_PER_ASSOCIATION])
        try:
            return tuple(_send(association, number, item) for number, item in enumerate(instances, start=1))
        finally:
            if association.is_established:
                association.release()

    def echo(self) -> None:
        """Check the way there with C-ECHO; raises DeliveryError."""
        association = self._associate([(VERIFICATION, IMPLICIT_LITTLE_ENDIAN)])
        try:
            status = association.send_c_echo()
        finally:
            if association.is_established:
                association.release()
        if status.get("Status") != 0:
            raise DestinationRefused(f"{self.endpoint.name} did not answer C-ECHO with success")

    def _associate(self, kinds: Sequence[tuple[str, str]]) -> Association:
        """Open an association for these pairs of SOP class and transfer syntax; raises DeliveryError."""
        entity = AE(ae_title=self._calling_ae)
        entity.maximum_pdu_size = 0
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = self._timeout
        entity.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in kinds]
        where = self.endpoint
        association = entity.associate(
            where.host,
            where.port,
            ae_title=where.ae_title,
            max_pdu=0,
            evt_handlers=[(evt.EVT_CONN_OPEN, send_without_delay)],
        )
        if association.is_established:
            return association
        if association.is_rejected:
            raise DestinationUnreachable(
                f"{where.name} rejected the association ({where.ae_title} called by {self._calling_ae})"
            )
        raise DestinationUnreachable(f"{where.name} does not answer at {where.host} port {where.port}")


def _send(association: Association, number: int, item: OutgoingInstance) -> StoreOutcome:
    """Send one instance and turn the answer into an outcome."""
    if not association.is_established:
        return _outcome(item, 0, "the association ended before this instance was answered", retryable=True)
    try:
        answer = association.send_c_store(Path(item.file), msg_id=number % 0xFFFF or 1)
    except ValueError:
        return _outcome(item, _NO_CONTEXT, "the destination does not take this SOP class in this transfer syntax")
    status = answer.get("Status")
    if status is None:
        return _outcome(item, 0, "no answer", retryable=True)
    if code_to_category(status) in ("Success", "Warning"):
        return StoreOutcome(sop_instance_uid=item.sop_instance_uid, status=status, stored=True, retryable=False)
    return _outcome(item, status, str(answer.get("ErrorComment") or ""), retryable=status in _OUT_OF_RESOURCES)


def _outcome(item: OutgoingInstance, status: int, comment: str, *, retryable: bool = False) -> StoreOutcome:
    """Build the outcome of an instance the destination does not have."""
    return StoreOutcome(
        sop_instance_uid=item.sop_instance_uid, status=status, stored=False, retryable=retryable, comment=comment
    )
