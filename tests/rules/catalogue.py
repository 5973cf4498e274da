"""Facts for the rules' tests: a small catalogue with every type, and studies put together by hand."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from dicomnode.domain.facts import FactCatalogue, FactField, FactType
from dicomnode.domain.study import FactValue, SeriesFacts, StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.rules.ruleset import RuleSet, load_rule_set

WEIGHTINGS = (
    *("T1", "T2", "FLAIR", "STIR", "PD", "T2STAR", "SWI", "DWI", "ADC", "PERFUSION", "FMRI", "MRA"),
    *("FIELDMAP", "LOCALIZER", "OTHER", "UNKNOWN"),
)
TODAY = date(2026, 3, 1)
NOW = datetime(2026, 3, 1, 10, 30)
"""A Sunday morning, in the site's own time."""


def _facts(*facts: tuple[str, FactType] | tuple[str, FactType, tuple[str, ...]]) -> Mapping[str, FactField]:
    return {
        name: FactField(name=name, type=kind, description=name, values=closed[0] if closed else ())
        for name, kind, *closed in facts
    }


CATALOGUE = FactCatalogue(
    study=_facts(
        ("AccessionNumber", FactType.TEXT),
        ("Modalities", FactType.TEXT_LIST),
        ("NumberOfSeries", FactType.NUMBER),
        ("PatientAge", FactType.NUMBER),
        ("PatientBirthDate", FactType.DATE),
        ("PatientID", FactType.TEXT),
        ("PatientName", FactType.TEXT),
        ("PatientSex", FactType.CODE, ("F", "M", "O")),
        ("StudyDate", FactType.DATE),
        ("StudyDescription", FactType.TEXT),
    ),
    series=_facts(
        ("AcquisitionDate", FactType.DATE),
        ("AcquisitionTime", FactType.TEXT),
        ("BodyPartExamined", FactType.CODE),
        ("ContrastEnhanced", FactType.CODE, ("YES", "NO", "UNKNOWN")),
        ("EchoTime", FactType.NUMBER),
        ("ImageType", FactType.TEXT_LIST),
        ("MRAcquisitionType", FactType.CODE),
        ("Modality", FactType.CODE),
        ("NumberOfInstances", FactType.NUMBER),
        ("PatientID", FactType.TEXT),
        ("PixelSpacing", FactType.NUMBER_LIST),
        ("SeriesDescription", FactType.TEXT),
        ("SeriesNumber", FactType.NUMBER),
        ("Weighting", FactType.CODE, WEIGHTINGS),
    ),
)


def a_series_of_facts(number: int, weighting: str, **values: FactValue) -> SeriesFacts:
    """An MR series of 24 slices as a scanner sends it; further values replace or add facts, None takes one away."""
    return SeriesFacts(
        series_instance_uid=SeriesInstanceUID(f"1.2.3.{number}"),
        values={
            "ContrastEnhanced": "NO",
            "ImageType": ("ORIGINAL", "PRIMARY", "M"),
            "MRAcquisitionType": "2D",
            "Modality": "MR",
            "NumberOfInstances": 24,
            "SeriesDescription": f"{weighting.lower()} tra",
            "SeriesNumber": number,
            "Weighting": weighting,
            **values,
        },
        evidence={"Weighting": "TR 4500, TE 100 ms"},
    )


def a_study_of_facts(*series: SeriesFacts, **values: FactValue) -> StudyFacts:
    return StudyFacts(
        study_instance_uid=StudyInstanceUID("1.2.3"),
        values={"Modalities": ("MR",), "NumberOfSeries": len(series), "StudyDate": date(2026, 2, 20), **values},
        series=series,
    )


def a_rule(name: str = "a-rule", **parts: Any) -> dict[str, Any]:
    """The document of a rule that fires for any MR study and wants a T1; parts replace or add keys."""
    return {
        "name": name,
        "description": "A rule for tests.",
        "when": {"rules": [{"field": "Modalities", "operator": "contains", "value": "MR"}]},
        "then": {
            "model": "a-model",
            "target": "t1",
            "inputs": {"t1": {"rules": [{"field": "Weighting", "value": "T1"}]}},
            "destinations": ["pacs"],
        },
        **parts,
    }


def load(*rules: Any) -> RuleSet:
    return load_rule_set({"rules": list(rules)}, CATALOGUE)


def load_when(*conditions: Any, **group: Any) -> Any:
    """The checked conditions of a rule."""
    return load(a_rule(when={"rules": list(conditions), **group})).rules[0].when


def of_series(mode: str, *conditions: Any, threshold: int | None = None, **group: Any) -> dict[str, Any]:
    """The document of a quantifier over the series of a study."""
    match = {"mode": mode} if threshold is None else {"mode": mode, "threshold": threshold}
    return {"field": "series", "match": match, "value": {"rules": list(conditions), **group}}
