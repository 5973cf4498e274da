"""The rules in a terminal: facts, versions, the draft, what differs, and what would change."""

from collections.abc import Iterator, Sequence
from difflib import unified_diff

from rich.markup import escape
from rich.table import Table

from dicomnode.domain.rule_book import Change, Draft, Publication, PublicationKind, RuleChange, WhatIf
from dicomnode.journey.fact_search import FoundFact
from dicomnode.rules.ruleset import RuleSet

_STYLES = {"+": "green", "-": "red", "@": "dim"}
_SHOWN_VALUES = 8


def fact_table(found: Sequence[FoundFact]) -> Table:
    """Lay out facts: where each is asked for, its name, type and meaning."""
    table = _table("of", "name", "type", "what it is")
    for one in found:
        values = one.field.values[:_SHOWN_VALUES]
        more = ", …" if len(one.field.values) > _SHOWN_VALUES else ""
        closed = f" [{', '.join(values)}{more}]" if values else ""
        table.add_row(one.scope, one.field.name, one.field.type, escape(f"{one.field.description}{closed}"))
    return table


def rule_table(rules: RuleSet) -> Table:
    """Lay out the rules of a version in their order."""
    table = _table("rule", "state", "what for")
    for rule in rules.rules:
        state = "[green]enabled[/]" if rule.enabled else "[dim]disabled[/]"
        table.add_row(rule.name, f"{state} on trial" if rule.shadow else state, escape(rule.description))
    return table


def publication_table(publications: Sequence[Publication]) -> Table:
    """Lay out which versions came into force, the latest first."""
    table = _table("number", "version", "since", "how", "by", "why")
    for one in publications:
        table.add_row(str(one.number), one.version, _time(one), one.kind, escape(_people(one)), escape(one.reason))
    return table


def publication_line(publication: Publication) -> str:
    """Say which version came into force, by whom and why."""
    how = "again " if publication.kind is PublicationKind.ROLLED_BACK else ""
    return (
        f"version [bold]{publication.version}[/] is {how}in force since {_time(publication)}, "
        f"by {escape(_people(publication))}: {escape(publication.reason)}"
    )


def draft_line(draft: Draft) -> str:
    """Say how the draft stands."""
    proposed = f", proposed by {escape(draft.proposed_by)}: {escape(draft.proposal)}" if draft.proposed_by else ""
    return (
        f"draft {draft.number}, begun as version {draft.base}, last changed by {escape(draft.changed_by)} at "
        f"{draft.changed_at.astimezone():%Y-%m-%d %H:%M}{proposed}"
    )


def change_lines(changes: Sequence[RuleChange]) -> Iterator[str]:
    """Write what differs, a block for each rule, as a diff of its YAML."""
    for change in changes:
        yield f"[bold]{escape(change.rule)}[/] {change.change}"
        if change.change is Change.MOVED:
            continue
        for line in list(unified_diff(change.before.splitlines(), change.after.splitlines(), lineterm="", n=2))[2:]:
            style = _STYLES.get(line[:1])
            yield f"  [{style}]{escape(line)}[/]" if style else f"  {escape(line)}"


def what_if_table(result: WhatIf) -> Table:
    """Lay out the decisions that would change."""
    table = _table("study UID", "rule", "what would change")
    for one in result.changes:
        table.add_row(one.study_instance_uid, one.rule, one.in_words)
    return table


def what_if_summary(result: WhatIf) -> str:
    """Say how many studies were asked, and how many would be decided otherwise."""
    changed = len({one.study_instance_uid for one in result.changes})
    skipped = f"; {len(result.skipped)} skipped, because their facts are not kept" if result.skipped else ""
    return f"{changed} of {result.studies} studies would be decided otherwise ({result.seconds:.1f} s){skipped}."


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("number", "version"))
    return table


def _time(publication: Publication) -> str:
    return f"{publication.at.astimezone():%Y-%m-%d %H:%M}"


def _people(publication: Publication) -> str:
    approved = f", approved by {publication.approved_by}" if publication.approved_by else ""
    return f"{publication.by}{approved}"
