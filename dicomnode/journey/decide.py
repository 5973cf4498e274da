"""Decide: the facts of a study meet the rules; every rule's answer is recorded with its reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dicomnode.domain.derivation import Derivation, DerivationInput, derivation_key
from dicomnode.domain.errors import (
    InvalidRule,
    InvalidValue,
    LedgerUnavailable,
    MalformedInstance,
    ModelError,
    NotInLedger,
)
from dicomnode.domain.ports import Clock
from dicomnode.domain.rule import Decision
from dicomnode.domain.steps import Done, NeedsOperator, RetryLater, StepResult
from dicomnode.domain.study import Origin, StoredInstance, StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.engine.queues import Argument, Queues
from dicomnode.imaging.json_data_set import data_set_of
from dicomnode.imaging.series_facts import is_own_output, study_facts
from dicomnode.journey.index import HeaderIndex
from dicomnode.journey.jobs import derive_job, pause
from dicomnode.ledger.derivations import request_derivation, revive_derivation
from dicomnode.ledger.revisions import keep_rule_set, mark_decided, record_decision
from dicomnode.ledger.studies import list_instances
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.rules.decide import decide
from dicomnode.rules.ruleset import RuleSet
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import Registry

_OWN_OUTPUT = "made by a dicomnode (Contributing Equipment): own outputs make no new work"
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A decision together with the work that follows from it, if any."""

    decision: Decision
    derivation: Derivation | None


class Deciding:
    """The step that applies the rules in force to one revision of a study."""

    def __init__(
        self, ledger: Ledger, spool: Spool, queues: Queues, clock: Clock, rules: RuleSet, registry: Registry
    ) -> None:
        self._ledger = ledger
        self._index = HeaderIndex(ledger, spool)
        self._queues = queues
        self._clock = clock
        self._rules = rules
        self._registry = registry

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
            instances = list_instances(tx, revision[0])
        received = [instance for instance in instances if instance.origin is Origin.RECEIVED]
        facts, excluded = gather_facts(self._index, received)
        decisions = decide(self._rules, facts, excluded, self._clock.now().astimezone().date())
        asked = tuple(self._ask(revision, decision, received) for decision in decisions)
        with self._ledger.transaction() as tx:
            keep_rule_set(tx, self._rules.version, self._rules.model_dump(mode="json"), self._clock.now())
            are_new = [self._record(tx, revision, one) for one in asked]
            mark_decided(tx, revision, self._clock.now())
            if all(are_new) and not any(one.decision.fired for one in asked):
                said = f"No rule fired ({len(asked)} looked at revision {revision[1]}); each says why below."
                self._tell(tx, revision, "nothing", said)
        return Done(said=f"{sum(one.derivation is not None for one in asked)} of {len(asked)} rules ask for work")

    def _ask(
        self, revision: tuple[StudyInstanceUID, int], decision: Decision, instances: Sequence[StoredInstance]
    ) -> Asked:
        """Turn a decision that fired into the derivation it asks for."""
        action = decision.action
        if not decision.fired or action is None:
            return Asked(decision=decision, derivation=None)
        try:
            model = self._registry.entry(action.model).identity
        except ModelError as error:
            return Asked(decision=replace(decision, problem=f"{error.reason}. {error.help}"), derivation=None)
        inputs = _inputs(decision, instances)
        derivation = Derivation(
            key=derivation_key(inputs, decision.rule, model, action.target_role, action.preparation),
            study_instance_uid=revision[0],
            revision=revision[1],
            rule=decision.rule,
            model=model,
            target_role=action.target_role,
            inputs=inputs,
            destinations=action.destinations,
            priority=action.priority,
            preparation=action.preparation,
            decided_at=self._clock.now(),
        )
        return Asked(decision=decision, derivation=derivation)

    def _record(self, tx: Transaction, revision: tuple[StudyInstanceUID, int], asked: Asked) -> bool:
        """Record one rule's answer and the work that follows; says whether the answer is new."""
        decision, derivation = asked.decision, asked.derivation
        key = derivation.key if derivation else None
        # The decision first: where it stands already, work must not be put down that nobody then enqueues.
        if not record_decision(tx, revision, decision, key, self._clock.now()):
            return False
        is_new_work = derivation is not None and self._put_down(tx, derivation)
        text, state = _in_words(asked, is_new_work=is_new_work)
        if text:
            self._tell(tx, revision, state, text, {"rule": decision.rule, "derivation": key})
        return True

    def _put_down(self, tx: Transaction, derivation: Derivation) -> bool:
        """Enqueue work, unless it was asked for before and what it made is still here."""
        round_ = 1 if request_derivation(tx, derivation) else revive_derivation(tx, derivation)
        if round_ is None:
            return False
        self._queues.enqueue(tx, derive_job(derivation, round_))
        return True

    def _tell(
        self,
        tx: Transaction,
        revision: tuple[StudyInstanceUID, int],
        state: str,
        text: str,
        detail: Mapping[str, str | None] | None = None,
    ) -> None:
        """Add a line about a revision to the timeline of its study."""
        now, about = self._clock.now(), {"revision": revision[1], **(detail or {})}
        write_event(tx, revision[0], at=now, step="decide", state=state, text=text, detail=about)


def gather_facts(
    index: HeaderIndex, instances: Sequence[StoredInstance]
) -> tuple[StudyFacts, Mapping[SeriesInstanceUID, str]]:
    """Turn the headers of a study's instances into facts, and name the series that are the node's own outputs.

    Raises MalformedInstance when one of them cannot be read: nothing is decided on a part of a study.
    """
    datasets = [data_set_of(header) for header in index.whole(instances)]
    own = {SeriesInstanceUID(dataset.SeriesInstanceUID) for dataset in datasets if is_own_output(dataset)}
    return study_facts(datasets), dict.fromkeys(own, _OWN_OUTPUT)


def _inputs(decision: Decision, instances: Sequence[StoredInstance]) -> tuple[DerivationInput, ...]:
    """List the instances of each bound series, sorted by UID so that the same content has one name."""
    return tuple(
        DerivationInput(
            role=bound.role,
            series_instance_uid=bound.series_instance_uid,
            sop_instance_uids=tuple(
                sorted(
                    instance.sop_instance_uid
                    for instance in instances
                    if instance.series_instance_uid == bound.series_instance_uid
                )
            ),
        )
        for bound in sorted(decision.bindings, key=lambda bound: bound.role)
    )


def _in_words(asked: Asked, *, is_new_work: bool) -> tuple[str, str]:
    """Say what a rule led to, and the state word; no words for a rule that simply did not match."""
    rule, problem = asked.decision.rule, asked.decision.problem
    if problem:
        return f"Rule “{rule}” matches, but a person has to look: {problem}", "needs operator"
    if asked.derivation is None:
        return "", ""
    model = asked.derivation.model
    if is_new_work:
        return f"Rule “{rule}” fired: synthesise with {model.name} {model.version}.", "done"
    return f"Rule “{rule}” fired again on the same content: that work is already asked for, nothing new.", "done"
