"""Whether conditions hold, for a study or for one of its series."""

from datetime import date

from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.rules.conditions import Condition, Node, Quantifier, SeriesGroup
from dicomnode.rules.operators import meets


def holds(node: Node, facts: StudyFacts | SeriesFacts, today: date | None = None) -> bool:
    """Say whether a condition holds; `today` is the day of the decision, for tests that are relative to it."""
    if isinstance(node, Condition):
        return meets(node.fact, node.operator, node.value, facts.values.get(node.field), today)
    if isinstance(node, Quantifier):
        series = series_of(facts)
        return node.match.accepts(len(split(node.value, series, today)[0]), len(series))
    answers = (holds(child, facts, today) for child in node.rules)
    return node.negated is not (all(answers) if node.combinator == "and" else any(answers))


def series_of(facts: StudyFacts | SeriesFacts) -> tuple[SeriesFacts, ...]:
    """List the series to look at."""
    return tuple(facts.series) if isinstance(facts, StudyFacts) else (facts,)


def split(
    group: SeriesGroup, series: tuple[SeriesFacts, ...], today: date | None
) -> tuple[tuple[SeriesFacts, ...], tuple[SeriesFacts, ...]]:
    """Part the series into those for which a group of conditions holds and the others."""
    answers = [holds(group, one, today) for one in series]
    matching = tuple(one for one, answer in zip(series, answers, strict=True) if answer)
    return matching, tuple(one for one, answer in zip(series, answers, strict=True) if not answer)


def nearest(group: SeriesGroup, series: tuple[SeriesFacts, ...], today: date | None) -> SeriesFacts | None:
    """Find the series that passes most tests, for telling why none matched.

    Of equals it is the one that passes the earlier tests, which are those that people write first.
    """

    def closeness(one: SeriesFacts) -> tuple[int, list[int]]:
        return _passed(group, one, today), [_passed(child, one, today) for child in group.rules]

    return max(series, key=closeness, default=None)


def _passed(node: Node, facts: SeriesFacts, today: date | None) -> int:
    """Count the tests a series passes; of alternatives the best counts, and what is turned round counts as one."""
    if isinstance(node, Condition | Quantifier) or node.negated:
        return int(holds(node, facts, today))
    counts = [_passed(child, facts, today) for child in node.rules]
    return sum(counts) if node.combinator == "and" else max(counts)
