"""Why conditions hold or not, in plain words with the values that were found."""

from collections.abc import Mapping, Sequence
from datetime import date
from textwrap import shorten

from dicomnode.domain.facts import FactField, FactType
from dicomnode.domain.rule import Explanation
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.rules.conditions import Condition, Node, Quantifier, SeriesGroup, StudyGroup
from dicomnode.rules.evaluate import holds, nearest, series_of, split
from dicomnode.rules.identifiers import is_identifying
from dicomnode.rules.operators import PRESENCE, Operator
from dicomnode.rules.values import found_value, is_absent

_NAMED_SERIES = 12
_SHOWN_SERIES = 3
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


def explain(node: Node, facts: StudyFacts | SeriesFacts, today: date | None = None) -> Explanation:
    """Tell why a condition holds or not; no value of an identifier of the patient gets into the text."""
    if isinstance(node, Condition):
        return _explain_condition(node, facts, today)
    if isinstance(node, Quantifier):
        return _explain_series(node, series_of(facts), today)
    return _explain_group(node, facts, today)


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
    if is_identifying(fact.name):
        return f"{fact.name} is present"
    value = found_value(fact.type, raw)
    if value is None:
        return f"{fact.name} is present but no {fact.type}"
    evidence = facts.evidence.get(fact.name) if isinstance(facts, SeriesFacts) else None
    concluded_from = f" ({_one_line(evidence, _EVIDENCE_WIDTH)})" if evidence else ""
    return f"{fact.name} is {shown_value(fact, value)}{concluded_from}"


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
        return f"{_how_many(node)} “{_phrase(node.value, today)}”"
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


def _explain_condition(condition: Condition, facts: StudyFacts | SeriesFacts, today: date | None) -> Explanation:
    it_holds = holds(condition, facts, today)
    found = found_in_words(condition.fact, facts)
    compared = not is_absent(facts.values.get(condition.field)) and condition.operator in _EQUALITY
    if compared and is_identifying(condition.field):
        equal = it_holds is (condition.operator is Operator.EQUAL)
        text = f"{condition.field} is {'equal' if equal else 'not equal'} to the value of the rule"
    elif it_holds and condition.operator in (Operator.EQUAL, *PRESENCE):
        text = found
    else:
        text = f"{found}; asked whether it {_asked(condition, today)}"
    return Explanation(holds=it_holds, text=text)


def _asked(condition: Condition, today: date | None) -> str:
    phrase = _PHRASES[condition.operator]
    if condition.fact.type is FactType.DATE:
        phrase = _DATE_PHRASES.get(condition.operator, phrase)
    value = _HIDDEN if is_identifying(condition.field) else shown_value(condition.fact, condition.value)
    if condition.operator is Operator.BETWEEN:
        value = value.replace(", ", " and ")
    return phrase.format(value, today or "the day of the decision")


def _explain_group(group: StudyGroup | SeriesGroup, facts: StudyFacts | SeriesFacts, today: date | None) -> Explanation:
    children = tuple(explain(child, facts, today) for child in group.rules)
    if len(children) == 1 and not group.negated:
        return children[0]
    count = sum(child.holds for child in children)
    joined = count == len(children) if group.combinator == "and" else count > 0
    have_to = _HAVE_TO["or" if len(children) == 1 else group.combinator, group.negated]
    text = f"{count} of {len(children)} hold{'s' if len(children) == 1 else ''}, {have_to}"
    return Explanation(holds=group.negated is not joined, text=text, children=children)


def _explain_series(node: Quantifier, series: tuple[SeriesFacts, ...], today: date | None) -> Explanation:
    matched, others = split(node.value, series, today)
    it_holds = node.match.accepts(len(matched), len(series))
    wanted = f"{_how_many(node)} “{in_words(node.value, today)}”"
    if not series:
        return Explanation(holds=it_holds, text=f"{wanted}: there is no series to look at")
    text = f"{wanted}: {len(matched)} of {len(series)} match{_list(matched)}"
    if it_holds or not _is_too_few(node, len(matched)):
        shown = matched
    elif node.match.mode == "all":
        shown, text = others, f"{text}; not{_list(others)}"
    else:
        closest = nearest(node.value, others, today)
        shown = (closest,) if closest else ()
        text += f"; nearest is {named(closest)}" if closest else ""
    children = tuple(_explain_one(node.value, one, today) for one in shown[:_SHOWN_SERIES])
    return Explanation(holds=it_holds, text=text, children=children)


def _explain_one(group: SeriesGroup, series: SeriesFacts, today: date | None) -> Explanation:
    inner = explain(group, series, today)
    return Explanation(holds=inner.holds, text=f"{named(series)}: {inner.text}", children=inner.children)


def _is_too_few(node: Quantifier, matched: int) -> bool:
    if node.match.mode == "all":
        return True
    return matched < (1 if node.match.mode == "some" else node.match.threshold or 0)


def _how_many(node: Quantifier) -> str:
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


def _list(series: Sequence[SeriesFacts]) -> str:
    more = f" and {len(series) - _NAMED_SERIES} more" if len(series) > _NAMED_SERIES else ""
    names = ", ".join(named(one) for one in series[:_NAMED_SERIES])
    return f": {names}{more}" if series else ""


def _one_line(text: str, width: int = _VALUE_WIDTH) -> str:
    """Keep a text from breaking the lines or flooding the page."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 1]}…"
