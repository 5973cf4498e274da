"""What conditions mean, written as plainly as can be: one node after the other, on one study, remembering nothing.

The tests hold the compiled rules against it.
"""

from datetime import date

from dicomnode.domain.rule import Explanation
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.rules.conditions import Condition, Node, Quantifier, SeriesGroup, StudyGroup
from dicomnode.rules.explain import Wording, found_in_words, have_to_hold, how_many, in_words, listed, named
from dicomnode.rules.operators import meets
from dicomnode.rules.values import is_absent

_SHOWN_SERIES = 3


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


def explain(node: Node, facts: StudyFacts | SeriesFacts, today: date | None = None) -> Explanation:
    """Tell why a condition holds or not; no value of an identifier of the patient gets into the text."""
    if isinstance(node, Condition):
        return _explain_condition(node, facts, today)
    if isinstance(node, Quantifier):
        return _explain_series(node, series_of(facts), today)
    return _explain_group(node, facts, today)


def _explain_condition(condition: Condition, facts: StudyFacts | SeriesFacts, today: date | None) -> Explanation:
    it_holds = holds(condition, facts, today)
    absent = is_absent(facts.values.get(condition.field))
    found = found_in_words(condition.fact, facts)
    return Explanation(holds=it_holds, text=Wording(condition).tell(found, today, absent=absent, holds=it_holds))


def _explain_group(group: StudyGroup | SeriesGroup, facts: StudyFacts | SeriesFacts, today: date | None) -> Explanation:
    children = tuple(explain(child, facts, today) for child in group.rules)
    if len(children) == 1 and not group.negated:
        return children[0]
    count = sum(child.holds for child in children)
    joined = count == len(children) if group.combinator == "and" else count > 0
    text = f"{count}{have_to_hold(len(children), is_and=group.combinator == 'and', negated=group.negated)}"
    return Explanation(holds=group.negated is not joined, text=text, children=children)


def _explain_series(node: Quantifier, series: tuple[SeriesFacts, ...], today: date | None) -> Explanation:
    matched, others = split(node.value, series, today)
    it_holds = node.match.accepts(len(matched), len(series))
    wanted = f"{how_many(node)} “{in_words(node.value, today)}”"
    if not series:
        return Explanation(holds=it_holds, text=f"{wanted}: there is no series to look at")
    text = f"{wanted}: {len(matched)} of {len(series)} match{listed([named(one) for one in matched])}"
    if it_holds or not _is_too_few(node, len(matched)):
        shown = matched
    elif node.match.mode == "all":
        shown, text = others, f"{text}; not{listed([named(one) for one in others])}"
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
