import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.fact_values import FactValues
from dicomnode.domain.facts import Confidence
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.domain.study_document import NESTED, facts_from_json, facts_to_json
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**12), 10**12)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.text(max_size=12),
    st.dates(),
    st.lists(st.text(max_size=8), max_size=4).map(tuple),
    st.lists(NUMBERS, max_size=4).map(tuple),
)
NAMES = st.sampled_from(
    ["EchoTime", "Weighting", "EchoTime.max", "ProcedureCodeSequence.CodeValue", "[ACME 1.0]0019,0C", "StudyDate"]
) | st.text(max_size=8)
ALL_VALUES = st.dictionaries(NAMES, VALUES, max_size=8).map(FactValues)
SERIES = st.builds(
    SeriesFacts,
    series_instance_uid=st.integers(1, 99).map(lambda number: SeriesInstanceUID(f"1.2.3.{number}")),
    values=ALL_VALUES,
    evidence=st.dictionaries(NAMES, st.text(max_size=20), max_size=4),
    confidence=st.dictionaries(NAMES, st.sampled_from(Confidence), max_size=4),
)
STUDIES = st.builds(
    StudyFacts,
    study_instance_uid=st.just(StudyInstanceUID("1.2.3")),
    values=ALL_VALUES,
    series=st.lists(SERIES, max_size=4).map(tuple),
)


def _typed(facts: StudyFacts) -> list[object]:
    """List all values with their types: 1, 1.0 and True are equal in Python, and different facts."""
    every = [facts.values, *(series.values for series in facts.series)]
    return [(name, repr(values[name])) for values in every for name in sorted(values)]


@settings(max_examples=200, deadline=None)
@given(STUDIES)
def test_facts_come_back_as_they_were_written(facts: StudyFacts) -> None:
    read = facts_from_json(json.loads(json.dumps(facts_to_json(facts))))
    assert read == facts
    assert _typed(read) == _typed(facts)


@settings(max_examples=50, deadline=None)
@given(STUDIES)
def test_nested_facts_may_be_kept_elsewhere(facts: StudyFacts) -> None:
    document = facts_to_json(facts)
    nested = document.pop(NESTED)
    without = facts_from_json(document)
    assert not [name for series in without.series for name in series.values if "." in name or name.startswith("[")]
    assert facts_from_json({**document, NESTED: nested}) == facts


def _a_document() -> dict[str, Any]:
    series = SeriesFacts(series_instance_uid=SeriesInstanceUID("1.2.3.4"), values={"StudyDate": date(2026, 3, 1)})
    return facts_to_json(StudyFacts(study_instance_uid=StudyInstanceUID("1.2.3"), values={}, series=(series,)))


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"series": None},
        {"series": [{"uid": "1.2.3.4"}]},
        {"series": [{"uid": "no uid", "values": {}, "evidence": {}, "confidence": {}}]},
        {"series": [{"uid": "1.2.3.4", "values": {"D": {"day": 1}}, "evidence": {}, "confidence": {}}]},
        {"series": [{"uid": "1.2.3.4", "values": {}, "evidence": {}, "confidence": {"Weighting": "SURE"}}]},
        {"nested": {"study": {}, "series": []}},
    ],
)
def test_a_document_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        facts_from_json({**_a_document(), **change})


def test_what_is_read_knows_its_summaries() -> None:
    facts = StudyFacts(study_instance_uid=StudyInstanceUID("1.2.3"), values={"PatientAge": 36}, series=())
    read = facts_from_json(facts_to_json(facts))
    assert (read.values["PatientAge"], read.values.get("PatientAge.max")) == (36, 36)
