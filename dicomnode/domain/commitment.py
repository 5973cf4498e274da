"""Storage commitment: what a peer asks to have kept safely, and what it is told (PS3.4 Annex J)."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Protocol

from dicomnode.domain.association import Association
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.uids import UID, SOPClassUID, SOPInstanceUID


class TransactionUID(UID):
    """Names one request for commitment (0008,1195); its requestor chooses it and never uses it twice."""

    __slots__ = ()


class CommitmentState(StrEnum):
    """Where a request stands; the words an operator reads."""

    WAITING = "waiting"
    """Recorded; its requestor has not been told yet."""
    REPORTED = "reported"
    FAILED = "failed"
    """Its requestor could not be told."""


class FailureReason(IntEnum):
    """Why an instance is not committed (0008,1197), in the codes of PS3.3 section C.14.1.1."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceReference:
    """One instance as a request names it."""

    sop_class_uid: SOPClassUID
    sop_instance_uid: SOPInstanceUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRequest:
    """What one peer asked for over one association."""

    transaction_uid: TransactionUID
    association: Association
    references: tuple[InstanceReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedReference:
    """One instance that is not committed, and why."""

    reference: InstanceReference
    reason: FailureReason


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentReport:
    """The answer to a request: each of its instances is either committed or failed."""

    transaction_uid: TransactionUID
    committed: tuple[InstanceReference, ...]
    failed: tuple[FailedReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentRecord:
    """A request as the ledger holds it: how often its report was tried, and what came of it."""

    request: CommitmentRequest
    state: CommitmentState
    requested_at: datetime
    attempts: int
    failed: tuple[FailedReference, ...]
    """What the report named as not committed; empty until it was taken."""
    reason: str
    """Why the last attempt did not reach the requestor."""


class CommitmentRequests(Protocol):
    """Where a listener hands over requests for commitment."""

    def accept(self, request: CommitmentRequest) -> None:
        """Record a request durably, and see to its answer.

        Raises DuplicateTransaction, PeerUnknown or LedgerUnavailable; the requestor is then not owed a report.
        """
        ...


class CommitmentReporter(Protocol):
    """A way to tell a peer what is committed."""

    def report(self, peer: Endpoint, report: CommitmentReport) -> None:
        """Tell it, and return when it has taken the report; raises DeliveryError."""
        ...
