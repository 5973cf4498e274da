"""Deliver: send a derived or routed series to a destination, keep what it said of each instance, ask what is there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dicomnode.domain.delivery import Consignment, Destination, Inquiry, OutgoingInstance, StoreOutcome
from dicomnode.domain.errors import DeliveryError, DestinationUnreachable, LedgerUnavailable, NotInLedger
from dicomnode.domain.ports import Clock
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater, StepResult
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID
from dicomnode.engine.queues import Argument
from dicomnode.journey.jobs import pause
from dicomnode.ledger.deliveries import (
    consigned,
    delivery_counts,
    find_consignment,
    mark_verified,
    outstanding,
    record_outcomes,
    refusals,
)
from dicomnode.ledger.destinations import hold_back
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.spool.store import Spool

_LONGEST_PAUSE_SECONDS = 3600.0
_REFUSED_HELP = "Check at the destination whether it allows this node's AE title and this SOP class, then send again."
_WITHDRAWN_HELP = "Remove them there."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """A destination, and how to ask it what it has, where it can be asked."""

    destination: Destination
    inquiry: Inquiry | None = None


class Delivering:
    """The step that hands what goes out under a key to one destination; each attempt is a job of its own."""

    def __init__(
        self, ledger: Ledger, spool: Spool, clock: Clock, outlets: Mapping[str, Outlet], give_up_after: int
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._clock = clock
        self._outlets = outlets
        self._give_up_after = give_up_after

    def __call__(self, *arguments: Argument, attempt: int) -> StepResult:
        """Deliver a derivation or a routing (key) to a destination (name)."""
        key, name = str(arguments[0]), str(arguments[1])
        try:
            with self._ledger.transaction() as tx:
                consignment = find_consignment(tx, key)
                held_back = self._hold_back(tx, consignment, name)
                waiting = outstanding(tx, key, name)
            return held_back or self._attempt(consignment, name, waiting, attempt)
        except LedgerUnavailable as error:
            return RetryLater(reason=error.reason, seconds=pause(attempt, _LONGEST_PAUSE_SECONDS))
        except NotInLedger as error:
            return NeedsOperator(reason=error.reason, help=error.help)

    def _hold_back(self, tx: Transaction, consignment: Consignment, name: str) -> Done | None:
        """End this job where a person paused the destination: what is queued stays so, and resuming makes a new job."""
        found = hold_back(tx, name, consignment.key, self._clock.now())
        if found is None:
            return None
        paused, is_new = found
        said = f"{name} is paused by {paused.by} ({paused.reason}); what goes there waits until somebody resumes it."
        if is_new:
            write_event(
                tx,
                consignment.study_instance_uid,
                at=self._clock.now(),
                step="deliver",
                state="waiting",
                text=said,
                detail={"derivation": consignment.key, "destination": name},
            )
        return Done(said=said)

    def _attempt(
        self, consignment: Consignment, name: str, waiting: tuple[OutgoingInstance, ...], attempt: int
    ) -> StepResult:
        """Try once, and say what follows from how it went."""
        if name not in self._outlets:
            return self._stop(consignment, name, f"no destination {name} is configured", "Add it to the settings.")
        try:
            return self._deliver(consignment, name, waiting)
        except DestinationUnreachable as error:
            return self._later(consignment, name, attempt, error)
        except (DeliveryError, NotInLedger) as error:
            return self._stop(consignment, name, error.reason, error.help)

    def _deliver(self, consignment: Consignment, name: str, waiting: tuple[OutgoingInstance, ...]) -> StepResult:
        outcomes = self._send(consignment, name, waiting) if waiting else ()
        broken_off = [outcome for outcome in outcomes if outcome.retryable and not outcome.stored]
        if broken_off:
            raise DestinationUnreachable(
                f"{name} took {sum(outcome.stored for outcome in outcomes)} of {len(outcomes)} instances"
                + (f" ({broken_off[0].comment})" if broken_off[0].comment else "")
            )
        with self._ledger.transaction() as tx:
            # Not only what this attempt was told: an earlier one may have ended after a refusal.
            refused = refusals(tx, consignment.key, name)
            instances = sum(delivery_counts(tx, consignment.key, name).values())
        if refused:
            said = f"{name} refused {len(refused)} of {instances} instances with status 0x{refused[0]:04X}"
            return self._stop(consignment, name, said, _REFUSED_HELP)
        return self._confirm(consignment, name, len(outcomes))

    def _send(
        self, consignment: Consignment, name: str, waiting: tuple[OutgoingInstance, ...]
    ) -> tuple[StoreOutcome, ...]:
        """Send what waits and keep what was said of each instance; raises DeliveryError, or NotInLedger."""
        located = tuple(replace(item, file=str(self._spool.find(item.file))) for item in waiting)
        outcomes = self._outlets[name].destination.store(located)
        with self._ledger.transaction() as tx:
            record_outcomes(tx, consignment.key, name, outcomes, self._clock.now())
        return outcomes

    def _confirm(self, consignment: Consignment, name: str, sent: int) -> StepResult:
        """Tell that all is stored and, where the destination can be asked, that it lists every instance."""
        outlet = self._outlets[name]
        with self._ledger.transaction() as tx:
            ours = consigned(tx, consignment.key, name)
        if not ours:
            return self._too_late(consignment, name, sent)
        told = f"Stored at {name} ({outlet.destination.endpoint.ae_title})"
        if outlet.inquiry is not None:
            told = f"{told} and found there by QIDO-RS: {self._ask(outlet.inquiry, consignment, ours, name)} instances"
        with self._ledger.transaction() as tx:
            if outlet.inquiry is not None:
                mark_verified(tx, consignment.key, name, self._clock.now())
            write_event(
                tx,
                consignment.study_instance_uid,
                at=self._clock.now(),
                step="deliver",
                state="done",
                text=f"{told}.",
                detail={"derivation": consignment.key, "destination": name, "sent": sent},
            )
        return Done(said=told)

    def _too_late(self, consignment: Consignment, name: str, sent: int) -> StepResult:
        """End the delivery of a series that was withdrawn, and tell of what had left by then."""
        if not sent:
            return Done(said=f"nothing is left to send to {name}: it was withdrawn or removed meanwhile")
        reason = f"{sent} instances were on their way to {name} while their series was withdrawn"
        self._tell(consignment, name, "needs operator", f"{reason}. {_WITHDRAWN_HELP}")
        return NeedsOperator(reason=reason, help=_WITHDRAWN_HELP)

    def _ask(
        self,
        inquiry: Inquiry,
        consignment: Consignment,
        ours: Mapping[SeriesInstanceUID, frozenset[SOPInstanceUID]],
        name: str,
    ) -> int:
        """Count the instances that a destination lists; raises DestinationUnreachable until it lists all of them."""
        there = 0
        for series, instances in ours.items():
            there += len(instances.intersection(inquiry.search_instances(consignment.study_instance_uid, series)))
        wanted = sum(len(instances) for instances in ours.values())
        if there < wanted:
            raise DestinationUnreachable(f"{name} lists {there} of {wanted} instances so far")
        return there

    def _later(self, consignment: Consignment, name: str, attempt: int, error: DestinationUnreachable) -> StepResult:
        """Try again after a while, or leave it to a person after many attempts."""
        if attempt >= self._give_up_after:
            return self._stop(consignment, name, f"given up after {attempt} attempts: {error.reason}", error.help)
        seconds = pause(attempt, _LONGEST_PAUSE_SECONDS)
        self._tell(consignment, name, "waiting", f"{error.reason}; attempt {attempt + 1} in {seconds:.0f} s.")
        return RetryLater(reason=error.reason, seconds=seconds)

    def _stop(self, consignment: Consignment, name: str, reason: str, advice: str) -> StepResult:
        """Leave it to a person, with what happened and what to do."""
        self._tell(consignment, name, "needs operator", f"Not delivered to {name}: {reason}. {advice}")
        return NeedsOperator(reason=reason, help=advice)

    def _tell(self, consignment: Consignment, name: str, state: str, text: str) -> None:
        with self._ledger.transaction() as tx:
            write_event(
                tx,
                consignment.study_instance_uid,
                at=self._clock.now(),
                step="deliver",
                state=state,
                text=text,
                detail={"derivation": consignment.key, "destination": name},
            )
