"""Any well-formed conditions, and any facts: also absent ones and such of another type than declared."""

from datetime import date
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dicomnode.domain.facts import FactField, FactType
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.rules.operators import Operator, operators_of
from tests.rules.catalogue import CATALOGUE

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For whole rule sets: making and reading one takes its time on a busy machine, and says nothing of the rules."""

# Few different values, so that conditions and facts meet; a few hard ones, so that they also miss.
_TEXTS = st.sampled_from(["T1", "t1", "T2", "MR", "ORIGINAL", "straße", "STRASSE", "a b", "{0}", "x\ny"]) | st.text(
    min_size=1, max_size=8
).filter(lambda text: bool(text.strip()))
_NUMBERS = st.integers(-3, 3) | st.floats(allow_nan=False, allow_infinity=False)
_DATES = st.dates(date(2026, 2, 1), date(2026, 3, 31)) | st.dates()
_PATTERNS = st.sampled_from(["t1", "^T", "[0-9]$", "(a+)+$", "\\pL", ""]).filter(bool)
_TEXTUAL = (FactType.TEXT, FactType.CODE, FactType.TEXT_LIST)
_NUMERIC = (FactType.NUMBER, FactType.NUMBER_LIST)
_NO_VALUE = (Operator.NULL, Operator.NOT_NULL)
_SEVERAL = (Operator.IN, Operator.NOT_IN, Operator.CONTAINS_ANY, Operator.CONTAINS_ALL)


def _items(fact: FactField) -> st.SearchStrategy[Any]:
    if fact.values:
        return st.sampled_from(fact.values)
    return _TEXTS if fact.type in _TEXTUAL else _NUMBERS if fact.type in _NUMERIC else _DATES


def _values(fact: FactField, operator: Operator) -> st.SearchStrategy[Any]:
    if operator is Operator.MATCHES:
        return _PATTERNS
    if operator is Operator.WITHIN_DAYS:
        return st.integers(0, 60)
    if operator is Operator.BETWEEN:
        return st.lists(_items(fact), min_size=2, max_size=2).map(sorted)
    return st.lists(_items(fact), min_size=1, max_size=3) if operator in _SEVERAL else _items(fact)


@st.composite
def conditions(draw: st.DrawFn, scope: str) -> dict[str, Any]:
    facts = CATALOGUE.study if scope == "study" else CATALOGUE.series
    fact = draw(st.sampled_from(list(facts.values())))
    operator = draw(st.sampled_from(operators_of(fact)))
    condition = {"field": fact.name, "operator": str(operator)}
    return condition if operator in _NO_VALUE else {**condition, "value": draw(_values(fact, operator))}


def groups(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"rules": st.lists(leaves, min_size=1, max_size=3)},
        optional={"combinator": st.sampled_from(["and", "or"]), "not": st.booleans()},
    )


def _trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return groups(leaves | groups(leaves))


_MATCHES = st.fixed_dictionaries({"mode": st.sampled_from(["some", "none", "all"])}) | st.fixed_dictionaries(
    {"mode": st.sampled_from(["atLeast", "atMost", "exactly"]), "threshold": st.integers(1, 3)}
)
SERIES_TREES = _trees(conditions("series"))
QUANTIFIERS = st.fixed_dictionaries({"field": st.just("series"), "match": _MATCHES, "value": SERIES_TREES})
STUDY_TREES = _trees(conditions("study") | QUANTIFIERS)

_PREFERENCES = st.sampled_from(
    [
        {"field": "MRAcquisitionType", "value": "3D"},
        {"field": "ImageType", "value": "NORM"},
        {"field": "NumberOfInstances", "order": "highest"},
        {"field": "EchoTime", "order": "lowest"},
        {"field": "AcquisitionDate", "order": "lowest"},
    ]
)
_SELECTIONS = st.builds(
    lambda tree, prefer: {**tree, "prefer": prefer}, SERIES_TREES, st.lists(_PREFERENCES, max_size=2)
)


@st.composite
def _inputs(draw: st.DrawFn) -> dict[str, Any]:
    """Roles in some order, of which later ones may want to be near to earlier ones."""
    inputs: dict[str, Any] = {}
    for role in draw(st.lists(st.sampled_from(["t1", "t2", "pd"]), min_size=1, unique=True)):
        inputs[role] = draw(_SELECTIONS)
        earlier = [one for one in inputs if one != role]
        wants_nearest: bool = draw(st.booleans())
        if earlier and wants_nearest:
            field: str = draw(st.sampled_from(["AcquisitionTime", "EchoTime", "AcquisitionDate"]))
            nearest = {"field": field, "nearest": draw(st.sampled_from(earlier))}
            inputs[role]["prefer"] = [nearest, *inputs[role]["prefer"]]
    return inputs


_INPUTS = _inputs()
_DESTINATIONS = st.lists(st.sampled_from(["pacs", "archive"]), unique=True)
_PRIORITIES = st.integers(1, 10)
_REASONS = st.sampled_from(["the scanner is being repaired", "a phantom: 50 %"])


@st.composite
def _syntheses(draw: st.DrawFn, model: str = "a-model") -> dict[str, Any]:
    inputs = draw(_INPUTS)
    return {
        "model": model,
        "inputs": inputs,
        "target": draw(st.sampled_from(sorted(inputs))),
        "destinations": draw(_DESTINATIONS),
        "priority": draw(_PRIORITIES),
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "late": st.sampled_from(["rerun", "hold"]),
                    "superseded": st.sampled_from(["retain", "withdraw"]),
                    "label_language": st.sampled_from(["en", "de", "fr"]),
                },
            )
        ),
    }


_ROUTINGS = st.fixed_dictionaries(
    {
        "series": SERIES_TREES,
        "destinations": st.lists(st.sampled_from(["pacs", "archive"]), min_size=1, unique=True),
        "priority": _PRIORITIES,
    }
)
_HOLDS = st.fixed_dictionaries({"hold": st.fixed_dictionaries({"reason": _REASONS})})
_IGNORING = st.fixed_dictionaries({"ignore": st.fixed_dictionaries({"reason": _REASONS})})
_STEPS = st.lists(
    st.fixed_dictionaries({"synthesise": _syntheses()}) | st.fixed_dictionaries({"route": _ROUTINGS}) | _HOLDS,
    min_size=1,
    max_size=3,
    unique_by=lambda step: next(iter(step)),
)
THEN: st.SearchStrategy[Any] = st.one_of(_syntheses(), _STEPS, _IGNORING.map(lambda step: [step]))

_TIMES = st.builds(lambda hour, minute: f"{hour:02d}:{minute:02d}", st.integers(0, 23), st.sampled_from([0, 30, 59]))
_HOURS = st.lists(_TIMES, min_size=2, max_size=2, unique=True).map(lambda ends: {"from": ends[0], "to": ends[1]})
_DAYS = st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1).map(
    lambda days: {"days": days}
)
WINDOWS = _HOURS | _DAYS | st.builds(lambda hours, days: {**hours, **days}, _HOURS, _DAYS)


@st.composite
def rules(draw: st.DrawFn, name: str) -> dict[str, Any]:
    optional = {"shadow": st.booleans(), "window": WINDOWS}
    return {
        "name": name,
        "description": "Made by chance.",
        "enabled": draw(st.booleans()),
        "when": draw(STUDY_TREES),
        "then": draw(THEN),
        **draw(st.fixed_dictionaries({}, optional=optional)),
    }


@st.composite
def fallbacks(draw: st.DrawFn) -> dict[str, Any]:
    """Nothing, or a rule for what no other rule fires for."""
    if not draw(st.booleans()):
        return {}
    then: Any = draw(st.one_of(_IGNORING.map(lambda step: [step]), _syntheses()))
    return {
        "name": "else",
        "description": "All the rest.",
        "fallback": True,
        "shadow": draw(st.booleans()),
        "then": then,
    }


@st.composite
def documents(draw: st.DrawFn, most: int = 2) -> dict[str, Any]:
    listed = [draw(rules(f"rule-{number}")) for number in range(draw(st.integers(1, most)))]
    fallback = draw(fallbacks())
    if fallback:
        listed.insert(draw(st.integers(0, len(listed))), fallback)
    return {"rules": listed}


_ANYTHING = st.one_of(
    st.none(),
    st.just(""),
    st.just(" "),
    st.just(()),
    st.just("\ud800 broken"),
    st.booleans(),
    st.floats(),
    st.just(10**400),
    _TEXTS,
    _NUMBERS,
    _DATES,
    st.datetimes(),
    st.lists(_TEXTS | _NUMBERS, max_size=3).map(tuple),
    st.lists(_TEXTS | _NUMBERS, max_size=2),
)


@st.composite
def _facts_of(draw: st.DrawFn, scope: str) -> dict[str, Any]:
    facts = CATALOGUE.study if scope == "study" else CATALOGUE.series
    values: dict[str, Any] = {}
    for name in draw(st.sets(st.sampled_from(sorted(facts)))):
        fact = facts[name]
        as_declared = _items(fact)
        if fact.type in (FactType.TEXT_LIST, FactType.NUMBER_LIST):
            as_declared = st.lists(as_declared, max_size=3).map(tuple)
        values[name] = draw(as_declared | _ANYTHING)
    return values


@st.composite
def series(draw: st.DrawFn) -> SeriesFacts:
    uid = SeriesInstanceUID(f"1.2.{draw(st.integers(0, 10**6))}")
    evidence = draw(st.dictionaries(st.sampled_from(["Weighting", "ContrastEnhanced"]), _TEXTS, max_size=2))
    return SeriesFacts(series_instance_uid=uid, values=draw(_facts_of("series")), evidence=evidence)


@st.composite
def studies(draw: st.DrawFn) -> StudyFacts:
    many = draw(st.lists(series(), max_size=3, unique_by=lambda one: one.series_instance_uid))
    return StudyFacts(study_instance_uid=StudyInstanceUID("1.2.3"), values=draw(_facts_of("study")), series=many)
