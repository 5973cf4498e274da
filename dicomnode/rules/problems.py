"""The words for what is wrong with a rule set: one line a problem, with its place and a suggestion."""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from pydantic_core import ErrorDetails, PydanticCustomError

_PLAIN = {
    "missing": "is missing",
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
}
_TAG, _KEY = "<", "[key]"


def problem(text: str) -> PydanticCustomError:
    """Make the error a validator raises, so that pydantic goes on and collects all of them."""
    return PydanticCustomError("rule", "{problem}", {"problem": text})


def suggestion(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, as the end of a sentence; empty when none is close."""
    by_folded = {one.casefold(): one for one in known}
    close = get_close_matches(name.casefold(), by_folded, n=1)
    return f", did you mean '{by_folded[close[0]]}'?" if close else ""


def in_words(errors: Sequence[ErrorDetails], document: object, keys: Iterable[str]) -> tuple[str, ...]:
    """Write each error as a line "rule NAME, path: what is wrong"; `keys` are all that a rule set knows."""
    known = frozenset(keys)
    return tuple(f"{_place(error['loc'], document)}: {_what(error, known)}" for error in errors)


def _place(location: tuple[int | str, ...], document: object) -> str:
    """Name the rule and the path inside it, without the words that pydantic puts between for itself."""
    parts = [part for part in location if not str(part).startswith(_TAG) and part != _KEY]
    if len(parts) > 1 and parts[0] == "rules" and isinstance(parts[1], int):
        path = _path(parts[2:])
        return f"{_rule_name(document, parts[1])}{', ' if path else ''}{path}"
    path = _path(parts)
    return f"rule set{', ' if path else ''}{path}"


def _path(parts: Sequence[int | str]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _rule_name(document: object, index: int) -> str:
    """Call a rule by its name where it has one, else by its place in the list, counted from 1."""
    rules = document.get("rules") if isinstance(document, Mapping) else None
    rule = rules[index] if isinstance(rules, Sequence) else None
    name = rule.get("name") if isinstance(rule, Mapping) else None
    return f"rule '{name[:64]}'" if isinstance(name, str) and name else f"rule number {index + 1}"


def _what(error: ErrorDetails, known: frozenset[str]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_key(str(error["loc"][-1]), known)
    if kind == "literal_error":
        expected = str(error["ctx"]["expected"])
        meant = suggestion(str(error["input"])[:40], re.findall("'([^']+)'", expected))
        return f"must be {expected}{meant}"
    return _PLAIN.get(kind) or error["msg"].replace("Input should", "should")


def _unknown_key(key: str, known: frozenset[str]) -> str:
    if key in known:
        return f"the key '{key}' does not belong here"
    return f"unknown key '{key}'{suggestion(key, known)}"
