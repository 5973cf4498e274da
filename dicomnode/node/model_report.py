"""A model's card in a terminal: what it is for, its numbers beside their baselines, and its limits."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dicomnode.domain.model_card import Evaluation
from dicomnode.synthesis.registry import RegistryEntry


def card_report(entry: RegistryEntry) -> RenderableType:
    """Lay out a card."""
    card = entry.card
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in (
        ("summary", card.summary),
        ("intended use", card.intended_use),
        ("out of scope", card.out_of_scope),
        ("inputs", "; ".join(f"{role}: {', '.join(given.weighting)}" for role, given in card.inputs.items())),
        ("output", f"{card.output.label} on the grid of {card.target_role}"),
        ("training data", card.training_data),
        ("attribution", card.attribution or "none needed"),
        ("licence", card.licence),
        ("weights", entry.identity.weights_digest),
        ("host", "; ".join(entry.missing) or "can run here"),
    ):
        facts.add_row(name, value)
    title = Text(f"{card.name} {card.version} by {card.vendor}", style="bold")
    return Group(title, facts, *(_evaluation(card.evaluation) if card.evaluation else ["No evaluation on the card."]))


def _evaluation(evaluation: Evaluation) -> list[RenderableType]:
    """Lay out the numbers, each with its subject, region and baselines."""
    table = Table(title=f"Evaluation ({evaluation.metric_version})", title_justify="left", box=None, pad_edge=False)
    for column in ("metric", "region", "subject", "model", "baselines"):
        table.add_column(column, overflow="fold")
    for figure in evaluation.figures:
        baselines = ", ".join(f"{name} {value:.3f}" for name, value in figure.baselines.items())
        table.add_row(figure.metric, figure.region, figure.subject, f"{figure.value:.3f}", baselines)
    return [table, Text(f"Data: {evaluation.data}"), Text(evaluation.protocol), Text(f"Limits: {evaluation.limits}")]
