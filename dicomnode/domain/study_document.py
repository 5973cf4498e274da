"""Facts as plain JSON, exactly reversible: what a study was when it was decided, kept so that rules can be replayed.

    {"format": 1, "study": UID, "values": {...}, "series": [{"uid", "values", "evidence", "confidence"}, ...],
     "nested": {"study": {...}, "series": [{...}, ...]}}

A date is {"date": "2026-03-01"}, a list is a list. `nested` holds the facts whose names have paths, which few rules ask
for: it may be kept elsewhere and put back, or left out when the facts are read.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.fact_values import FactValues
from dicomnode.domain.facts import Confidence, is_nested
from dicomnode.domain.study import FactValue, SeriesFacts, StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID

NESTED = "nested"
_FORMAT = 1
_DATE = "date"


def facts_to_json(facts: StudyFacts) -> dict[str, Any]:
    """Write the facts of a study as values that JSON has."""
    return {
        "format": _FORMAT,
        "study": str(facts.study_instance_uid),
        "values": _written(facts.values, nested=False),
        "series": [_series(one) for one in facts.series],
        NESTED: {
            "study": _written(facts.values, nested=True),
            "series": [_written(one.values, nested=True) for one in facts.series],
        },
    }


def facts_from_json(document: Mapping[str, Any]) -> StudyFacts:
    """Read back what `facts_to_json` wrote; raises InvalidValue for what it did not write."""
    if document.get("format") != _FORMAT:
        raise InvalidValue("the stored facts of the study are not in a form that this version of the node reads")
    try:
        nested = document.get(NESTED) or {"study": {}, "series": [{}] * len(document["series"])}
        return StudyFacts(
            study_instance_uid=StudyInstanceUID(document["study"]),
            values=_read(document["values"], nested["study"]),
            series=_all_series(document["series"], nested["series"]),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InvalidValue(f"the stored facts of the study cannot be read ({type(error).__name__})") from None


def _series(facts: SeriesFacts) -> dict[str, Any]:
    return {
        "uid": str(facts.series_instance_uid),
        "values": _written(facts.values, nested=False),
        "evidence": dict(facts.evidence),
        "confidence": {name: confidence.value for name, confidence in facts.confidence.items()},
    }


def _all_series(series: Sequence[Mapping[str, Any]], nested: Sequence[Mapping[str, Any]]) -> tuple[SeriesFacts, ...]:
    return tuple(
        SeriesFacts(
            series_instance_uid=SeriesInstanceUID(one["uid"]),
            values=_read(one["values"], more),
            evidence=dict(one["evidence"]),
            confidence={name: Confidence(word) for name, word in one["confidence"].items()},
        )
        for one, more in zip(series, nested, strict=True)
    )


def _written(values: Mapping[str, FactValue], *, nested: bool) -> dict[str, Any]:
    return {name: _value(value) for name, value in values.items() if is_nested(name) is nested}


def _value(value: FactValue) -> object:
    if isinstance(value, date):
        return {_DATE: value.isoformat()}
    return list(value) if isinstance(value, tuple) else value


def _read(values: Mapping[str, Any], nested: Mapping[str, Any]) -> FactValues:
    read = FactValues()
    for part in (values, nested):
        for name, value in part.items():
            read[name] = _read_value(value)
    return read


def _read_value(value: Any) -> FactValue:  # noqa: ANN401  whatever JSON can hold
    if isinstance(value, dict):
        return date.fromisoformat(value[_DATE])
    return tuple(value) if isinstance(value, list) else value
