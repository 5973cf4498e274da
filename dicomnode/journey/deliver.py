"""Deliver: send a derived series to one destination, keep what it said of each instance, ask whether it is there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dicomnode.domain.delivery import Destination, Inquiry, OutgoingInstance, StoreOutcome
from dicomnode.domain.derivation import Derivation
from dicomnode.domain.errors import DeliveryError, DestinationUnreachable, LedgerUnavailable, NotInLedger
from dicomnode.domain.ports import Clock
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater, StepResult
from dicomnode.engine.queues import Argument
from dicomnode.journey.jobs import pause
from dicomnode.ledger.deliveries import delivery_counts, mark_verified, outstanding, record_outcomes, refusals
from dicomnode.ledger.derivations import find_derivation
from dicomnode.ledger.studies import find_derived_series, list_instances
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool

_LONGEST_PAUSE_SECONDS = 3600.0
_REFUSED_HELP = "Check at the destination whether it allows this node's AE title and this SOP class, then send again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A destination, and how to ask it what it has, where it can be asked."""

    destination: Destination
    inquiry: Inquiry | None = None


class Delivering:
    """The step that hands a derived series to one destination; each attempt is a job of its own."""

    def __init__(
        self, ledger: Ledger, spool: Spool, clock: Clock, outlets: Mapping[str, Outlet], give_up_after: int
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._outlets = outlets
        self._give_up_after = give_up_after

    def __call__(self, *arguments: Argument, attempt: int) -> StepResult:
        """Deliver a derivation (key) to a destination (name)."""
        key, name = str(arguments[0]), str(arguments[1])
        try:
            with self._ledger.transaction() as tx:
                derivation = find_derivation(tx, key)
                waiting = outstanding(tx, key, name)
            return self._attempt(derivation, name, waiting, attempt)
        except LedgerUnavailable as error:
            return RetryLater(reason=error.reason, seconds=pause(attempt, _LONGEST_PAUSE_SECONDS))
        except NotInLedger as error:
            return NeedsOperator(reason=error.reason, help=error.help)

    def _attempt(
        self, derivation: Derivation, name: str, waiting: tuple[OutgoingInstance, ...], attempt: int
    ) -> StepResult:
        """Try once, and say what follows from how it went."""
        if name not in self._outlets:
            return self._stop(derivation, name, f"no destination {name} is configured", "Add it to the settings.")
        try:
            return self._deliver(derivation, name, waiting)
        except DestinationUnreachable as error:
            return self._later(derivation, name, attempt, error)
        except (DeliveryError, NotInLedger) as error:
            return self._stop(derivation, name, error.reason, error.help)

    def _deliver(self, derivation: Derivation, name: str, waiting: tuple[OutgoingInstance, ...]) -> StepResult:
        outcomes = self._send(derivation, name, waiting) if waiting else ()
        broken_off = [outcome for outcome in outcomes if outcome.retryable and not outcome.stored]
        if broken_off:
            raise DestinationUnreachable(
                f"{name} took {sum(outcome.stored for outcome in outcomes)} of {len(outcomes)} instances"
                + (f" ({broken_off[0].comment})" if broken_off[0].comment else "")
            )
        with self._ledger.transaction() as tx:
            # Not only what this attempt was told: an earlier one may have ended after a refusal.
            refused = refusals(tx, derivation.key, name)
            instances = sum(delivery_counts(tx, derivation.key, name).values())
        if refused:
            said = f"{name} refused {len(refused)} of {instances} instances with status 0x{refused[0]:04X}"
            return self._stop(derivation, name, said, _REFUSED_HELP)
        return self._confirm(derivation, name, len(outcomes))

    def _send(
        self, derivation: Derivation, name: str, waiting: tuple[OutgoingInstance, ...]
    ) -> tuple[StoreOutcome, ...]:
        """Send what waits and keep what was said of each instance; raises DeliveryError, or NotInLedger."""
        located = tuple(replace(item, file=str(self._spool.find(item.file))) for item in waiting)
        outcomes = self._outlets[name].destination.store(located)
        with self._ledger.transaction() as tx:
            record_outcomes(tx, derivation.key, name, outcomes, self._clock.now())
        return outcomes

    def _confirm(self, derivation: Derivation, name: str, sent: int) -> StepResult:
        """Tell that all is stored and, where the destination can be asked, that it lists every instance."""
        outlet = self._outlets[name]
        told = f"Stored at {name} ({outlet.destination.endpoint.ae_title})"
        if outlet.inquiry is not None:
            with self._ledger.transaction() as tx:
                series = find_derived_series(tx, derivation.key)
                ours = {item.sop_instance_uid for item in list_instances(tx, derivation.study_instance_uid, series)}
            there = set(outlet.inquiry.search_instances(derivation.study_instance_uid, series))
            if not ours <= there:
                raise DestinationUnreachable(f"{name} lists {len(ours & there)} of {len(ours)} instances so far")
            told = f"{told} and found there by QIDO-RS: {len(ours)} instances"
        with self._ledger.transaction() as tx:
            if outlet.inquiry is not None:
                mark_verified(tx, derivation.key, name, self._clock.now())
            write_event(
                tx,
                derivation.study_instance_uid,
                at=self._clock.now(),
                step="deliver",
                state="done",
                text=f"{told}.",
                detail={"derivation": derivation.key, "destination": name, "sent": sent},
            )
        return Done(said=told)

    def _later(self, derivation: Derivation, name: str, attempt: int, error: DestinationUnreachable) -> StepResult:
        """Try again after a while, or leave it to a person after many attempts."""
        if attempt >= self._give_up_after:
            return self._stop(derivation, name, f"given up after {attempt} attempts: {error.reason}", error.help)
        seconds = pause(attempt, _LONGEST_PAUSE_SECONDS)
        self._tell(derivation, name, "waiting", f"{error.reason}; attempt {attempt + 1} in {seconds:.0f} s.")
        return RetryLater(reason=error.reason, seconds=seconds)

    def _stop(self, derivation: Derivation, name: str, reason: str, advice: str) -> StepResult:
        """Leave it to a person, with what happened and what to do."""
        self._tell(derivation, name, "needs operator", f"Not delivered to {name}: {reason}. {advice}")
        return NeedsOperator(reason=reason, help=advice)

    def _tell(self, derivation: Derivation, name: str, state: str, text: str) -> None:
        with self._ledger.transaction() as tx:
            write_event(
                tx,
                derivation.study_instance_uid,
                at=self._clock.now(),
                step="deliver",
                state=state,
                text=text,
                detail={"derivation": derivation.key, "destination": name},
            )
