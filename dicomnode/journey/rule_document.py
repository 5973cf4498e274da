"""A document of rules as somebody wrote it: whether a node can decide by it, and what is kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.model_card import InputRole
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.rules.links import broken_links
from dicomnode.rules.ruleset import RuleSet, load_rule_set


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleScope:
    """What the rules of a node may name, and whether it takes two people to publish them."""

    models: Mapping[str, Mapping[str, InputRole]]
    """Name of an installed model -> its roles."""
    destinations: tuple[str, ...]
    second_person: bool = False


def read_document(document: object) -> RuleSet:
    """Read a document with the facts of this version; raises InvalidRule with a line for each problem."""
    check_texts(document)
    return load_rule_set(document, fact_catalogue())


def document_problems(document: object, scope: RuleScope) -> tuple[str, ...]:
    """Say all that is wrong with a document, a sentence each: grammar, facts, models, roles and destinations."""
    try:
        rules = read_document(document)
    except InvalidRule as error:
        return tuple(error.reason.splitlines())
    return tuple(broken_links(rules, scope.models, scope.destinations))


def check_texts(document: object) -> None:
    """Refuse texts that no database and no page could show: half characters and NUL; raises InvalidRule.

    What stands in several places (an alias of YAML) is looked at once, so that no document takes for ever.
    """
    pending, seen = [document], set[int]()
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            if "\0" in node or any("\ud800" <= one <= "\udfff" for one in node):
                raise InvalidRule("rule set: a text has a character in it that cannot be kept (NUL, or half of one)")
        elif id(node) not in seen:
            seen.add(id(node))
            pending.extend(_parts(node))


def as_written(document: object) -> dict[str, object]:
    """Turn a checked document into values that JSON knows; nothing is added, left out or put in another order."""
    plain = _plain(document)
    if not isinstance(plain, dict):
        raise InvalidRule("rule set: must be a mapping (key: value)")
    return plain


def _parts(node: object) -> list[object]:
    if isinstance(node, Mapping):
        return [*node.keys(), *node.values()]
    return list(node) if isinstance(node, list | tuple) else []


def _plain(node: object) -> object:
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(item) for item in node]
    return node.isoformat() if isinstance(node, date) else node
