"""What differs between two documents of rules, rule by rule, in a form that a person can compare."""

from collections.abc import Iterator, Mapping
from datetime import date
from difflib import SequenceMatcher

from pydantic import BaseModel

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.facts import FactCatalogue
from dicomnode.domain.rule_book import Change, RuleChange
from dicomnode.rules.ruleset import load_rule_set
from dicomnode.rules.window import Window
from dicomnode.rules.yaml_document import write_yaml


def rule_changes(
    before: Mapping[str, object], after: Mapping[str, object], catalogue: FactCatalogue
) -> tuple[RuleChange, ...]:
    """List the rules that were added, removed, changed or moved; how something is written makes no difference."""
    old, new = _rules(before, catalogue), _rules(after, catalogue)
    moved = _moved([name for name in old if name in new], [name for name in new if name in old])
    return tuple(
        RuleChange(rule=name, change=change, before=old.get(name, ""), after=new.get(name, ""))
        for name in dict.fromkeys((*new, *old))
        for change in _change(old.get(name), new.get(name), is_moved=name in moved)
    )


def _change(old: str | None, new: str | None, *, is_moved: bool) -> Iterator[Change]:
    if old is None:
        yield Change.ADDED
    elif new is None:
        yield Change.REMOVED
    elif old != new:
        yield Change.CHANGED
    elif is_moved:
        yield Change.MOVED


def _moved(old: list[str], new: list[str]) -> set[str]:
    """Find the fewest names that changed their place: those outside the longest runs that both orders share."""
    matcher = SequenceMatcher(a=old, b=new, autojunk=False)
    stayed = {name for block in matcher.get_matching_blocks() for name in old[block.a : block.a + block.size]}
    return set(new) - stayed


def _rules(document: Mapping[str, object], catalogue: FactCatalogue) -> dict[str, str]:
    """Write each rule as YAML by its name: in short, or as it stands where this version cannot read the document."""
    try:
        return {rule.name: write_yaml(_short(rule)) for rule in load_rule_set(document, catalogue).rules}
    except InvalidRule:
        rules = document.get("rules")
        listed = rules if isinstance(rules, list) else []
        return {_name(rule, place): write_yaml(rule) for place, rule in enumerate(listed, 1)}


def _name(rule: object, place: int) -> str:
    return str(rule.get("name")) if isinstance(rule, Mapping) and rule.get("name") else f"rule number {place}"


def _short(node: object) -> object:
    """Write a part of a rule without what it says by saying nothing; a window has both its ends or neither."""
    if isinstance(node, Window):
        return node.model_dump(mode="json")
    if isinstance(node, BaseModel):
        return {
            field.alias or name: _short(getattr(node, name))
            for name, field in type(node).model_fields.items()
            if field.is_required() or getattr(node, name) != field.get_default(call_default_factory=True)
        }
    if isinstance(node, Mapping):
        return {str(key): _short(value) for key, value in node.items()}
    if isinstance(node, tuple | list):
        return [_short(item) for item in node]
    if isinstance(node, date):
        return node.isoformat()
    return str(node) if isinstance(node, str) else node
