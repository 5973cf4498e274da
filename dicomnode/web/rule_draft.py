"""Changing a document of rules: one rule put in its place, moved, taken away, switched on or off."""

from collections.abc import Mapping

from dicomnode.domain.errors import NotInLedger
from dicomnode.web.rule_editing import Document
from dicomnode.web.rule_form import actions_of, mapping, sequence


def rules_of(document: Mapping[str, object]) -> list[Mapping[str, object]]:
    """List the rules of a document."""
    return [mapping(rule) for rule in sequence(document.get("rules"))]


def place_of(document: Mapping[str, object], name: str) -> int:
    """Find a rule by its name; raises NotInLedger."""
    for index, rule in enumerate(rules_of(document)):
        if rule.get("name") == name:
            return index
    raise NotInLedger("the draft has no rule of this name; it may have been renamed or removed meanwhile")


def with_rule(document: Mapping[str, object], index: int, rule: Mapping[str, object]) -> Document:
    """Put a rule at a place of a document; behind the last one it is added."""
    rules = rules_of(document)
    rules[index : index + 1] = [rule]
    return {**document, "rules": rules}


def as_saved(rule: Mapping[str, object]) -> Document:
    """Write a rule the way people do: one synthesis is a mapping, several actions are a list."""
    actions = actions_of(rule)
    is_one = len(actions) == 1 and "synthesise" in actions[0]
    return {**rule, "then": actions[0]["synthesise"] if is_one else actions}


def changed_by_button(document: Mapping[str, object], button: str) -> Document:
    """Do what a button of the draft's list says: `up`, `down`, `remove`, `enable` or `disable`, and a rule's name.

    Raises NotInLedger where there is no such rule.
    """
    verb, _, name = button.partition(":")
    rules, index = rules_of(document), place_of(document, name)
    if verb == "remove":
        del rules[index]
    elif verb in ("enable", "disable"):
        rules[index] = _switched(rules[index], on=verb == "enable")
    elif verb in ("up", "down"):
        other = index + (-1 if verb == "up" else 1)
        if 0 <= other < len(rules):
            rules[index], rules[other] = rules[other], rules[index]
    return {**document, "rules": rules}


def _switched(rule: Mapping[str, object], *, on: bool) -> Document:
    """Switch a rule on or off; the key stands where people look for it, before the conditions."""
    others = {key: value for key, value in rule.items() if key not in ("name", "description", "enabled")}
    first = {key: rule[key] for key in ("name", "description") if key in rule}
    return {**first, **({} if on else {"enabled": False}), **others}
