"""Act: what follows from the rules' decisions is put down as work, once, and told in the timeline of the study."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from dicomnode.domain.derivation import Derivation, DerivationInput, DerivationState, LabelLanguage, derivation_key
from dicomnode.domain.errors import DestinationUnknown, ModelError
from dicomnode.domain.ports import Clock
from dicomnode.domain.rule import Action, Decision, HoldAction, IgnoreAction, LatePolicy, RouteAction, RuleAction
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import Queues
from dicomnode.journey.jobs import derive_job
from dicomnode.journey.route import put_down_route, route_key
from dicomnode.ledger.derivations import earlier_work, release_derivation, request_derivation, revive_derivation
from dicomnode.ledger.revisions import record_decision
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Transaction
from dicomnode.synthesis.registry import Registry

Revision = tuple[StudyInstanceUID, int]
_ON_TRIAL = " on trial (shadow)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One action of a rule that fired, with the derivation that it asks for, if it is one."""

    action: RuleAction
    key: str | None = None
    derivation: Derivation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A decision together with what follows from it."""

    decision: Decision
    works: tuple[Work, ...] = ()

    @property
    def is_work(self) -> bool:
        """Whether the rule asks for anything to be made or sent."""
        return any(work.key is not None for work in self.works)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """What is told of one action: the state word, the sentence, and the key of the work."""

    state: str
    text: str
    key: str | None = None
    is_held: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of a decision: whether it is new, and whether some of its work waits for a person."""

    is_new: bool
    is_held: bool = False


class Acting:
    """Turns decisions into work; a decision that is recorded already leads to nothing a second time."""

    def __init__(
        self, queues: Queues, clock: Clock, registry: Registry, destinations: Collection[str] | None = None
    ) -> None:
        """Take the destinations that are configured; None where whoever sends looks himself."""
        self._queues = queues
        self._clock = clock
        self._registry = registry
        self._destinations = destinations

    def plan(
        self, revision: Revision, decisions: Sequence[Decision], instances: Sequence[StoredInstance]
    ) -> tuple[Asked, ...]:
        """Say what the decisions on a revision ask for; a hold makes every synthesis of it wait for a person."""
        reasons = [
            f"rule “{decision.rule}” holds the study: {action.reason}"
            for decision in decisions
            for action in decision.actions
            if isinstance(action, HoldAction) and not decision.shadow
        ]
        return tuple(self._plan(revision, decision, instances, "; ".join(reasons)) for decision in decisions)

    def record(
        self, tx: Transaction, revision: Revision, asked: Asked, instances: Sequence[StoredInstance]
    ) -> Recorded:
        """Record one rule's answer, put down what follows, and tell it."""
        decision, keys = asked.decision, [work.key for work in asked.works]
        first = next((work.key for work in asked.works if work.derivation is not None), None)
        # The decision first: where it stands already, work must not be put down that nobody then enqueues.
        if not record_decision(tx, revision, decision, first, self._clock.now(), keys):
            return Recorded(is_new=False)
        lines = list(self._put_down_all(tx, asked, instances))
        if decision.problem:
            lines.insert(0, _problem_line(decision))
        for line in lines:
            about = {"revision": revision[1], "rule": decision.rule, "derivation": line.key}
            now = self._clock.now()
            write_event(tx, revision[0], at=now, step="decide", state=line.state, text=line.text, detail=about)
        return Recorded(is_new=True, is_held=any(line.is_held for line in lines))

    def _plan(self, revision: Revision, decision: Decision, instances: Sequence[StoredInstance], hold: str) -> Asked:
        works, problems = [], [decision.problem] if decision.problem else []
        for action in decision.actions:
            try:
                works.append(self._work(revision, decision, action, instances))
            except (ModelError, DestinationUnknown) as error:
                problems.append(f"{error.reason}. {error.help}")
                works.append(Work(action=action))
        if hold and not decision.shadow:
            works = [_held(work, hold) for work in works]
        return Asked(decision=replace(decision, problem=" ".join(problems) or None), works=tuple(works))

    def _work(
        self, revision: Revision, decision: Decision, action: RuleAction, instances: Sequence[StoredInstance]
    ) -> Work:
        """Say what follows from an action; raises ModelError, DestinationUnknown."""
        if isinstance(action, Action | RouteAction) and not decision.shadow:
            self._require_destinations(action.destinations)
        if isinstance(action, Action):
            derivation = self._derivation(revision, decision, action, instances)
            return Work(action=action, key=derivation.key, derivation=derivation)
        is_sent = isinstance(action, RouteAction) and not decision.shadow
        return Work(action=action, key=route_key(revision, decision.rule) if is_sent else None)

    def _require_destinations(self, names: Sequence[str]) -> None:
        """Find out now what nobody would ever send: each destination has a queue of its own."""
        unknown = [] if self._destinations is None else [name for name in names if name not in self._destinations]
        if unknown:
            raise DestinationUnknown(f"no destination {', '.join(unknown)} is configured on this node")

    def _derivation(
        self, revision: Revision, decision: Decision, action: Action, instances: Sequence[StoredInstance]
    ) -> Derivation:
        """Turn an action into the derivation it asks for; raises ModelError."""
        model = self._registry.entry(action.model).identity
        inputs = _inputs(action, instances)
        is_english = action.label_language is LabelLanguage.ENGLISH
        other = [*([] if is_english else [action.label_language.value]), *(["shadow"] if decision.shadow else [])]
        return Derivation(
            key=derivation_key(inputs, decision.rule, model, action.target_role, action.preparation, *other),
            study_instance_uid=revision[0],
            revision=revision[1],
            rule=decision.rule,
            model=model,
            target_role=action.target_role,
            inputs=inputs,
            destinations=() if decision.shadow else action.destinations,
            priority=action.priority,
            preparation=action.preparation,
            decided_at=self._clock.now(),
            shadow=decision.shadow,
            label_language=action.label_language,
            superseded=action.superseded,
        )

    def _put_down_all(self, tx: Transaction, asked: Asked, instances: Sequence[StoredInstance]) -> Iterator[_Line]:
        rule = f"Rule “{asked.decision.rule}”"
        for work in asked.works:
            match work.action:
                case Action():
                    if work.derivation is not None:
                        yield self._put_down(tx, rule, work.derivation, work.action)
                case RouteAction():
                    yield self._route(tx, rule, (work.key, work.action), instances)
                case HoldAction():
                    told = "would hold the study, on trial (shadow)" if asked.decision.shadow else "holds the study"
                    yield _Line(state="held", text=f"{rule} {told}: {work.action.reason}.")
                case IgnoreAction():
                    yield _Line(state="nothing", text=f"{rule} says to ignore the study: {work.action.reason}.")

    def _put_down(self, tx: Transaction, rule: str, derivation: Derivation, action: Action) -> _Line:
        """Enqueue a synthesis, or hold it, unless it was asked for before and what it made is still here."""
        derivation = _held_if_late(tx, derivation, action)
        round_ = 1 if request_derivation(tx, derivation) else revive_derivation(tx, derivation)
        is_held = derivation.state is DerivationState.HELD
        if round_ is None and not is_held:
            round_ = release_derivation(tx, derivation.key)
        key, model = derivation.key, f"{derivation.model.name} {derivation.model.version}"
        fired = f"{rule} fired{_ON_TRIAL if derivation.shadow else ''}"
        if round_ is None:
            said = f"{rule} fired again on the same content: that work is already asked for, nothing new."
            return _Line(state="done", text=said, key=key)
        if is_held:
            said = f"{fired}: {model} waits for a person to release it, because {derivation.reason}."
            return _Line(state="needs operator", text=said, key=key, is_held=True)
        self._queues.enqueue(tx, derive_job(derivation, round_))
        never = "; it is measured and never sent" if derivation.shadow else ""
        return _Line(state="done", text=f"{fired}: synthesise with {model}{never}.", key=key)

    def _route(
        self, tx: Transaction, rule: str, work: tuple[str | None, RouteAction], instances: Sequence[StoredInstance]
    ) -> _Line:
        """Queue series as they are, or say that a rule on trial would."""
        key, action = work
        places = ", ".join(action.destinations)
        if key is None:
            said = f"{rule} fired{_ON_TRIAL}: {len(action.series)} series would go to {places} as they are."
            return _Line(state="done", text=said)
        sent = put_down_route(tx, self._queues, (key, action), instances, self._clock.now())
        told = ", ".join(f"{count} instances to {destination}" for destination, count in sent.items() if count)
        if not told:
            said = f"{rule} fired again: all that it routes went to {places} before, nothing new."
            return _Line(state="done", text=said, key=key)
        said = f"{rule} fired: {told}, as they were received ({len(action.series)} series)."
        return _Line(state="done", text=said, key=key)


def _problem_line(decision: Decision) -> _Line:
    """Ask for a person; of a rule on trial nobody has to be asked."""
    rule = f"Rule “{decision.rule}”"
    if decision.shadow:
        return _Line(state="nothing", text=f"{rule} would match{_ON_TRIAL}, and ask for a person: {decision.problem}")
    return _Line(state="needs operator", text=f"{rule} matches, but a person has to look: {decision.problem}")


def _held(work: Work, reason: str) -> Work:
    """Make a synthesis wait for a person."""
    if work.derivation is None:
        return work
    return replace(work, derivation=replace(work.derivation, state=DerivationState.HELD, reason=reason))


def _held_if_late(tx: Transaction, derivation: Derivation, action: Action) -> Derivation:
    """Hold a synthesis whose rule wants a person asked when a study comes again with other content."""
    if action.late is not LatePolicy.HOLD or derivation.state is DerivationState.HELD or derivation.revision == 1:
        return derivation
    earlier = earlier_work(tx, derivation)
    if earlier is None:
        return derivation
    reason = f"revision {derivation.revision} brings other content than revision {earlier.revision} had"
    return replace(derivation, state=DerivationState.HELD, reason=reason)


def _inputs(action: Action, instances: Sequence[StoredInstance]) -> tuple[DerivationInput, ...]:
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
        for bound in sorted(action.bindings, key=lambda bound: bound.role)
    )
