"""What is wrong with a rule, each problem at the field of the form that it belongs to."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dicomnode.web.rule_form import Pair

_LINE = re.compile(
    r"(?:rule '(?P<name>[^']*)'|rule number (?P<number>\d+)|rule set)(?:, (?P<path>[^ :]+))?: (?P<text>.+)"
)
_MEANT = re.compile(r", did you mean '(?P<word>[^']+)'\?")
_EMPTY = {
    "field": "Type the name of a fact; a part of it lists those that contain it.",
    "value": "Give a value.",
    "name": "Give the rule a name: lower case letters, digits and hyphens.",
    "description": "Say in one sentence what the rule is for.",
    "model": "Choose a model.",
    "target": "Choose the input on whose slices the result lies.",
    "reason": "Say why; it is shown with each study.",
    "threshold": "Give a number of series.",
}
"""What to do about a field that is empty, by the last name of its place."""
_LEFT_EMPTY = {"rules": "Add a condition: a group without any says nothing."}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One problem of a rule."""

    path: str
    """The field it belongs to; empty where it is about the rule as a whole."""
    text: str
    suggestion: str = ""
    """The word that was probably meant, to be put in its place by one press."""
    suggested_at: str = ""
    """The field that the suggestion belongs into."""


def faults_of(problems: Iterable[str], rule: str, index: int, pairs: Sequence[Pair]) -> tuple[Fault, ...]:
    """Take the problems of one rule of a document, which is at an index of it, and find the field of each."""
    given: dict[str, str] = {}
    for name, text in pairs:
        given[name] = given.get(name, "") + text
    found = [_fault(line, rule, index, given) for line in problems]
    # A field that is empty is told of once, whatever else does not fit it.
    return tuple({(fault.path, fault.text): fault for fault in found if fault is not None}.values())


def others_of(problems: Iterable[str], rule: str, index: int) -> tuple[str, ...]:
    """Take the problems that are about other rules of the document."""
    return tuple(line for line in problems if not _is_about(_LINE.fullmatch(line), rule, index))


def _is_about(found: re.Match[str] | None, rule: str, index: int) -> bool:
    """Whether a problem is of this rule; one that names no rule may be of any, so it is shown at each."""
    if found is None or (found["name"] is None and found["number"] is None):
        return True
    return found["name"] == rule[:64] if found["name"] is not None else int(found["number"]) == index + 1


def _fault(line: str, rule: str, index: int, given: dict[str, str]) -> Fault | None:
    found = _LINE.fullmatch(line)
    if not _is_about(found, rule, index):
        return None
    if found is None:
        return Fault(path="", text=line)
    path, text = found["path"] or "", found["text"]
    last = re.sub(r"\[\d+\]$", "", path).rpartition(".")[2]
    if last in _EMPTY and not given.get(path):
        return Fault(path=path, text=_EMPTY[last])
    if last in _LEFT_EMPTY and "empty" in text:
        return Fault(path=path, text=_LEFT_EMPTY[last])
    meant = _MEANT.search(text)
    return Fault(
        path=path,
        text=_as_sentence(text),
        suggestion=meant["word"] if meant else "",
        suggested_at=path if meant else "",
    )


def _as_sentence(text: str) -> str:
    whole = text[:1].upper() + text[1:]
    return whole if whole[-1:] in ".?!" else f"{whole}."
