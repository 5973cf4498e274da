"""Conditions on one study or one series, asked of the compiled rules as the tests wrote them down."""

from datetime import date

from dicomnode.domain.rule import Explanation
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.rules.compiled import Compiler
from dicomnode.rules.conditions import SeriesGroup, StudyGroup
from dicomnode.rules.sight import Sight, places


def holds(group: StudyGroup | SeriesGroup, facts: StudyFacts | SeriesFacts, today: date | None = None) -> bool:
    compiler = Compiler()
    node = compiler.group(group)
    return bool(node.answer(_sight(compiler, facts, today)))


def explain(group: StudyGroup | SeriesGroup, facts: StudyFacts | SeriesFacts, today: date | None = None) -> Explanation:
    compiler = Compiler()
    node = compiler.group(group)
    sight = _sight(compiler, facts, today)
    return sight.explain_series(node, 0) if isinstance(facts, SeriesFacts) else sight.explain(node)


def split(
    group: SeriesGroup, series: tuple[SeriesFacts, ...], today: date | None
) -> tuple[tuple[SeriesFacts, ...], tuple[SeriesFacts, ...]]:
    compiler = Compiler()
    node = compiler.group(group)
    sight = Sight(compiler.size, _study(series), series, today)
    matching = node.answer(sight)
    return (
        tuple(series[place] for place in places(matching)),
        tuple(series[place] for place in places(sight.everything & ~matching)),
    )


def nearest(group: SeriesGroup, series: tuple[SeriesFacts, ...], today: date | None) -> SeriesFacts | None:
    compiler = Compiler()
    node = compiler.group(group)
    sight = Sight(compiler.size, _study(series), series, today)
    place = sight.nearest(node, sight.everything)
    return None if place is None else series[place]


def _sight(compiler: Compiler, facts: StudyFacts | SeriesFacts, today: date | None) -> Sight:
    if isinstance(facts, SeriesFacts):
        return Sight(compiler.size, _study((facts,)), (facts,), today)
    return Sight(compiler.size, facts, tuple(facts.series), today)


def _study(series: tuple[SeriesFacts, ...]) -> StudyFacts:
    return StudyFacts(study_instance_uid=StudyInstanceUID("1.2.3"), values={}, series=series)
