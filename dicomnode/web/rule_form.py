"""A rule as the fields of a form, and back: a field is named by its place in the rule's document.

`when.rules[0].value.rules[1].field` is the name of a field and, in the words of the check, the place of a problem. What
a person has typed is kept as it is: a number that is none stays text, so that the check can say so beside it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Literal

from dicomnode.domain.facts import FactCatalogue, FactField, FactType
from dicomnode.rules.conditions import SERIES, facts_in
from dicomnode.rules.operators import PRESENCE, Operator

Scope = Literal["study", "series"]
Pair = tuple[str, str]
Branch = dict[str | int, "Branch | list[str]"]
"""Fields by their places: under a name or a number lies another branch, or the texts of one field."""

ON = "on"
JOINED = ("and", "or", "not and", "not or")
KINDS = ("synthesise", "route", "hold", "ignore")
"""What a rule may ask for when it fires."""

_PART = re.compile(r"\.?([A-Za-z][\w-]*)|\[(\d{1,4})\]")
_MOST_PARTS = 64
_SEVERAL = (Operator.IN, Operator.NOT_IN, Operator.BETWEEN, Operator.CONTAINS_ANY, Operator.CONTAINS_ALL)
_NUMBERS = (FactType.NUMBER, FactType.NUMBER_LIST)
_WHOLE = re.compile(r"[+-]?\d{1,400}")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_FLAGS = ("shadow", "fallback")
_OPTIONS: Mapping[str, str] = {"label_language": "en", "late": "rerun", "superseded": "retain"}
"""Further keys of a synthesis, with what is meant where they are left out."""
_PREPARATION: Mapping[str, object] = {"alignment": "header", "missing_slices": 0}
_ROUTINE = 10
NEAREST_BY = "AcquisitionTime"
NEAREST = "nearest "
"""Begins the choice of a preference for the series that is nearest to a role's."""


def path_parts(path: str) -> tuple[str | int, ...]:
    """Take a place in a rule apart: names and numbers; nothing where it is no place."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        found = _PART.match(path, position)
        if found is None or len(parts) == _MOST_PARTS:
            return ()
        parts.append(found[1] if found[1] is not None else int(found[2]))
        position = found.end()
    return tuple(parts)


def rule_of(pairs: Iterable[Pair], catalogue: FactCatalogue) -> dict[str, object]:
    """Make the document of a rule of what a form sent; what is missing or wrong in it stays so, for the check."""
    branch = _branch(pairs)
    rule: dict[str, object] = {name: _text(branch, name) for name in ("name", "description")}
    if not _text(branch, "enabled"):
        rule["enabled"] = False
    rule.update({flag: True for flag in _FLAGS if _text(branch, flag)})
    if window := _window(_under(branch, "window")):
        rule["window"] = window
    if not _text(branch, "fallback"):
        rule["when"] = _group(_under(branch, "when"), "study", catalogue)
    rule["then"] = [_action(action, catalogue) for action in _numbered(_under(branch, "then"))]
    return rule


def pairs_of(rule: Mapping[str, object]) -> list[Pair]:
    """Give the fields that a form would send for a rule."""
    pairs = [(name, str(rule.get(name, ""))) for name in ("name", "description")]
    pairs += [(flag, ON) for flag in ("enabled", *_FLAGS) if rule.get(flag, flag == "enabled")]
    pairs += list(_pairs_of_window(mapping(rule.get("window"))))
    if not rule.get("fallback"):
        pairs += list(_pairs_of_group("when", mapping(rule.get("when"))))
    for index, action in enumerate(actions_of(rule)):
        pairs += list(_pairs_of_action(f"then[{index}]", action))
    return pairs


def actions_of(rule: Mapping[str, object]) -> list[Mapping[str, object]]:
    """List what a rule asks for; where it is one mapping with a model, that is one synthesis."""
    then = rule.get("then")
    if isinstance(then, Mapping):
        return [{"synthesise": then} if "model" in then else then]
    return [mapping(action) for action in sequence(then)]


def mapping(value: object) -> Mapping[str, object]:
    """Give a mapping of a document as one; anything else is an empty one."""
    return value if isinstance(value, Mapping) else {}


def sequence(value: object) -> Sequence[object]:
    """Give a list of a document as one; anything else is an empty one."""
    return value if isinstance(value, list | tuple) else ()


def texts_of(value: object) -> list[str]:
    """Write a value of a condition as the texts of its fields."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    return [_written(value)]


def fact_named(catalogue: FactCatalogue, scope: Scope, name: str) -> FactField | None:
    """Find a fact; None while its name is not right."""
    return facts_in(catalogue, scope).get(name)


def joined(group: Mapping[str, object]) -> str:
    """Say in one word how the conditions of a group hang together."""
    return f"{'not ' if group.get('not') else ''}{group.get('combinator', 'and')}"


def preferred_field(preference: Mapping[str, object]) -> str:
    """Name the fact that a preference compares; nearest without one means nearest in time."""
    return str(preference.get("field", NEAREST_BY if preference.get("nearest") else ""))


def order_of(preference: Mapping[str, object]) -> str:
    """Say in one word which series a preference takes first; nothing where it is one with a certain value."""
    nearest = preference.get("nearest")
    return f"{NEAREST}{nearest}" if nearest else str(preference.get("order") or "")


def takes_several(operator: str) -> bool:
    """Whether an operator asks for a list of values."""
    return operator in _SEVERAL


def _branch(pairs: Iterable[Pair]) -> Branch:
    root: Branch = {}
    for name, text in pairs:
        *above, last = path_parts(name) or ("",)
        here: Branch | None = root
        for part in above:
            below = here.setdefault(part, {}) if here is not None else None
            here = below if isinstance(below, dict) else None
        if here is not None:
            texts = here.setdefault(last, [])
            if isinstance(texts, list):
                texts.append(text)
    return root


def _under(branch: Branch, name: str | int) -> Branch:
    below = branch.get(name)
    return below if isinstance(below, dict) else {}


def _numbered(branch: Branch) -> list[Branch]:
    """List what lies under numbers, in their order."""
    return [_under(branch, number) for number in sorted(key for key in branch if isinstance(key, int))]


def _texts(branch: Branch, name: str) -> list[str]:
    texts = branch.get(name)
    return texts if isinstance(texts, list) else []


def _text(branch: Branch, name: str) -> str:
    return next(iter(_texts(branch, name)), "")


def _given(branch: Branch, *names: str) -> dict[str, object]:
    """Take the texts that are not empty."""
    return {name: _text(branch, name) for name in names if _text(branch, name)}


def _group(branch: Branch, scope: Scope, catalogue: FactCatalogue) -> dict[str, object]:
    said = _text(branch, "combinator")
    group: dict[str, object] = {}
    if said.removeprefix("not ") == "or":
        group["combinator"] = "or"
    if said.startswith("not "):
        group["not"] = True
    group["rules"] = [_node(child, scope, catalogue) for child in _numbered(_under(branch, "rules"))]
    return group


def _node(branch: Branch, scope: Scope, catalogue: FactCatalogue) -> dict[str, object]:
    if "match" in branch:
        return _quantifier(branch, catalogue)
    if "combinator" in branch:
        return _group(branch, scope, catalogue)
    return _condition(branch, scope, catalogue)


def _quantifier(branch: Branch, catalogue: FactCatalogue) -> dict[str, object]:
    asked = _under(branch, "match")
    match: dict[str, object] = {"mode": _text(asked, "mode")}
    if "threshold" in asked and _text(asked, "threshold"):
        match["threshold"] = _number(_text(asked, "threshold"))
    return {"field": SERIES, "match": match, "value": _group(_under(branch, "value"), "series", catalogue)}


def _condition(branch: Branch, scope: Scope, catalogue: FactCatalogue) -> dict[str, object]:
    condition: dict[str, object] = {"field": _text(branch, "field").strip()}
    operator = _text(branch, "operator") or Operator.EQUAL.value
    if operator != Operator.EQUAL:
        condition["operator"] = operator
    fact = fact_named(catalogue, scope, str(condition["field"]))
    value = _value(_texts(branch, "value"), operator, fact)
    return condition if value is None else {**condition, "value": value}


def _value(texts: Sequence[str], operator: str, fact: FactField | None) -> object:
    if operator in PRESENCE:
        return None
    items = [_item(text, operator, fact) for text in texts if text]
    if operator in _SEVERAL:
        return items or None
    return items[0] if items else None


def _item(text: str, operator: str, fact: FactField | None) -> object:
    is_number = operator == Operator.WITHIN_DAYS or (fact is not None and fact.type in _NUMBERS)
    return _number(text) if is_number else text


def _number(text: str) -> object:
    """Read a number; what is none stays text."""
    bare = text.strip()
    if _WHOLE.fullmatch(bare):
        return int(bare)
    return float(bare) if _DECIMAL.fullmatch(bare) else text


def _window(branch: Branch) -> dict[str, object]:
    days = _texts(branch, "days")
    return {**({"days": list(days)} if days else {}), **_given(branch, "from", "to")}


def _action(branch: Branch, catalogue: FactCatalogue) -> dict[str, object]:
    read: Mapping[str, Callable[[Branch, FactCatalogue], dict[str, object]]] = {
        "synthesise": _synthesis,
        "route": _routing,
    }
    kind = next((kind for kind in KINDS if kind in branch), "")
    if kind in read:
        return {kind: read[kind](_under(branch, kind), catalogue)}
    return {kind: {"reason": _text(_under(branch, kind), "reason")}} if kind else {}


def _synthesis(branch: Branch, catalogue: FactCatalogue) -> dict[str, object]:
    inputs = _under(branch, "inputs")
    return {
        "model": _text(branch, "model"),
        "inputs": {str(role): _selection(_under(inputs, role), catalogue) for role in inputs},
        "target": _text(branch, "target"),
        **_sending(branch),
        **_preparation(_under(branch, "preparation")),
        **{name: text for name, text in _given(branch, *_OPTIONS).items() if text != _OPTIONS[name]},
    }


def _routing(branch: Branch, catalogue: FactCatalogue) -> dict[str, object]:
    return {"series": _group(_under(branch, "series"), "series", catalogue), **_sending(branch)}


def _sending(branch: Branch) -> dict[str, object]:
    priority = _number(_text(branch, "priority") or str(_ROUTINE))
    return {
        "destinations": list(_texts(branch, "destinations")),
        **({"priority": priority} if priority != _ROUTINE else {}),
    }


def _preparation(branch: Branch) -> dict[str, object]:
    missing = _text(branch, "missing_slices")
    given = {**_given(branch, "alignment"), **({"missing_slices": _number(missing)} if missing else {})}
    said = {name: value for name, value in given.items() if value != _PREPARATION[name]}
    return {"preparation": said} if said else {}


def _selection(branch: Branch, catalogue: FactCatalogue) -> dict[str, object]:
    prefer = [_preference(one, catalogue) for one in _numbered(_under(branch, "prefer"))]
    return {**_group(branch, "series", catalogue), **({"prefer": prefer} if prefer else {})}


def _preference(branch: Branch, catalogue: FactCatalogue) -> dict[str, object]:
    name = _text(branch, "field").strip()
    order = _text(branch, "order")
    if order.startswith(NEAREST):
        return {"field": name, "nearest": order.removeprefix(NEAREST)}
    if order:
        return {"field": name, "order": order}
    value = _value(_texts(branch, "value"), Operator.EQUAL, fact_named(catalogue, "series", name))
    return {"field": name, **({} if value is None else {"value": value})}


def _written(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else repr(value) if isinstance(value, float) else str(value)


def _pairs_of_window(window: Mapping[str, object]) -> Iterator[Pair]:
    for day in sequence(window.get("days")):
        yield "window.days", str(day)
    for end in ("from", "to"):
        if window.get(end):
            yield f"window.{end}", str(window[end])


def _pairs_of_group(path: str, group: Mapping[str, object]) -> Iterator[Pair]:
    yield f"{path}.combinator", joined(group)
    for index, child in enumerate(sequence(group.get("rules"))):
        yield from _pairs_of_node(f"{path}.rules[{index}]", mapping(child))


def _pairs_of_node(path: str, node: Mapping[str, object]) -> Iterator[Pair]:
    if "field" not in node:
        yield from _pairs_of_group(path, node)
        return
    if node["field"] == SERIES:
        match = mapping(node.get("match"))
        yield f"{path}.match.mode", str(match.get("mode", ""))
        if match.get("threshold") is not None:
            yield f"{path}.match.threshold", str(match["threshold"])
        yield from _pairs_of_group(f"{path}.value", mapping(node.get("value")))
        return
    yield f"{path}.field", str(node["field"])
    yield f"{path}.operator", str(node.get("operator", Operator.EQUAL))
    for text in texts_of(node.get("value")):
        yield f"{path}.value", text


def _pairs_of_action(path: str, action: Mapping[str, object]) -> Iterator[Pair]:
    kind = next((kind for kind in KINDS if kind in action), "")
    asked, path = mapping(action.get(kind)), f"{path}.{kind}"
    if kind in ("hold", "ignore"):
        yield f"{path}.reason", str(asked.get("reason", ""))
        return
    if kind == "route":
        yield from _pairs_of_group(f"{path}.series", mapping(asked.get("series")))
    elif kind == "synthesise":
        yield from _pairs_of_synthesis(path, asked)
    for destination in sequence(asked.get("destinations")):
        yield f"{path}.destinations", str(destination)
    if "priority" in asked:
        yield f"{path}.priority", str(asked["priority"])


def _pairs_of_synthesis(path: str, asked: Mapping[str, object]) -> Iterator[Pair]:
    yield f"{path}.model", str(asked.get("model", ""))
    yield f"{path}.target", str(asked.get("target", ""))
    for role, selection in mapping(asked.get("inputs")).items():
        yield from _pairs_of_selection(f"{path}.inputs.{role}", mapping(selection))
    for name, value in mapping(asked.get("preparation")).items():
        yield f"{path}.preparation.{name}", str(value)
    for name in _OPTIONS:
        if asked.get(name):
            yield f"{path}.{name}", str(asked[name])


def _pairs_of_selection(path: str, selection: Mapping[str, object]) -> Iterator[Pair]:
    yield from _pairs_of_group(path, selection)
    for index, preference in enumerate(sequence(selection.get("prefer"))):
        wanted = mapping(preference)
        yield f"{path}.prefer[{index}].field", preferred_field(wanted)
        yield f"{path}.prefer[{index}].order", order_of(wanted)
        for text in texts_of(wanted.get("value")):
            yield f"{path}.prefer[{index}].value", text
