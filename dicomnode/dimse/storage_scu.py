"""Sending instances as they are: C-STORE as SCU (PS3.4 Annex B), one outcome per instance."""

from collections.abc import Sequence
from pathlib import Path

from pynetdicom import _config
from pynetdicom.presentation import build_context
from pynetdicom.status import code_to_category

from dicomnode.dimse.requesting import OpenAssociation, Proposal, request_association
from dicomnode.domain.delivery import Endpoint, OutgoingInstance, StoreOutcome
from dicomnode.domain.uids import AETitle

_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_NO_CONTEXT = 0x0122
_CONTEXTS_PER_ASSOCIATION = 128


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

    def _store_kinds(
        self, instances: Sequence[OutgoingInstance], kinds: Sequence[tuple[str, str]]
    ) -> list[StoreOutcome]:
        """Send instances of at most as many kinds as one association can have contexts."""
        proposal = Proposal(
            calling_ae=self._calling_ae,
            timeout_seconds=self._timeout,
            contexts=[build_context(sop_class, syntax) for sop_class, syntax in kinds],
        )
        opened = request_association(self.endpoint, proposal)
        if opened is None:
            return [_not_taken(item) for item in instances]
        try:
            return [_send(opened, number, item) for number, item in enumerate(instances, start=1)]
        finally:
            opened.release()


def _kind(item: OutgoingInstance) -> tuple[str, str]:
    """What an instance needs a presentation context for: its SOP class in its transfer syntax."""
    return item.sop_class_uid, item.transfer_syntax_uid


def _send(opened: OpenAssociation, number: int, item: OutgoingInstance) -> StoreOutcome:
    """Send one instance and turn the answer into an outcome."""
    association = opened.association
    if not association.is_established:
        return _unanswered(item, "the association ended before this instance was answered", opened)
    try:
        answer = association.send_c_store(Path(item.file), msg_id=number % 0xFFFF or 1)
    except ValueError:
        return _not_taken(item)
    status = answer.get("Status")
    if status is None:
        # The next instance would only wait in vain as long again.
        association.abort()
        return _unanswered(item, "no answer", opened)
    if code_to_category(status) in ("Success", "Warning"):
        return StoreOutcome(sop_instance_uid=item.sop_instance_uid, status=status, stored=True, retryable=False)
    return _outcome(item, status, str(answer.get("ErrorComment") or ""), retryable=status in _OUT_OF_RESOURCES)


def _unanswered(item: OutgoingInstance, what: str, opened: OpenAssociation) -> StoreOutcome:
    """Build the outcome of an instance that the peer said nothing about, with its last words where it aborted."""
    said = f": the peer aborted, {opened.farewell.said}" if opened.farewell.said else ""
    return _outcome(item, 0, f"{what}{said}", retryable=True)


def _not_taken(item: OutgoingInstance) -> StoreOutcome:
    """Build the outcome of an instance that the peer accepted no presentation context for."""
    return _outcome(item, _NO_CONTEXT, "the destination does not take this SOP class in this transfer syntax")


def _outcome(item: OutgoingInstance, status: int, comment: str, *, retryable: bool = False) -> StoreOutcome:
    """Build the outcome of an instance the destination does not have."""
    return StoreOutcome(
        sop_instance_uid=item.sop_instance_uid, status=status, stored=False, retryable=retryable, comment=comment
    )
