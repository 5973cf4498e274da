"""Derive: one piece of synthesis work, done once, recorded together with the deliveries that follow from it."""

from dataclasses import dataclass
from pathlib import Path

from dicomnode.domain.derivation import Derivation, DerivationState, SupersedePolicy
from dicomnode.domain.errors import (
    ContractViolation,
    DicomnodeError,
    GeometryError,
    LedgerUnavailable,
    ModelFailed,
    NotInLedger,
    SpoolFull,
    UnreadablePixels,
)
from dicomnode.domain.ports import Clock
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater, StepResult
from dicomnode.engine.children import Children
from dicomnode.engine.queues import Argument, Queues
from dicomnode.journey.jobs import deliver_job, pause
from dicomnode.journey.synthesise import SynthesisRequest, SynthesisResult, synthesise
from dicomnode.ledger.deliveries import begin_round, cancel_deliveries, queue_delivery
from dicomnode.ledger.derivations import (
    end_derivation,
    find_derivation,
    finish_derivation,
    is_overtaken,
    start_derivation,
    withdraw_series,
)
from dicomnode.ledger.studies import list_instances, list_series
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.spool.store import Spool

_REFUSALS = (ContractViolation, GeometryError, UnreadablePixels)
"""There will be no image from these inputs, however often it is tried."""
_OUTSIDE = (SpoolFull, LedgerUnavailable)
_UNFINISHED = (DerivationState.WAITING, DerivationState.RUNNING)
"""Of the other states only a person brings work out, or its study that comes again; then it waits again."""
_MODEL_ATTEMPTS = 3
_LONGEST_PAUSE_SECONDS = 300.0
_FIRST_SERIES_NUMBER = 9001
_ON_TRIAL = " Its rule is on trial (shadow): it is sent nowhere."


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisPlace:
    """Where the work is done: the device, how long it may take in seconds, and the version that is written."""

    device: str
    timeout_seconds: float
    node_version: str


class Deriving:
    """The step that makes a derived series."""

    def __init__(
        self, ledger: Ledger, spool: Spool, queues: Queues, clock: Clock, children: Children, place: SynthesisPlace
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._queues = queues
        self._clock = clock
        self._children = children
        self._place = place

    def __call__(self, *arguments: Argument, attempt: int) -> StepResult:
        """Derive by key; running it again after a crash gives the same series."""
        key = str(arguments[0])
        try:
            with self._ledger.transaction() as tx:
                derivation = find_derivation(tx, key)
            return self._derive_or_tell(derivation, attempt)
        except _OUTSIDE as error:
            return RetryLater(reason=error.reason, seconds=pause(attempt, _LONGEST_PAUSE_SECONDS))
        except NotInLedger as error:
            return NeedsOperator(reason=error.reason, help=error.help)

    def _derive_or_tell(self, derivation: Derivation, attempt: int) -> StepResult:
        """Derive, or say in the timeline why there is no image; raises SpoolFull, LedgerUnavailable."""
        try:
            return self._derive(derivation)
        except _OUTSIDE:
            raise
        except DicomnodeError as error:
            if isinstance(error, ModelFailed) and attempt < _MODEL_ATTEMPTS:
                return self._later(derivation, attempt, error)
            state = DerivationState.REFUSED if isinstance(error, _REFUSALS) else DerivationState.FAILED
            return self._end(derivation, state, error)

    def _derive(self, derivation: Derivation) -> StepResult:
        with self._ledger.transaction() as tx:
            needless = self._needless(tx, derivation)
            if needless is not None:
                return needless
            start_derivation(tx, derivation.key, self._clock.now())
            request = self._request(tx, derivation)
        result = self._children.run(synthesise, self._place.timeout_seconds, request)
        with self._ledger.transaction() as tx:
            # It took its time: another worker may have been faster, or a later revision may have asked meanwhile.
            needless = self._needless(tx, derivation)
            if needless is not None:
                return needless
            self._record(tx, derivation, result)
        return Done(said=f"{len(result.instances)} instances derived")

    def _needless(self, tx: Transaction, derivation: Derivation) -> Done | None:
        """Say why the work is not needed, or not any more; None when it is."""
        if find_derivation(tx, derivation.key).state not in _UNFINISHED:
            return Done(said="this work has ended already")
        return self._step_aside(tx, derivation) if is_overtaken(tx, derivation) else None

    def _request(self, tx: Transaction, derivation: Derivation) -> SynthesisRequest:
        """Collect what the child needs."""
        return SynthesisRequest(
            key=derivation.key,
            model=derivation.model,
            target_role=derivation.target_role,
            preparation=derivation.preparation,
            files=self._files(tx, derivation),
            series_number=_free_series_number(tx, derivation),
            revision=derivation.revision,
            at=derivation.decided_at.astimezone().replace(microsecond=0),
            spool_root=self._spool.root,
            device=self._place.device,
            node_version=self._place.node_version,
            label_language=derivation.label_language,
        )

    def _files(self, tx: Transaction, derivation: Derivation) -> dict[str, tuple[Path, ...]]:
        """Find the spool files of the pinned instances; raises NotInLedger when one is gone."""
        files: dict[str, tuple[Path, ...]] = {}
        for bound in derivation.inputs:
            held = list_instances(tx, derivation.study_instance_uid, bound.series_instance_uid)
            paths = {instance.sop_instance_uid: instance.path for instance in held}
            if not set(bound.sop_instance_uids) <= set(paths):
                raise NotInLedger(f"instances of the input {bound.role} are no longer in the spool")
            files[bound.role] = tuple(self._spool.locate(paths[uid]) for uid in bound.sop_instance_uids)
        return files

    def _record(self, tx: Transaction, derivation: Derivation, result: SynthesisResult) -> None:
        """Make the derived series part of the node and queue its deliveries, all at once."""
        now = self._clock.now()
        superseded = finish_derivation(tx, derivation, result.instances, result.report, now)
        write_event(
            tx,
            derivation.study_instance_uid,
            at=now,
            step="derive",
            state="done",
            text=f"{derivation.model.name} {derivation.model.version} made “{result.report.series_description}” "
            f"with {len(result.instances)} instances; labels, geometry and dciodvfy checked."
            f"{_ON_TRIAL if derivation.shadow else ''}",
            seconds=round(sum(result.report.durations.values()), 1),
            detail={"derivation": derivation.key, "revision": derivation.revision},
        )
        for destination in derivation.destinations:
            owner = (derivation.key, derivation.study_instance_uid)
            round_ = begin_round(tx, derivation.key, destination)
            queue_delivery(tx, owner, destination, result.instances, now, round_=round_)
            self._queues.enqueue(tx, deliver_job(derivation, destination, round_))
        if derivation.superseded is SupersedePolicy.WITHDRAW:
            for older in superseded:
                self._withdraw(tx, older)

    def _withdraw(self, tx: Transaction, older: Derivation) -> None:
        """List and send an older series no more, and tell where a person has to remove it."""
        withdraw_series(tx, older.key)
        taken = cancel_deliveries(tx, older.key)
        said = (
            f"The series of revision {older.revision} by {older.model.name} is withdrawn: this node no longer lists it"
        )
        if taken:
            places = ", ".join(f"{destination} ({count} instances)" for destination, count in taken.items())
            said = f"{said}. It was sent before: remove it at {places}, which this node cannot do"
        self._tell(tx, older, "needs operator" if taken else "done", f"{said}.")

    def _step_aside(self, tx: Transaction, derivation: Derivation) -> Done:
        """Leave the work to the derivation of a later revision."""
        overtaken = DicomnodeError("a later revision of the study is already asked for")
        end_derivation(tx, derivation.key, DerivationState.SUPERSEDED, overtaken, self._clock.now())
        said = f"No image from {derivation.model.name} of revision {derivation.revision}: {overtaken.reason}."
        self._tell(tx, derivation, DerivationState.SUPERSEDED, said)
        return Done(said=overtaken.reason)

    def _later(self, derivation: Derivation, attempt: int, error: ModelFailed) -> StepResult:
        """Try a model that failed again after a while."""
        seconds = pause(attempt, _LONGEST_PAUSE_SECONDS)
        with self._ledger.transaction() as tx:
            self._tell(tx, derivation, "waiting", f"{error.reason}; attempt {attempt + 1} in {seconds:.0f} s.")
        return RetryLater(reason=error.reason, seconds=seconds)

    def _end(self, derivation: Derivation, state: DerivationState, error: DicomnodeError) -> StepResult:
        """Say that there will be no image, and why."""
        with self._ledger.transaction() as tx:
            end_derivation(tx, derivation.key, state, error, self._clock.now())
            self._tell(tx, derivation, state, f"No image from {derivation.model.name}: {error.reason}. {error.help}")
        return NeedsOperator(reason=error.reason, help=error.help)

    def _tell(self, tx: Transaction, derivation: Derivation, state: str, text: str) -> None:
        """Add a line to the timeline of the study."""
        write_event(
            tx,
            derivation.study_instance_uid,
            at=self._clock.now(),
            step="derive",
            state=state,
            text=text,
            detail={"derivation": derivation.key, "revision": derivation.revision},
        )


def _free_series_number(tx: Transaction, derivation: Derivation) -> int:
    """Find a series number that no series of the study has, far above a scanner's own."""
    taken = {series.series_number for series in list_series(tx, derivation.study_instance_uid)}
    number = _FIRST_SERIES_NUMBER
    while number in taken:
        number += 1
    return number
