from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given

from dicomnode.domain.facts import Confidence
from dicomnode.domain.rule import Explanation
from dicomnode.domain.study import SeriesFacts, StudyFacts
from dicomnode.rules.explain import in_words
from tests.rules.catalogue import CATALOGUE, TODAY, a_series_of_facts, a_study_of_facts, load_when, of_series
from tests.rules.seeing import explain, holds
from tests.rules.strategies import STUDY_TREES, studies


def _of_series(condition: Any, one: SeriesFacts) -> str:
    group = load_when(of_series("some", condition)).rules[0].value
    return explain(group, one, TODAY).lines()[0]


def _of_study(*conditions: Any, facts: StudyFacts, **group: Any) -> list[str]:
    return explain(load_when(*conditions, **group), facts, TODAY).lines()


T1, T2 = {"field": "Weighting", "value": "T1"}, {"field": "Weighting", "value": "T2"}


@pytest.mark.parametrize(
    ("condition", "line"),
    [
        (T2, "✓ Weighting is T2 (TR 4500, TE 100 ms)"),
        (T1, "✗ Weighting is T2 (TR 4500, TE 100 ms); asked whether it is T1"),
        (
            {"field": "BodyPartExamined", "value": "BRAIN"},
            "✗ BodyPartExamined is absent; asked whether it is BRAIN",
        ),
        (
            {"field": "BodyPartExamined", "operator": "notIn", "value": ["KNEE", "HIP", "FOOT"]},
            "✓ BodyPartExamined is absent; asked whether it is none of KNEE, HIP, FOOT",
        ),
        ({"field": "BodyPartExamined", "operator": "null"}, "✓ BodyPartExamined is absent"),
        (
            {"field": "BodyPartExamined", "operator": "notNull"},
            "✗ BodyPartExamined is absent; asked whether it is present",
        ),
        ({"field": "Modality", "operator": "notNull"}, "✓ Modality is MR"),
        (
            {"field": "NumberOfInstances", "operator": ">=", "value": 100.0},
            "✗ NumberOfInstances is 24; asked whether it is at least 100",
        ),
        ({"field": "EchoTime", "operator": "<", "value": 30}, "✓ EchoTime is 12.5; asked whether it is less than 30"),
        (
            {"field": "EchoTime", "operator": "between", "value": [1, 10]},
            "✗ EchoTime is 12.5; asked whether it is between 1 and 10",
        ),
        (
            {"field": "SeriesDescription", "operator": "contains", "value": "t1"},
            "✗ SeriesDescription is “t2 tra”; asked whether it contains “t1”",
        ),
        (
            {"field": "ImageType", "operator": "containsAll", "value": ["ORIGINAL", "MPR"]},
            "✗ ImageType is ORIGINAL, PRIMARY, M; asked whether it contains all of ORIGINAL, MPR",
        ),
        (
            {"field": "AcquisitionDate", "operator": "<", "value": "2026-03-01"},
            "✓ AcquisitionDate is 2026-02-20; asked whether it is before 2026-03-01",
        ),
        (
            {"field": "AcquisitionDate", "operator": "withinDays", "value": 3},
            "✗ AcquisitionDate is 2026-02-20; asked whether it is within 3 days of 2026-03-01",
        ),
        (
            {"field": "MRAcquisitionType", "value": "3D"},
            "✗ MRAcquisitionType is present but no code; asked whether it is 3D",
        ),
    ],
)
def test_a_condition_is_told_with_the_value_that_was_found(condition: Any, line: str) -> None:
    one = a_series_of_facts(1, "T2", EchoTime=12.5, AcquisitionDate=date(2026, 2, 20), MRAcquisitionType=3)
    assert _of_series(condition, one) == line


@pytest.mark.parametrize(
    ("confidence", "evidence", "told"),
    [
        (Confidence.HIGH, "TR 4500", "✓ Weighting is T2 (TR 4500)"),
        (Confidence.LOW, "the description", "✓ Weighting is T2 (the description; low confidence)"),
        (Confidence.MEDIUM, None, "✓ Weighting is T2 (medium confidence)"),
    ],
)
def test_what_was_concluded_with_little_confidence_says_so(
    confidence: Confidence, evidence: str | None, told: str
) -> None:
    one = replace(
        a_series_of_facts(1, "T2"),
        evidence={"Weighting": evidence} if evidence else {},
        confidence={"Weighting": confidence},
    )
    assert _of_series(T2, one) == told


def test_a_long_or_broken_text_stays_on_one_line() -> None:
    one = a_series_of_facts(1, "T1", SeriesDescription="a\nb\t" + "c" * 500)
    (line,) = explain(
        load_when(of_series("some", {"field": "SeriesDescription", "operator": "notNull"})).rules[0].value, one
    ).lines()
    assert line.startswith("✓ SeriesDescription is “a b ccc")
    assert len(line) < 130


@pytest.mark.parametrize(
    ("condition", "line"),
    [
        ({"field": "PatientID", "value": "S-1"}, "✓ PatientID is equal to the value of the rule"),
        ({"field": "PatientID", "value": "X-9"}, "✗ PatientID is not equal to the value of the rule"),
        ({"field": "PatientID", "operator": "!=", "value": "X-9"}, "✓ PatientID is not equal to the value of the rule"),
        ({"field": "PatientID", "operator": "notNull"}, "✓ PatientID is present"),
        (
            {"field": "PatientName", "operator": "contains", "value": "secret"},
            "✓ PatientName is present; asked whether it contains a value that is not shown",
        ),
        (
            {"field": "AccessionNumber", "value": "S-3"},
            "✗ AccessionNumber is absent; asked whether it is a value that is not shown",
        ),
        (
            {"field": "PatientBirthDate", "operator": "<", "value": "1970-01-02"},
            "✗ PatientBirthDate is present; asked whether it is before a value that is not shown",
        ),
        ({"field": "PatientAge", "operator": ">=", "value": 18}, "✓ PatientAge is 56; asked whether it is at least 18"),
    ],
)
def test_identifiers_of_a_patient_are_never_shown(condition: Any, line: str) -> None:
    facts = a_study_of_facts(
        PatientID="S-1", PatientName="Secret^Name", PatientBirthDate=date(1970, 1, 2), PatientAge=56
    )
    assert _of_study(condition, facts=facts) == [line]


def test_groups_tell_how_many_have_to_hold() -> None:
    facts = a_study_of_facts()
    mr = {"field": "Modalities", "operator": "contains", "value": "MR"}
    ct = {"field": "Modalities", "operator": "contains", "value": "CT"}
    assert _of_study(mr, ct, facts=facts) == [
        "✗ 1 of 2 hold, all have to",
        "  ✓ Modalities is MR; asked whether it contains MR",
        "  ✗ Modalities is MR; asked whether it contains CT",
    ]
    assert _of_study(mr, ct, facts=facts, combinator="or")[0] == "✓ 1 of 2 hold, one has to"
    assert _of_study(mr, ct, facts=facts, combinator="or", **{"not": True})[0] == "✗ 1 of 2 hold, none may"
    assert _of_study(mr, ct, facts=facts, **{"not": True})[0] == "✓ 1 of 2 hold, not all may"
    assert _of_study(mr, facts=facts, **{"not": True})[0] == "✗ 1 of 1 holds, none may"
    assert _of_study({"rules": [{"rules": [mr]}]}, facts=facts) == ["✓ Modalities is MR; asked whether it contains MR"]


STUDY = a_study_of_facts(
    a_series_of_facts(1, "T1"),
    a_series_of_facts(2, "T1", MRAcquisitionType="3D"),
    a_series_of_facts(3, "T2"),
    a_series_of_facts(4, "PD", SeriesDescription=None, SeriesNumber=None),
)


def test_some_names_the_series_that_match() -> None:
    assert _of_study(of_series("some", T1), facts=STUDY) == [
        "✓ some series has “Weighting is T1”: 2 of 4 match: “1 t1 tra”, “2 t1 tra”",
        "  ✓ “1 t1 tra”: Weighting is T1 (TR 4500, TE 100 ms)",
        "  ✓ “2 t1 tra”: Weighting is T1 (TR 4500, TE 100 ms)",
    ]


def test_some_that_fails_shows_the_nearest_miss() -> None:
    wanted = of_series("some", T2, {"field": "MRAcquisitionType", "value": "3D"})
    assert _of_study(wanted, facts=STUDY) == [
        "✗ some series has “Weighting is T2 and MRAcquisitionType is 3D”: 0 of 4 match; nearest is “3 t2 tra”",
        "  ✗ “3 t2 tra”: 1 of 2 hold, all have to",
        "    ✓ Weighting is T2 (TR 4500, TE 100 ms)",
        "    ✗ MRAcquisitionType is 2D; asked whether it is 3D",
    ]


def test_at_least_that_fails_shows_the_nearest_of_those_that_miss() -> None:
    lines = _of_study(of_series("atLeast", T2, threshold=2), facts=STUDY)
    assert lines[0] == ("✗ at least 2 series have “Weighting is T2”: 1 of 4 match: “3 t2 tra”; nearest is “1 t1 tra”")
    assert lines[1] == "  ✗ “1 t1 tra”: Weighting is T1 (TR 4500, TE 100 ms); asked whether it is T2"


@pytest.mark.parametrize(("mode", "threshold"), [("none", None), ("atMost", 1), ("exactly", 1)])
def test_too_many_matches_show_which_series_broke_it(mode: str, threshold: int | None) -> None:
    lines = _of_study(of_series(mode, T1, threshold=threshold), facts=STUDY)
    assert lines[0].startswith("✗")
    assert lines[0].endswith(": 2 of 4 match: “1 t1 tra”, “2 t1 tra”")
    assert [line.split("”")[0] for line in lines[1:]] == ["  ✓ “1 t1 tra", "  ✓ “2 t1 tra"]


def test_all_that_fails_shows_the_series_that_do_not_match() -> None:
    lines = _of_study(of_series("all", {"rules": [T1, T2], "combinator": "or"}), facts=STUDY)
    assert lines[0] == (
        "✗ every series has “Weighting is T1 or Weighting is T2”: 3 of 4 match: “1 t1 tra”, “2 t1 tra”, “3 t2 tra”;"
        " not: “? (no description)”"
    )
    assert lines[1].startswith("  ✗ “? (no description)”: 0 of 2 hold, one has to")


def test_none_that_holds_says_of_how_many() -> None:
    flair = {"field": "Weighting", "value": "FLAIR"}
    assert _of_study(of_series("none", flair), facts=STUDY) == ["✓ no series has “Weighting is FLAIR”: 0 of 4 match"]


def test_a_study_without_series_says_so() -> None:
    assert _of_study(of_series("all", T1), facts=a_study_of_facts()) == [
        "✗ every series has “Weighting is T1”: there is no series to look at"
    ]


def test_a_crowd_of_series_is_cut_short() -> None:
    crowd = a_study_of_facts(*(a_series_of_facts(number, "T1") for number in range(1, 31)))
    lines = _of_study(of_series("none", T1), facts=crowd)
    assert lines[0].endswith("“12 t1 tra” and 18 more")
    assert len(lines) == 4


def test_conditions_in_words() -> None:
    group = {
        "rules": [
            T1,
            {"rules": [T2, {"field": "ImageType", "operator": "contains", "value": "MPR"}], "combinator": "or"},
        ]
    }
    quantifier = of_series("atLeast", {"rules": [group]}, {"rules": [T2], "not": True}, threshold=1, combinator="or")
    assert in_words(load_when(quantifier)) == (
        "at least 1 series has “(Weighting is T1 and (Weighting is T2 or ImageType contains MPR))"
        " or not (Weighting is T2)”"
    )
    assert in_words(load_when({"field": "StudyDate", "operator": "withinDays", "value": 30})) == (
        "StudyDate is within 30 days of the day of the decision"
    )


def _nodes(explanation: Explanation) -> Iterator[Explanation]:
    yield explanation
    for child in explanation.children:
        yield from _nodes(child)


@given(tree=STUDY_TREES, facts=studies())
def test_an_explanation_says_the_same_as_the_evaluation(tree: dict[str, Any], facts: StudyFacts) -> None:
    when = load_when(tree)
    explanation = explain(when, facts, TODAY)
    assert explanation.holds is holds(when, facts, TODAY)
    assert Explanation.from_json(explanation.to_json()) == explanation
    assert all(node.text.strip() and "\n" not in node.text for node in _nodes(explanation))


@given(tree=STUDY_TREES, facts=studies())
def test_no_explanation_contains_an_identifier(tree: dict[str, Any], facts: StudyFacts) -> None:
    secret = {"PatientID": "SECRET-ID", "PatientName": "SECRET^NAME", "AccessionNumber": "SECRET-ACC"}
    known = {name: value for name, value in secret.items() if name in CATALOGUE.study}
    told = StudyFacts(
        study_instance_uid=facts.study_instance_uid, values={**facts.values, **known}, series=facts.series
    )
    asked = [{"field": name, "operator": "contains", "value": value} for name, value in known.items()]
    text = "\n".join(explain(load_when(tree, *asked), told, TODAY).lines())
    assert "SECRET" not in text
