"""Storage commitment as SCP, push model: takes requests by N-ACTION and reports by N-EVENT-REPORT (PS3.4 Annex J)."""

import logging
from collections.abc import Iterable, Sequence
from typing import cast

from pydicom.dataset import Dataset
from pynetdicom import build_role, evt
from pynetdicom.dimse_primitives import N_ACTION
from pynetdicom.presentation import PresentationContext, build_context

from dicomnode.dimse.requesting import OpenAssociation, Proposal, request_association
from dicomnode.dimse.services import (
    NO_SUCH_INSTANCE,
    SUCCESS,
    items,
    plain_context,
    readable,
    refusal,
    requestor_of,
)
from dicomnode.domain.commitment import (
    CommitmentReport,
    CommitmentRequest,
    CommitmentRequests,
    InstanceReference,
    TransactionUID,
)
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable, DicomnodeError, InvalidValue
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID

_logger = logging.getLogger(__name__)

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST_COMMITMENT = 1
_ALL_COMMITTED, _FAILURES_EXIST = 1, 2
_INVALID_ARGUMENT, _NO_SUCH_ACTION = 0x0115, 0x0123
_MAY_PASS = (0x0110, 0x0213)
"""Processing failure and resource limitation: the peer may take the same report later."""


class StorageCommitmentSCP:
    """The listener's service that takes requests for commitment (dimse.services.Service)."""

    def __init__(self, requests: CommitmentRequests) -> None:
        self._requests = requests

    @property
    def contexts(self) -> Sequence[PresentationContext]:
        """The push model, with the roles that hold when nobody negotiates any."""
        return [plain_context(STORAGE_COMMITMENT)]

    @property
    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """N-ACTION."""
        return [(evt.EVT_N_ACTION, self._act)]

    def _act(self, event: evt.Event) -> tuple[int | Dataset, None]:
        """Take one request, and answer only when it is recorded."""
        action = cast(N_ACTION, event.request)
        if action.ActionTypeID != _REQUEST_COMMITMENT:
            return _NO_SUCH_ACTION, None
        if action.RequestedSOPInstanceUID != WELL_KNOWN_INSTANCE:
            return NO_SUCH_INSTANCE, None
        try:
            self._requests.accept(_request_of(event))
        except DicomnodeError as error:
            _logger.warning("request for storage commitment refused: %s", error.reason)
            return refusal(error, _INVALID_ARGUMENT), None
        return SUCCESS, None


class CommitmentReportSender:
    """Tells peers what is committed, over an association of its own (domain.commitment.CommitmentReporter)."""

    def __init__(self, calling_ae: AETitle, timeout_seconds: float = 30) -> None:
        self._calling_ae = calling_ae
        self._timeout = timeout_seconds

    def report(self, peer: Endpoint, report: CommitmentReport) -> None:
        """Send one report as SCP of the service; raises DeliveryError when the peer did not take it."""
        event_type = _FAILURES_EXIST if report.failed else _ALL_COMMITTED
        opened = self._open(peer)
        try:
            answer, _ = opened.association.send_n_event_report(
                _information(report), event_type, STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
            )
        finally:
            opened.release()
        status = answer.get("Status")
        if status is None:
            said = f": it aborted, {opened.farewell.said}" if opened.farewell.said else ""
            raise DestinationUnreachable(f"{peer.name} did not answer the report{said}")
        if status != SUCCESS:
            kind = DestinationUnreachable if status in _MAY_PASS else DestinationRefused
            raise kind(f"{peer.name} answered the report with status 0x{status:04X}")

    def _open(self, peer: Endpoint) -> OpenAssociation:
        """Open an association on which this node is the SCP although it asks (PS3.4 section J.3.3.1).

        Raises DeliveryError.
        """
        proposal = Proposal(
            calling_ae=self._calling_ae,
            timeout_seconds=self._timeout,
            contexts=[build_context(STORAGE_COMMITMENT)],
            roles=[build_role(STORAGE_COMMITMENT, scp_role=True)],
        )
        opened = request_association(peer, proposal)
        if opened is None:
            raise DestinationRefused(f"{peer.name} takes no reports of storage commitment")
        return opened


def _request_of(event: evt.Event) -> CommitmentRequest:
    """Read what is asked for (PS3.4 Table J.3-1); raises InvalidValue."""
    asked = readable(lambda: event.action_information)
    references = tuple(_reference_of(item) for item in items(asked, "ReferencedSOPSequence"))
    if not references:
        raise InvalidValue("a request for storage commitment that names no instance")
    return CommitmentRequest(
        transaction_uid=TransactionUID(readable(lambda: str(asked.get("TransactionUID") or ""))),
        association=requestor_of(event),
        references=references,
    )


def _reference_of(item: Dataset) -> InstanceReference:
    return InstanceReference(
        sop_class_uid=SOPClassUID(readable(lambda: str(item.get("ReferencedSOPClassUID") or ""))),
        sop_instance_uid=SOPInstanceUID(readable(lambda: str(item.get("ReferencedSOPInstanceUID") or ""))),
    )


def _information(report: CommitmentReport) -> Dataset:
    """Write a report as event information (PS3.4 Table J.3-2); a sequence without items is left out."""
    information = Dataset()
    information.TransactionUID = report.transaction_uid
    if report.committed:
        information.ReferencedSOPSequence = list(_written(report.committed))
    if report.failed:
        information.FailedSOPSequence = list(_written(failed.reference for failed in report.failed))
        for item, failed in zip(information.FailedSOPSequence, report.failed, strict=True):
            item.FailureReason = int(failed.reason)
    return information


def _written(references: Iterable[InstanceReference]) -> Iterable[Dataset]:
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        yield item
