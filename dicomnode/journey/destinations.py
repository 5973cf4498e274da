"""What a person can do with the destinations of the node: look, ask one whether it is there, pause it and resume it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from dicomnode.domain.delivery import Destination, Endpoint, OutgoingInstance
from dicomnode.domain.errors import DeliveryError, DestinationRefused, NotInLedger
from dicomnode.domain.peer import EchoOutcome, Verification
from dicomnode.domain.ports import Clock
from dicomnode.engine.queues import Queues
from dicomnode.journey.jobs import deliver_job
from dicomnode.ledger.deliveries import find_consignment
from dicomnode.ledger.destinations import (
    DeliveryTally,
    Pause,
    delivery_tally,
    list_destination_echoes,
    list_pauses,
    next_round,
    note_destination_echo,
    pause_destination,
    resume_destination,
)
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationState:
    """One destination: where it is, how deliveries to it stand, whether it is paused, and its last C-ECHO."""

    endpoint: Endpoint
    tally: DeliveryTally
    pause: Pause | None = None
    echo: EchoOutcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a test instance is written into a folder, and the way it goes to each destination."""

    make: Callable[[Path, datetime], OutgoingInstance]
    destinations: Sequence[Destination]


class DestinationBook:
    """The destinations that the settings name; what is changed here holds for all workers of the node."""

    def __init__(
        self,
        ledger: Ledger,
        queues: Queues,
        clock: Clock,
        verification: Verification,
        endpoints: Sequence[Endpoint],
        trial: Trial | None = None,
    ) -> None:
        self._ledger = ledger
        self._queues = queues
        self._clock = clock
        self._verification = verification
        self._endpoints = {endpoint.name: endpoint for endpoint in endpoints}
        self._trial = trial

    @property
    def can_try(self) -> bool:
        """Whether a test instance can be sent from here."""
        return self._trial is not None

    def names(self) -> tuple[str, ...]:
        """List the names that rules may use."""
        return tuple(self._endpoints)

    def states(self) -> tuple[DestinationState, ...]:
        """Describe all destinations, in the order of the settings."""
        with self._ledger.transaction() as tx:
            pauses, echoes = list_pauses(tx), list_destination_echoes(tx)
            return tuple(
                DestinationState(
                    endpoint=endpoint, tally=delivery_tally(tx, name), pause=pauses.get(name), echo=echoes.get(name)
                )
                for name, endpoint in self._endpoints.items()
            )

    def find(self, name: str) -> DestinationState:
        """Describe one destination; raises NotInLedger."""
        self._require(name)
        return next(state for state in self.states() if state.endpoint.name == name)

    def echo(self, name: str) -> EchoOutcome:
        """Ask a destination by C-ECHO whether it is there, and keep what came of it; raises NotInLedger."""
        endpoint = self._require(name)
        begun, failure = time.perf_counter(), ""
        try:
            self._verification.echo(endpoint)
        except DeliveryError as error:
            failure = error.reason
        milliseconds = (time.perf_counter() - begun) * 1000
        outcome = EchoOutcome(at=self._clock.now(), milliseconds=round(milliseconds, 1), failure=failure)
        with self._ledger.transaction() as tx:
            note_destination_echo(tx, name, outcome)
        return outcome

    def pause(self, name: str, by: str, reason: str) -> str:
        """Send nothing to a destination until it is resumed; its queue keeps. Raises NotInLedger."""
        self._require(name)
        with self._ledger.transaction() as tx:
            is_new = pause_destination(tx, name, Pause(at=self._clock.now(), by=by, reason=reason or "no reason given"))
        return f"{name} is paused; what goes there waits." if is_new else f"{name} was paused already."

    def resume(self, name: str, by: str) -> str:
        """Send what waits, and what comes; raises NotInLedger."""
        self._require(name)
        with self._ledger.transaction() as tx:
            keys = resume_destination(tx, name)
            if keys is None:
                return f"{name} was not paused."
            for key in keys:
                self._take_up(tx, key, name, by)
        return f"{name} is resumed; {len(keys)} derived series that waited go there now."

    def try_out(self, name: str) -> str:
        """Send one small test instance, labelled as such, to a destination; raises NotInLedger, DeliveryError."""
        self._require(name)
        place = self._place(name)
        if self._trial is None or place is None:
            raise NotInLedger(f"no test instance can be sent to {name} from this process")
        with TemporaryDirectory(prefix="dicomnode-trial-") as folder:
            (outcome,) = place.store((self._trial.make(Path(folder), self._clock.now()),))
        if not outcome.stored:
            said = f" ({outcome.comment})" if outcome.comment else ""
            raise DestinationRefused(f"{name} refused the test instance with status 0x{outcome.status:04X}{said}")
        return f"{name} took the test instance {outcome.sop_instance_uid}; it can be deleted there."

    def _place(self, name: str) -> Destination | None:
        places = self._trial.destinations if self._trial else ()
        return next((place for place in places if place.endpoint.name == name), None)

    def _take_up(self, tx: Transaction, key: str, name: str, by: str) -> None:
        """Make a new job of a delivery that waited for the end of a pause."""
        consignment = find_consignment(tx, key)
        self._queues.enqueue(tx, deliver_job(consignment, name, next_round(tx, key, name)))
        write_event(
            tx,
            consignment.study_instance_uid,
            at=self._clock.now(),
            step="deliver",
            state="waiting",
            text=f"{name} was resumed by {by}; the delivery goes on.",
            detail={"derivation": key, "destination": name},
        )

    def _require(self, name: str) -> Endpoint:
        if name not in self._endpoints:
            raise NotInLedger(f"no destination {name} is configured")
        return self._endpoints[name]
