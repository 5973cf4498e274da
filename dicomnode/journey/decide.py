"""Decide: the facts of a study meet the rules; every rule's answer is recorded with its reasons."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from dicomnode.domain.errors import (
    InvalidRule,
    InvalidValue,
    LedgerUnavailable,
    MalformedInstance,
    NotInLedger,
)
from dicomnode.domain.ports import Clock
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater, StepResult
from dicomnode.domain.study import Arrival, Origin, StoredInstance, StudyFacts, StudySource
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.engine.queues import Argument, Queues
from dicomnode.imaging.json_data_set import data_set_of
from dicomnode.imaging.series_facts import is_own_output, study_facts
from dicomnode.journey.act import Acting
from dicomnode.journey.index import HeaderIndex
from dicomnode.journey.jobs import pause
from dicomnode.journey.kept_facts import encode_study
from dicomnode.ledger.arrivals import list_arrivals
from dicomnode.ledger.revisions import keep_rule_set, mark_decided
from dicomnode.ledger.studies import list_instances
from dicomnode.ledger.study_facts import keep_study_facts
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.rules.decide import decide
from dicomnode.rules.replay import StudyAsDecided
from dicomnode.rules.ruleset import RuleSet
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import Registry

_OWN_OUTPUT = "made by a dicomnode (Contributing Equipment): own outputs make no new work"
_LONGEST_PAUSE_SECONDS = 60.0
_RELEASE_HELP = "The timeline of the study says why. Release it there when it may go on."


class Deciding:
    """The step that applies the rules in force to one revision of a study; which these are is asked each time."""

    def __init__(  # noqa: PLR0913  the rooms it joins
        self,
        ledger: Ledger,
        spool: Spool,
        queues: Queues,
        clock: Clock,
        rules: Callable[[], RuleSet],
        registry: Registry,
        *,
        destinations: Collection[str] | None = None,
    ) -> None:
        """Take the destinations that are configured; None where nobody says."""
        self._ledger = ledger
        self._index = HeaderIndex(ledger, spool)
        self._clock = clock
        self._rules = rules
        self._acting = Acting(queues, clock, registry, destinations)

    def __call__(self, *arguments: Argument, attempt: int) -> StepResult:
        """Decide a revision: arguments are the Study Instance UID and the revision's number."""
        revision = (StudyInstanceUID(str(arguments[0])), int(arguments[1]))
        try:
            return self._decide_or_tell(revision)
        except LedgerUnavailable as error:
            return RetryLater(reason=error.reason, seconds=pause(attempt, _LONGEST_PAUSE_SECONDS))

    def _decide_or_tell(self, revision: tuple[StudyInstanceUID, int]) -> StepResult:
        """Decide, or leave the study to a person with the reason in its timeline; raises LedgerUnavailable."""
        try:
            return self._decide(revision)
        except (NotInLedger, InvalidValue, MalformedInstance, InvalidRule) as error:
            said = f"Revision {revision[1]} cannot be decided: {error.reason}. {error.help}"
            with self._ledger.transaction() as tx:
                self._tell(tx, revision, "needs operator", said)
            return NeedsOperator(reason=error.reason, help=error.help)

    def _decide(self, revision: tuple[StudyInstanceUID, int]) -> StepResult:
        with self._ledger.transaction() as tx:
            instances, arrivals = list_instances(tx, revision[0]), list_arrivals(tx, revision[0])
        received = [instance for instance in instances if instance.origin is Origin.RECEIVED]
        facts, excluded = gather_facts(self._index, received, arrivals)
        rules, now = self._rules(), self._clock.now()
        seen = StudyAsDecided(facts=facts, excluded=excluded, at=now.astimezone())
        decisions = decide(rules, facts, excluded, at=seen.at)
        asked = self._acting.plan(revision, decisions, received)
        with self._ledger.transaction() as tx:
            keep_rule_set(tx, rules.version, rules.model_dump(mode="json"), now)
            keep_study_facts(tx, revision, encode_study(seen))
            recorded = [self._acting.record(tx, revision, one, received) for one in asked]
            mark_decided(tx, revision, self._clock.now())
            if all(one.is_new for one in recorded) and not any(one.decision.fired for one in asked):
                said = f"No rule fired ({len(asked)} looked at revision {revision[1]}); each says why below."
                self._tell(tx, revision, "nothing", said)
        if any(one.is_held for one in recorded):
            return NeedsOperator(reason="a synthesis waits for a person to release it", help=_RELEASE_HELP)
        return Done(said=f"{sum(one.is_work for one in asked)} of {len(asked)} rules ask for work")

    def _tell(
        self,
        tx: Transaction,
        revision: tuple[StudyInstanceUID, int],
        state: str,
        text: str,
    ) -> None:
        """Add a line about a revision to the timeline of its study."""
        about = {"revision": revision[1]}
        write_event(tx, revision[0], at=self._clock.now(), step="decide", state=state, text=text, detail=about)


def gather_facts(
    index: HeaderIndex, instances: Sequence[StoredInstance], arrivals: Sequence[Arrival] = ()
) -> tuple[StudyFacts, Mapping[SeriesInstanceUID, str]]:
    """Turn the headers of a study's instances into facts, and name the series that are the node's own outputs.

    `arrivals` tell who sent them and when, which rules ask for in the site's own time. Raises MalformedInstance when
    an instance cannot be read: nothing is decided on a part of a study.
    """
    datasets = [data_set_of(header) for header in index.whole(instances)]
    own = {SeriesInstanceUID(dataset.SeriesInstanceUID) for dataset in datasets if is_own_output(dataset)}
    return study_facts(datasets, _source(arrivals)), dict.fromkeys(own, _OWN_OUTPUT)


def _source(arrivals: Sequence[Arrival]) -> StudySource | None:
    """Put the times into the site's own zone, whose hours the rules mean."""
    local = tuple(
        replace(
            one,
            first_received_at=one.first_received_at.astimezone(),
            last_received_at=one.last_received_at.astimezone(),
        )
        for one in arrivals
    )
    return StudySource(arrivals=local) if local else None
