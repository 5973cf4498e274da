"""A study's story in a terminal: its timeline, why rules fired or not, and what was made of it."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from dicomnode.domain.rule import (
    Action,
    Decision,
    Explanation,
    HoldAction,
    IgnoreAction,
    RouteAction,
    RuleAction,
)
from dicomnode.domain.study import StudyFacts
from dicomnode.ledger.studies import DecisionRecord, DerivationRecord
from dicomnode.ledger.timeline import Event

_STATE_STYLES = {
    "done": "green",
    "running": "cyan",
    "waiting": "yellow",
    "conflict": "yellow",
    "held": "yellow",
    "removed": "dim",
}
_SHOWN_FACTS = ("Modality", "Weighting", "Orientation", "NumberOfInstances", "BodyPartExamined", "ContrastEnhanced")


class Bound(NamedTuple):
    """Which series plays a role, why, and what the others lost by."""

    role: str
    why: str
    lost: Sequence[str]


def state_style(state: str) -> str:
    """Choose the colour of a state word; anything a person has to look at is red."""
    return _STATE_STYLES.get(state, "red")


def timeline_table(events: tuple[Event, ...]) -> Table:
    """Lay out a study's timeline."""
    table = Table(title="Timeline", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("time", "step", "state", "seconds", "what happened"):
        table.add_column(column, justify="right" if column == "seconds" else "left", overflow="fold")
    for event in events:
        seconds = f"{event.seconds:.1f}" if event.seconds is not None else ""
        style = state_style(event.state)
        state = Text(event.state, style=style)
        table.add_row(f"{event.at.astimezone():%H:%M:%S}", event.step, state, seconds, event.text)
    return table


def decision_tree(decision: DecisionRecord) -> Tree:
    """Draw why a recorded rule fired or not."""
    bindings = [Bound(bound["role"], bound["why"], bound.get("lost", ())) for bound in decision.bindings]
    verdict = "fired" if decision.fired and not decision.problem else "did not fire"
    on_trial = ", on trial (shadow)," if decision.shadow else ""
    title = Text.assemble("Rule ", (decision.rule, "bold"), f"{on_trial} {verdict} on revision {decision.revision}")
    return _reasons(title.append(f" (rule set {decision.rule_set_version})", "dim"), decision, bindings)


def answer_tree(decision: Decision) -> Tree:
    """Draw what a rule would do, and why."""
    if decision.problem:
        verdict, style = "matches, but a person would have to look", "yellow"
    elif decision.fired:
        verdict, style = "would fire", "green"
    else:
        verdict, style = "would not fire", "bold"
    bindings = [Bound(bound.role, bound.why, bound.lost) for bound in decision.bindings]
    on_trial = ", on trial (shadow)," if decision.shadow else ""
    title = Text.assemble("Rule ", (decision.rule, "bold"), on_trial, (f" {verdict}", style))
    tree = _reasons(title, decision, bindings)
    for action in decision.actions:
        tree.add(Text(_in_words(action), style="green"))
    return tree


def _in_words(action: RuleAction) -> str:
    """Say what a rule asks for."""
    match action:
        case Action():
            return f"synthesise with {action.model}, send to {', '.join(action.destinations) or 'nowhere'}"
        case RouteAction():
            return f"send {len(action.series)} series as they are to {', '.join(action.destinations)}"
        case HoldAction():
            return f"hold the study: {action.reason}"
        case IgnoreAction():
            return f"ignore the study: {action.reason}"


def _reasons(title: Text, decision: Decision | DecisionRecord, bindings: Sequence[Bound]) -> Tree:
    tree = Tree(title)
    _grow(tree, decision.explanation)
    for bound in bindings:
        branch = tree.add(Text(f"input {bound.role}: {bound.why}"))
        for text in bound.lost:
            branch.add(Text(text, style="dim"))
    for excluded in decision.excluded:
        tree.add(Text(f"not looked at: {excluded}", style="dim"))
    if decision.problem:
        tree.add(Text(decision.problem, style="yellow"))
    return tree


def _grow(tree: Tree, explanation: Explanation) -> None:
    mark, style = ("✓", "green") if explanation.holds else ("✗", "red")
    branch = tree.add(Text.assemble((f"{mark} ", style), explanation.text))
    for child in explanation.children:
        _grow(branch, child)


def facts_tree(facts: StudyFacts) -> Tree:
    """Draw a study's series as the rules see them, with what their weighting was concluded from."""
    tree = Tree(Text(f"Study {facts.study_instance_uid}", style="bold"))
    for series in facts.series:
        seen = ", ".join(f"{name} {series.values[name]}" for name in _SHOWN_FACTS if series.values.get(name))
        why = series.evidence.get("Weighting")
        tree.add(Text.assemble(f"{series.label}: ", (seen, "cyan"), (f"  ({why})" if why else "", "dim")))
    return tree


def derivation_panel(derivation: DerivationRecord) -> Panel:
    """Show what was made: labels as written, checks with their verdicts, alignment and durations."""
    report = derivation.report or {}
    sections: list[Table] = []
    for title, name in (("Labels written", "labels"), ("Checks passed", "checks"), ("Seconds", "durations")):
        table = Table(
            title=title, title_justify="left", title_style="bold", box=None, show_header=False, pad_edge=False
        )
        table.add_column(style="cyan", no_wrap=True)
        table.add_column(overflow="fold")
        for key, value in (report.get(name) or {}).items():
            table.add_row(str(key), str(value))
        sections.append(table)
    alignment = Table(title="Alignment", title_justify="left", title_style="bold", box=None, show_header=False)
    for role, facts in (report.get("alignment") or {}).items():
        alignment.add_row(role, ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items()))
    title = f"{derivation.model_name} {derivation.model_version}, weights {derivation.weights_digest[:16]}…"
    return Panel(Group(*sections, alignment), title=title, title_align="left", border_style="yellow")
