"""What the buttons of the rule editor do to a rule, and where the keyboard is afterwards.

A button is named `verb:place` or `verb:place:argument`. Its answer names the control that has the focus next, so that
a person without a mouse goes on where the change was made.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from dicomnode.domain.model_card import InputRole
from dicomnode.rules.conditions import SERIES
from dicomnode.web.rule_form import actions_of, path_parts

Roles = Mapping[str, Mapping[str, InputRole]]
"""The named inputs of each model, by its name."""
Document = dict[str, object]

_NEW_CONDITION: Document = {"field": ""}
_FEWEST_SLICES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """A rule after a button was pressed, and the id of the control to go on at."""

    rule: Document
    focus: str


def new_rule() -> Document:
    """Begin a rule: nothing asked yet, nothing done yet."""
    return {
        "name": "",
        "description": "",
        "when": {"rules": [{"field": "Modalities", "operator": "contains", "value": "MR"}]},
        "then": [{"synthesise": {"model": "", "inputs": {}, "target": "", "destinations": []}}],
    }


def press(rule: Mapping[str, object], button: str, roles: Roles) -> Edited:
    """Do what a button of the editor says; one that does not fit the rule changes nothing."""
    verb, _, rest = button.partition(":")
    path, _, argument = rest.partition(":")
    edited: Document = copy.deepcopy({**rule, "then": actions_of(rule)})
    done = _VERBS.get(verb, _nothing)(edited, path, argument)
    fill_roles(edited, roles)
    return Edited(rule=edited, focus=done)


def fill_roles(rule: Document, roles: Roles) -> None:
    """Give every synthesis the inputs of its model: new ones ask for what the model's card does."""
    for action in _list(rule.get("then")):
        asked = action.get("synthesise") if isinstance(action, dict) else None
        if not isinstance(asked, dict) or asked.get("model") not in roles:
            continue
        wanted, inputs = roles[asked["model"]], asked.setdefault("inputs", {})
        for role in [name for name in inputs if name not in wanted and _is_as_made(name, inputs[name], roles)]:
            del inputs[role]
        for role, card in wanted.items():
            inputs.setdefault(role, _selection_for(card))
        if asked.get("target") not in inputs:
            asked["target"] = "".join(list(wanted)[-1:])


def _selection_for(card: InputRole) -> Document:
    """Ask of a series what the model's card asks of an input."""
    rules: list[Document] = [{"field": "Modality", "value": card.modality}]
    if card.modality == "MR" and len(card.weighting) > 1:
        rules.append({"field": "Weighting", "operator": "in", "value": list(card.weighting)})
    elif card.modality == "MR" and card.weighting:
        rules.append({"field": "Weighting", "value": card.weighting[0]})
    if card.contrast_agent == "never":
        rules.append({"field": "ContrastEnhanced", "value": "NO"})
    if card.min_slices >= _FEWEST_SLICES:
        rules.append({"field": "NumberOfInstances", "operator": ">=", "value": card.min_slices})
    return {"rules": rules, "prefer": [{"field": "NumberOfInstances", "order": "highest"}]}


def _is_as_made(role: str, selection: object, roles: Roles) -> bool:
    """Whether an input is still as a card made it, or says nothing, so that nobody misses it under another model."""
    made = [_selection_for(wanted[role]) for wanted in roles.values() if role in wanted]
    return selection in made or selection in ({}, {"rules": []})


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _at(rule: Document, path: str) -> object:
    """Find what lies at a place; None where nothing does."""
    here: object = rule
    for part in path_parts(path):
        if isinstance(here, dict) and isinstance(part, str):
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            return None
    return here


def _add(make: Callable[[], Document], focus: str) -> Callable[[Document, str, str], str]:
    """Make the verb that appends a new part to the conditions of a group."""

    def add(rule: Document, path: str, _argument: str) -> str:
        group = _at(rule, path)
        if not isinstance(group, dict):
            return ""
        rules = group.setdefault("rules", [])
        rules.append(make())
        return f"{path}.rules[{len(rules) - 1}]{focus}"

    return add


def _add_preference(rule: Document, path: str, _argument: str) -> str:
    selection = _at(rule, path)
    if not isinstance(selection, dict):
        return ""
    prefer = selection.setdefault("prefer", [])
    prefer.append({"field": "", "order": "highest"})
    return f"{path}.prefer[{len(prefer) - 1}].field"


def _add_action(rule: Document, _path: str, kind: str) -> str:
    made: Mapping[str, Document] = {
        "synthesise": {"model": "", "inputs": {}, "target": "", "destinations": []},
        "route": {"series": {"rules": [dict(_NEW_CONDITION)]}, "destinations": []},
        "hold": {"reason": ""},
        "ignore": {"reason": ""},
    }
    first = {"synthesise": "model", "route": "series.rules[0].field", "hold": "reason", "ignore": "reason"}
    if kind not in made:
        return ""
    actions = _list(rule.setdefault("then", []))
    actions.append({kind: made[kind]})
    return f"then[{len(actions) - 1}].{kind}.{first[kind]}"


def _remove(rule: Document, path: str, _argument: str) -> str:
    """Take a part away; the focus goes to the one that stands there now, or to the button that adds one."""
    owner, last = _owner(rule, path)
    if isinstance(owner, dict) and isinstance(last, str):
        owner.pop(last, None)
        return f"{path.rpartition('.inputs')[0]}.model"
    if not isinstance(owner, list) or not isinstance(last, int) or last >= len(owner):
        return ""
    del owner[last]
    place = path[: path.rindex("[")]
    if owner:
        return f"remove:{place}[{min(last, len(owner) - 1)}]"
    return _ADDERS.get(place.rpartition(".")[2], "add-condition:{0}").format(place.rpartition(".")[0])


def _move(by: int) -> Callable[[Document, str, str], str]:
    """Make the verb that lets two neighbours change places; inputs of a model too, the first of which chooses first."""

    def move(rule: Document, path: str, _argument: str) -> str:
        owner, last = _owner(rule, path)
        verb = "up" if by < 0 else "down"
        if isinstance(owner, list) and isinstance(last, int) and 0 <= last + by < len(owner) and last < len(owner):
            owner[last], owner[last + by] = owner[last + by], owner[last]
            return f"{verb}:{path[: path.rindex('[')]}[{last + by}]"
        if isinstance(owner, dict) and last in owner:
            _move_key(owner, str(last), by)
        return f"{verb}:{path}"

    return move


def _move_key(owner: Document, key: str, by: int) -> None:
    names = list(owner)
    place = names.index(key)
    if 0 <= place + by < len(names):
        names[place], names[place + by] = names[place + by], names[place]
        reordered = {name: owner[name] for name in names}
        owner.clear()
        owner.update(reordered)


def _owner(rule: Document, path: str) -> tuple[object, str | int | None]:
    """Find the list or mapping that a part lies in, and under what."""
    parts = path_parts(path)
    if not parts:
        return None, None
    above = path[: path.rindex("[")] if isinstance(parts[-1], int) else path.rpartition(".")[0]
    return _at(rule, above), parts[-1]


def _use(rule: Document, path: str, suggestion: str) -> str:
    """Put the word that was probably meant where the wrong one stands."""
    owner, last = _owner(rule, path)
    if isinstance(owner, dict) and isinstance(last, str):
        written = owner.get(last)
        owner[last] = _with_item(written, suggestion) if isinstance(written, list) else suggestion
    return path


def _with_item(items: list[object], suggestion: str) -> list[object]:
    """Put a word in the place of the one that resembles it most."""
    others = [str(one) for one in items if one != suggestion]
    wrong = get_close_matches(suggestion, others, n=1, cutoff=0)
    return [suggestion if str(one) in wrong else one for one in items]


def _nothing(_rule: Document, _path: str, _argument: str) -> str:
    return ""


_ADDERS = {"prefer": "add-preference:{0}", "then": "add-action::synthesise"}
_VERBS: Mapping[str, Callable[[Document, str, str], str]] = {
    "add-condition": _add(lambda: dict(_NEW_CONDITION), ".field"),
    "add-series": _add(
        lambda: {"field": SERIES, "match": {"mode": "some"}, "value": {"rules": [dict(_NEW_CONDITION)]}}, ".match.mode"
    ),
    "add-group": _add(lambda: {"combinator": "or", "rules": [dict(_NEW_CONDITION)]}, ".combinator"),
    "add-preference": _add_preference,
    "add-action": _add_action,
    "remove": _remove,
    "up": _move(-1),
    "down": _move(1),
    "use": _use,
}
