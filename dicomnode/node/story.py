"""A study's story in a terminal: its timeline, why rules fired or not, and what was made of it."""

from collections.abc import Sequence

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from dicomnode.domain.rule import Decision, Explanation
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
    bindings = [f"input {bound['role']}: {bound['why']}" for bound in decision.bindings]
    verdict = "fired" if decision.fired and not decision.problem else "did not fire"
    title = Text.assemble("Rule ", (decision.rule, "bold"), f" {verdict} on revision {decision.revision}")
    return _reasons(title.append(f" (rule set {decision.rule_set_version})", "dim"), decision, bindings)


def answer_tree(decision: Decision) -> Tree:
    """Draw what a rule would do, and why."""
    if decision.problem:
        verdict, style = "matches, but a person would have to look", "yellow"
    elif decision.fired:
        verdict, style = "would fire", "green"
    else:
        verdict, style = "would not fire", "bold"
    bindings = [f"input {bound.role}: {bound.why}" for bound in decision.bindings]
    title = Text.assemble("Rule ", (decision.rule, "bold"), (f" {verdict}", style))
    return _reasons(title, decision, bindings)


def _reasons(title: Text, decision: Decision | DecisionRecord, bindings: Sequence[str]) -> Tree:
    tree = Tree(title)
    _grow(tree, decision.explanation)
    for text in bindings:
        tree.add(Text(text))
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
