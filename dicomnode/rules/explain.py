"""The words for why conditions hold or not, with the values that were found."""

from collections.abc import Mapping, Sequence
from datetime import date
from textwrap import shorten

from dicomnode.domain.facts import Confidence, FactField, FactType
from dicomnode.domain.rule import Explanation
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.rules.conditions import Condition, Node, Quantifier
from dicomnode.rules.identifiers import is_hidden
from dicomnode.rules.operators import PRESENCE, Operator
from dicomnode.rules.values import found_value, is_absent

_NAMED_SERIES = 12
_VALUE_WIDTH = 80
_EVIDENCE_WIDTH = 200
_CONDITION_WIDTH = 400
_HIDDEN = "a value that is not shown"

_PHRASES: Mapping[Operator, str] = {
    Operator.EQUAL: "is {0}",
    Operator.NOT_EQUAL: "is not {0}",
    Operator.LESS: "is less than {0}",
    Operator.LESS_OR_EQUAL: "is at most {0}",
    Operator.GREATER: "is more than {0}",
    Operator.GREATER_OR_EQUAL: "is at least {0}",
    Operator.BETWEEN: "is between {0}",
    Operator.IN: "is one of {0}",
    Operator.NOT_IN: "is none of {0}",
    Operator.CONTAINS: "contains {0}",
    Operator.DOES_NOT_CONTAIN: "does not contain {0}",
    Operator.BEGINS_WITH: "begins with {0}",
    Operator.ENDS_WITH: "ends with {0}",
    Operator.MATCHES: "matches the pattern {0}",
    Operator.CONTAINS_ANY: "contains one of {0}",
    Operator.CONTAINS_ALL: "contains all of {0}",
    Operator.WITHIN_DAYS: "is within {0} days of {1}",
    Operator.NULL: "is absent",
    Operator.NOT_NULL: "is present",
}
_DATE_PHRASES: Mapping[Operator, str] = {
    Operator.LESS: "is before {0}",
    Operator.LESS_OR_EQUAL: "is not after {0}",
    Operator.GREATER: "is after {0}",
    Operator.GREATER_OR_EQUAL: "is not before {0}",
}
_EQUALITY = (Operator.EQUAL, Operator.NOT_EQUAL)
_HAVE_TO = {
    ("and", False): "all have to",
    ("or", False): "one has to",
    ("and", True): "not all may",
    ("or", True): "none may",
}


class Wording:
    """The words of one test: what it asks is the same for every value."""

    __slots__ = ("_asked", "_condition", "_equality", "_is_hidden", "_needs_day", "_speaks_for_itself")

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self._asked = _asked(condition, None)
        self._needs_day = condition.operator is Operator.WITHIN_DAYS
        self._is_hidden = condition.operator in _EQUALITY and is_hidden(condition.fact)
        self._equality = condition.operator is Operator.EQUAL
        self._speaks_for_itself = condition.operator in (Operator.EQUAL, *PRESENCE)

    def tell(self, found: str, today: date | None, *, absent: bool, holds: bool) -> str:
        """Say what was `found` and what was asked; no value of an identifier of the patient gets into the text."""
        if self._is_hidden and not absent:
            equal = "equal" if holds is self._equality else "not equal"
            return f"{self._condition.field} is {equal} to the value of the rule"
        if holds and self._speaks_for_itself:
            return found
        asked = _asked(self._condition, today) if self._needs_day else self._asked
        return f"{found}; asked whether it {asked}"


def have_to_hold(total: int, *, is_and: bool, negated: bool) -> str:
    """Say after a number that so many conditions of a group hold, and how many have to."""
    have_to = _HAVE_TO["and" if is_and and total > 1 else "or", negated]
    return f" of {total} hold{'s' if total == 1 else ''}, {have_to}"


def in_words(node: Node, today: date | None = None) -> str:
    """Write a condition as a phrase: what it asks, not what was found."""
    return shorten(_phrase(node, today), _CONDITION_WIDTH, placeholder=" …")


def named(series: SeriesFacts) -> str:
    """Call a series as an operator knows it, in quotes and on one line."""
    return f"“{_one_line(series.label)}”"


def found_in_words(fact: FactField, facts: StudyFacts | SeriesFacts) -> str:
    """Say what a study or a series has, with the evidence of what was derived."""
    raw = facts.values.get(fact.name)
    if is_absent(raw):
        return f"{fact.name} is absent"
    if is_hidden(fact):
        return f"{fact.name} is present"
    value = found_value(fact.type, raw)
    if value is None:
        return f"{fact.name} is present but no {fact.type}"
    return f"{fact.name} is {shown_value(fact, value)}{_concluded_from(fact.name, facts)}"


def _concluded_from(name: str, facts: StudyFacts | SeriesFacts) -> str:
    """Say what a fact was concluded from, and how far that may be trusted where it is not beyond doubt."""
    if not isinstance(facts, SeriesFacts):
        return ""
    evidence, confidence = facts.evidence.get(name), facts.confidence.get(name)
    said = [_one_line(evidence, _EVIDENCE_WIDTH)] if evidence else []
    if confidence is not None and confidence is not Confidence.HIGH:
        said.append(f"{confidence.lower()} confidence")
    return f" ({'; '.join(said)})" if said else ""


def reasons_against(explanation: Explanation) -> str:
    """Join what does not hold in an explanation that does not hold."""
    against = [child.text for child in explanation.children if not child.holds]
    return "; ".join(against) or explanation.text


def shown_value(fact: FactField, value: object) -> str:
    """Write a value the way a person reads it."""
    if isinstance(value, tuple | list):
        return ", ".join(shown_value(fact, one) for one in value)
    if isinstance(value, str):
        text = _one_line(value)
        return f"“{text}”" if fact.type is FactType.TEXT else text
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return str(value)


def _phrase(node: Node, today: date | None) -> str:
    if isinstance(node, Condition):
        return f"{node.field} {_asked(node, today)}"
    if isinstance(node, Quantifier):
        return f"{how_many(node)} “{_phrase(node.value, today)}”"
    if len(node.rules) == 1 and not node.negated:
        return _phrase(node.rules[0], today)
    joined = f" {node.combinator} ".join(_in_parentheses(child, today) for child in node.rules)
    return f"not ({joined})" if node.negated else joined


def _in_parentheses(node: Node, today: date | None) -> str:
    """Keep and and or apart; a group of one needs nothing."""
    if isinstance(node, Condition | Quantifier) or node.negated:
        return _phrase(node, today)
    if len(node.rules) == 1:
        return _in_parentheses(node.rules[0], today)
    return f"({_phrase(node, today)})"


def _asked(condition: Condition, today: date | None) -> str:
    phrase = _PHRASES[condition.operator]
    if condition.fact.type is FactType.DATE:
        phrase = _DATE_PHRASES.get(condition.operator, phrase)
    value = _HIDDEN if is_hidden(condition.fact) else shown_value(condition.fact, condition.value)
    if condition.operator is Operator.BETWEEN:
        value = value.replace(", ", " and ")
    return phrase.format(value, today or "the day of the decision")


def how_many(node: Quantifier) -> str:
    """Begin the sentence that says how many series have to match."""
    threshold = node.match.threshold
    have = "series has" if threshold == 1 else "series have"
    return {
        "some": "some series has",
        "none": "no series has",
        "all": "every series has",
        "atLeast": f"at least {threshold} {have}",
        "atMost": f"at most {threshold} {have}",
        "exactly": f"exactly {threshold} {have}",
    }[node.match.mode]


def listed(names: Sequence[str]) -> str:
    """List series at the end of a sentence; of a crowd only the first."""
    more = f" and {len(names) - _NAMED_SERIES} more" if len(names) > _NAMED_SERIES else ""
    return f": {', '.join(names[:_NAMED_SERIES])}{more}" if names else ""


def _one_line(text: str, width: int = _VALUE_WIDTH) -> str:
    """Keep a text from breaking the lines or flooding the page."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"
