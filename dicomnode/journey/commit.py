"""Commit: a peer asks whether its instances are kept safely, and is told what ledger and spool really hold."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from dicomnode.domain.commitment import (
    CommitmentReport,
    CommitmentReporter,
    CommitmentRequest,
    FailedReference,
    FailureReason,
    InstanceReference,
    TransactionUID,
)
from dicomnode.domain.errors import (
    DeliveryError,
    DestinationUnreachable,
    DuplicateTransaction,
    LedgerUnavailable,
    NotInLedger,
    PeerUnknown,
)
from dicomnode.domain.ports import Clock
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater, StepResult
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import AETitle, SOPInstanceUID
from dicomnode.engine.queues import Argument, Queues
from dicomnode.journey.jobs import commit_job, pause
from dicomnode.ledger.commitments import end_commitment, find_commitment, note_unreported, record_commitment
from dicomnode.ledger.completion import link_commitment
from dicomnode.ledger.peers import find_endpoint
from dicomnode.ledger.studies import find_instances
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.digest import file_digest
from dicomnode.spool.store import Spool

_LONGEST_PAUSE_SECONDS = 3600.0
_UNREPORTED_HELP = "Check the peer with `dicomnode peer echo`; then let it ask again, under a new Transaction UID."


class CommitmentIntake:
    """Takes the requests that a listener is sent (domain.commitment.CommitmentRequests)."""

    def __init__(self, ledger: Ledger, queues: Queues, clock: Clock) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock

    def accept(self, request: CommitmentRequest) -> None:
        """Record a request, note which studies it is about, and enqueue its answer in one transaction.

        Raises PeerUnknown, DuplicateTransaction or LedgerUnavailable; nothing is recorded then.
        """
        requestor = request.association.calling_ae
        with self._ledger.transaction() as tx:
            if find_endpoint(tx, requestor) is None:
                raise PeerUnknown(_no_address(requestor))
            if not record_commitment(tx, request, self._clock.now()):
                raise DuplicateTransaction("this Transaction UID is in use")
            held = find_instances(tx, [reference.sop_instance_uid for reference in request.references])
            link_commitment(tx, request.transaction_uid, {one.study_instance_uid for one in held.values()})
            self._queues.enqueue(tx, commit_job(request.transaction_uid))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting:
    """How peers are told: by whom, and after how many failed attempts a person has to look."""

    reporter: CommitmentReporter
    give_up_after: int


class Committing:
    """The step that answers one request; each attempt looks anew, so that a report is true when it is sent."""

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock, reporting: Reporting) -> None:
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._reporting = reporting

    def __call__(self, *arguments: Argument, attempt: int) -> StepResult:
        """Answer the request of a Transaction UID."""
        transaction_uid = TransactionUID(str(arguments[0]))
        try:
            with self._ledger.transaction() as tx:
                request = find_commitment(tx, transaction_uid).request
            return self._attempt(request, attempt)
        except LedgerUnavailable as error:
            return RetryLater(reason=error.reason, seconds=pause(attempt, _LONGEST_PAUSE_SECONDS))
        except NotInLedger as error:
            return NeedsOperator(reason=error.reason, help=error.help)

    def _attempt(self, request: CommitmentRequest, attempt: int) -> StepResult:
        """Try once, and say what follows from how it went."""
        requestor = request.association.calling_ae
        with self._ledger.transaction() as tx:
            peer = find_endpoint(tx, requestor)
        if peer is None:
            return self._stop(request, _no_address(requestor))
        held = self._held(request)
        report = _judge(request, held, frozenset(uid for uid, one in held.items() if self._is_intact(one)))
        try:
            self._reporting.reporter.report(peer, report)
        except DestinationUnreachable as error:
            return self._later(request, error, attempt)
        except DeliveryError as error:
            return self._stop(request, error.reason)
        return self._tell(request, report, held)

    def _held(self, request: CommitmentRequest) -> dict[SOPInstanceUID, StoredInstance]:
        """Find what the ledger holds of the instances that are asked about."""
        with self._ledger.transaction() as tx:
            return find_instances(tx, [reference.sop_instance_uid for reference in request.references])

    def _is_intact(self, instance: StoredInstance) -> bool:
        """Whether the very bytes that were received still lie in the spool: the peer may now delete its own."""
        try:
            return file_digest(self._spool.locate(instance.path)) == instance.digest
        except OSError:
            return False

    def _tell(
        self, request: CommitmentRequest, report: CommitmentReport, held: Mapping[SOPInstanceUID, StoredInstance]
    ) -> StepResult:
        """Record the report, and tell it in the timeline of each study that it is about."""
        now, requestor = self._clock.now(), request.association.calling_ae
        kept = Counter(held[one.sop_instance_uid].study_instance_uid for one in report.committed)
        asked = Counter(
            held[one.sop_instance_uid].study_instance_uid for one in request.references if one.sop_instance_uid in held
        )
        with self._ledger.transaction() as tx:
            end_commitment(tx, request.transaction_uid, report.failed, now)
            for study, number in asked.items():
                write_event(
                    tx,
                    study,
                    at=now,
                    step="commit",
                    state="done" if kept[study] == number else "failed",
                    text=f"{requestor} was told that {kept[study]} of {number} instances are kept safely.",
                    detail={"transaction": request.transaction_uid},
                )
        return Done(said=f"{len(report.committed)} committed and {len(report.failed)} not, told to {requestor}")

    def _later(self, request: CommitmentRequest, error: DestinationUnreachable, attempt: int) -> StepResult:
        """Try again after a while, or leave it to a person after many attempts."""
        if attempt >= self._reporting.give_up_after:
            return self._stop(request, f"given up after {attempt} attempts: {error.reason}")
        with self._ledger.transaction() as tx:
            note_unreported(tx, request.transaction_uid, error.reason, self._clock.now())
        return RetryLater(reason=error.reason, seconds=pause(attempt, _LONGEST_PAUSE_SECONDS))

    def _stop(self, request: CommitmentRequest, reason: str) -> StepResult:
        """Leave it to a person: the requestor was not told, and keeps its own copies."""
        held, now = self._held(request), self._clock.now()
        with self._ledger.transaction() as tx:
            note_unreported(tx, request.transaction_uid, reason, now, for_good=True)
            for study in sorted({instance.study_instance_uid for instance in held.values()}):
                write_event(
                    tx,
                    study,
                    at=now,
                    step="commit",
                    state="needs operator",
                    text=f"{request.association.calling_ae} could not be told what is kept safely: {reason}. "
                    f"{_UNREPORTED_HELP}",
                    detail={"transaction": request.transaction_uid},
                )
        return NeedsOperator(reason=reason, help=_UNREPORTED_HELP)


def _no_address(requestor: AETitle) -> str:
    return f"no address for reports to {requestor} is known"


def _judge(
    request: CommitmentRequest,
    held: Mapping[SOPInstanceUID, StoredInstance],
    intact: frozenset[SOPInstanceUID],
) -> CommitmentReport:
    """Sort the instances of a request into those that are kept safely and those that are not."""
    judged = [(reference, _fault(reference, held, intact)) for reference in request.references]
    return CommitmentReport(
        transaction_uid=request.transaction_uid,
        committed=tuple(reference for reference, fault in judged if fault is None),
        failed=tuple(
            FailedReference(reference=reference, reason=fault) for reference, fault in judged if fault is not None
        ),
    )


def _fault(
    reference: InstanceReference,
    held: Mapping[SOPInstanceUID, StoredInstance],
    intact: frozenset[SOPInstanceUID],
) -> FailureReason | None:
    """Say why one instance is not committed; None when it is."""
    instance = held.get(reference.sop_instance_uid)
    if instance is None:
        return FailureReason.NO_SUCH_INSTANCE
    if instance.sop_class_uid != reference.sop_class_uid:
        return FailureReason.CLASS_INSTANCE_CONFLICT
    return None if reference.sop_instance_uid in intact else FailureReason.PROCESSING_FAILURE
