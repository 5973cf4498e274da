"""A rule in plain words, as the pages and the editor show it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dicomnode.domain.rule import Action, HoldAction, RouteAction, RuleAction
from dicomnode.rules.actions import Consequence, Holding, Preference, Routing, Synthesis
from dicomnode.rules.conditions import StudyGroup
from dicomnode.rules.explain import in_words, shown_value
from dicomnode.rules.rule import Rule
from dicomnode.web.words import plural

_STAT = 1
_HEADINGS = {
    ("and", False): "all of these hold",
    ("or", False): "any of these holds",
    ("and", True): "not all of these hold",
    ("or", True): "none of these holds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that a rule asks for."""

    heading: str
    lines: tuple[str, ...]
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleWords:
    """A rule in plain words."""

    name: str
    description: str
    enabled: bool
    shadow: bool
    fallback: bool
    window: str
    """When it is asked at all; empty for always."""
    heading: str
    conditions: tuple[str, ...]
    asks: tuple[Asked, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it uses."""
        return tuple(one.model for one in self.asks if one.model)


def describe(rule: Rule) -> RuleWords:
    """Put a rule in words."""
    return RuleWords(
        name=rule.name,
        description=rule.description,
        enabled=rule.enabled,
        shadow=rule.shadow,
        fallback=rule.fallback,
        window=rule.window.in_words() if rule.window else "",
        heading=_heading(rule.when),
        conditions=tuple(in_words(one) for one in rule.when.rules) if rule.when else (),
        asks=tuple(_asked(one) for one in rule.consequences),
    )


def outline(rule: Mapping[str, object]) -> RuleWords:
    """Say of a rule that cannot be read what it calls itself."""
    return RuleWords(
        name=str(rule.get("name", "")),
        description=str(rule.get("description", "")),
        enabled=rule.get("enabled") is not False,
        shadow=bool(rule.get("shadow")),
        fallback=bool(rule.get("fallback")),
        window="",
        heading="",
        conditions=(),
        asks=(),
    )


def action_in_words(action: RuleAction) -> str:
    """Say what is done for a study."""
    if isinstance(action, Action):
        return f"synthesise with {action.model} on the slices of {action.target_role}{_sent(action.destinations)}"
    if isinstance(action, RouteAction):
        count = len(action.series)
        return f"route {count} series as {'it is' if count == 1 else 'they are'}{_sent(action.destinations)}"
    return f"hold for a person: {action.reason}" if isinstance(action, HoldAction) else f"ignore: {action.reason}"


def _heading(when: StudyGroup | None) -> str:
    if when is None:
        return "no other rule fired"
    return "" if len(when.rules) == 1 and not when.negated else _HEADINGS[when.combinator, when.negated]


def _asked(consequence: Consequence) -> Asked:
    if isinstance(consequence, Synthesis):
        lines = (*_inputs(consequence), *_sending(consequence), *_further(consequence))
        return Asked(heading=f"Synthesise with {consequence.model}", lines=tuple(lines), model=consequence.model)
    if isinstance(consequence, Routing):
        lines = (f"every series for which {in_words(consequence.series)}", *_sending(consequence))
        return Asked(heading="Route as it is", lines=lines)
    heading = "Hold for a person" if isinstance(consequence, Holding) else "Ignore"
    return Asked(heading=heading, lines=(consequence.reason,))


def _inputs(synthesis: Synthesis) -> Iterator[str]:
    for role, selection in synthesis.inputs.items():
        prefer = ", then ".join(_preferred(one) for one in selection.prefer)
        grid = " (its slices)" if role == synthesis.target else ""
        yield f"{role}{grid}: {in_words(selection)}{f'; prefers {prefer}' if prefer else ''}"


def _preferred(preference: Preference) -> str:
    if preference.nearest:
        return f"the {preference.field} nearest to that of {preference.nearest}"
    if preference.order:
        return f"the {preference.order} {preference.field}"
    return f"{preference.field} {shown_value(preference.fact, preference.value)}"


def _sending(consequence: Synthesis | Routing) -> Iterator[str]:
    yield f"sent to {', '.join(consequence.destinations)}" if consequence.destinations else "stays on this node"
    priority = consequence.priority
    yield f"priority {priority}{' (STAT)' if priority == _STAT else ''}"


def _further(synthesis: Synthesis) -> Iterator[str]:
    prepared = synthesis.preparation
    if prepared.alignment == "rigid":
        yield "inputs are registered (rigid)"
    if prepared.missing_slices:
        yield f"up to {plural(prepared.missing_slices, 'missing slice')} interpolated"
    if synthesis.late == "hold":
        yield "late slices: hold and tell"
    if synthesis.superseded == "withdraw":
        yield "an older result is withdrawn"
    if synthesis.label_language != "en":
        yield f"label in {synthesis.label_language}"


def _sent(destinations: tuple[str, ...]) -> str:
    return f", sent to {', '.join(destinations)}" if destinations else ", kept on this node"
