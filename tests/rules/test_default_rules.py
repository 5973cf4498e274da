"""The rules that ship, on studies put together by hand."""

from importlib.resources import files
from pathlib import Path

import pytest

from dicomnode.domain.rule import Decision
from dicomnode.domain.study import SeriesFacts
from dicomnode.rules.decide import decide
from dicomnode.rules.ruleset import RuleSet, read_rule_set
from tests.rules.catalogue import CATALOGUE, a_series_of_facts, a_study_of_facts

LOCALIZER = a_series_of_facts(1, "LOCALIZER", ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER"), NumberOfInstances=9)
T1 = a_series_of_facts(2, "T1", BodyPartExamined="BRAIN")
T1_3D = a_series_of_facts(5, "T1", BodyPartExamined="BRAIN", MRAcquisitionType="3D", NumberOfInstances=176)
T1_GD = a_series_of_facts(6, "T1", BodyPartExamined="BRAIN", ContrastEnhanced="YES")
T2 = a_series_of_facts(3, "T2", BodyPartExamined="BRAIN")
FLAIR = a_series_of_facts(4, "FLAIR", BodyPartExamined="BRAIN")


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return read_rule_set(Path(str(files("dicomnode.node") / "rules.yaml")), CATALOGUE)


def _decide(rules: RuleSet, *series: SeriesFacts, modalities: tuple[str, ...] = ("MR",)) -> Decision:
    (decision,) = decide(rules, a_study_of_facts(*series, Modalities=modalities), {})
    return decision


def _bound(decision: Decision) -> dict[str, str]:
    return {one.role: one.series_instance_uid.rsplit(".", 1)[1] for one in decision.bindings}


def test_a_brain_with_t1_and_t2_gets_a_flair(rules: RuleSet) -> None:
    decision = _decide(rules, LOCALIZER, T1, T2)
    assert decision.fired
    assert _bound(decision) == {"t1": "2", "t2": "3"}
    assert decision.action is not None
    assert (decision.action.model, decision.action.target_role) == ("mr-flair", "t2")
    assert decision.action.destinations == ("pacs",)


def test_a_brain_whose_scanner_names_no_body_part_gets_one_too(rules: RuleSet) -> None:
    assert _bound(_decide(rules, a_series_of_facts(2, "T1"), a_series_of_facts(3, "T2"))) == {"t1": "2", "t2": "3"}


def test_a_3d_t1_and_the_longest_t2_are_preferred(rules: RuleSet) -> None:
    longer = a_series_of_facts(7, "T2", BodyPartExamined="HEAD", NumberOfInstances=30)
    decision = _decide(rules, T1, T2, T1_3D, T1_GD, longer)
    assert _bound(decision) == {"t1": "5", "t2": "7"}
    assert "MRAcquisitionType is 3D" in decision.bindings[0].why
    assert "NumberOfInstances is 30, the highest" in decision.bindings[1].why


def test_a_brain_with_a_flair_does_not_get_another(rules: RuleSet) -> None:
    decision = _decide(rules, T1, T2, FLAIR)
    assert not decision.fired
    assert "  ✗ no series has “Weighting is FLAIR”: 1 of 3 match: “4 flair tra”" in decision.explanation.lines()


def test_a_flair_that_the_node_made_counts_as_none(rules: RuleSet) -> None:
    study = a_study_of_facts(T1, T2, FLAIR)
    (decision,) = decide(rules, study, {FLAIR.series_instance_uid: "made by a dicomnode"})
    assert decision.fired
    assert decision.excluded == ("“4 flair tra”: made by a dicomnode",)


def test_a_spine_does_not_get_a_flair_and_the_body_part_is_told(rules: RuleSet) -> None:
    spine = [
        a_series_of_facts(number, weighting, BodyPartExamined="LSPINE", ImageType=("DERIVED", "SECONDARY", "OTHER"))
        for number, weighting in ((6, "T2"), (7, "T1"), (12, "STIR"))
    ]
    decision = _decide(rules, *spine)
    assert not decision.fired
    lines = decision.explanation.lines()
    assert [line for line in lines if line.startswith("  ✗")] == [
        "  ✗ no series has “BodyPartExamined is present and BodyPartExamined is none of BRAIN, HEAD, SKULL”:"
        " 3 of 3 match: “6 t2 tra”, “7 t1 tra”, “12 stir tra”"
    ]
    assert "      ✓ BodyPartExamined is LSPINE" in lines


def test_a_knee_does_not_get_a_flair(rules: RuleSet) -> None:
    knee = [a_series_of_facts(n, w, BodyPartExamined="KNEE") for n, w in ((2, "T1"), (3, "T2"), (4, "PD"))]
    assert not _decide(rules, *knee).fired


def test_one_series_of_another_body_part_is_enough(rules: RuleSet) -> None:
    assert not _decide(rules, T1, T2, a_series_of_facts(8, "T2", BodyPartExamined="CSPINE")).fired


def test_a_ct_does_not_get_a_flair(rules: RuleSet) -> None:
    ct = a_series_of_facts(2, "UNKNOWN", Modality="CT", BodyPartExamined="HEAD", ContrastEnhanced=None)
    decision = _decide(rules, ct, modalities=("CT",))
    assert not decision.fired
    assert "  ✗ Modalities is CT; asked whether it contains MR" in decision.explanation.lines()


@pytest.mark.parametrize("contrast", ["YES", "UNKNOWN"])
def test_only_a_native_t1_counts(rules: RuleSet, contrast: str) -> None:
    decision = _decide(rules, a_series_of_facts(6, "T1", ContrastEnhanced=contrast), T2)
    assert not decision.fired
    assert f"ContrastEnhanced is {contrast}; asked whether it is NO" in "\n".join(decision.explanation.lines())


@pytest.mark.parametrize(
    ("unfit", "reason"),
    [
        (a_series_of_facts(3, "T2", NumberOfInstances=5), "NumberOfInstances is 5; asked whether it is at least 10"),
        (a_series_of_facts(3, "T2", ImageType=("DERIVED", "SECONDARY", "MPR")), "ImageType is DERIVED, SECONDARY, MPR"),
        (a_series_of_facts(3, "T2", ImageType=("ORIGINAL", "PRIMARY", "LOCALIZER")), "does not contain LOCALIZER"),
    ],
)
def test_a_t2_that_is_no_acquisition_of_the_head_waits_for_a_person(
    rules: RuleSet, unfit: SeriesFacts, reason: str
) -> None:
    decision = _decide(rules, T1, unfit)
    assert decision.fired
    assert decision.action is None
    assert decision.problem is not None
    assert decision.problem.startswith("No series fits role t2; nearest is “3 t2 tra”")
    assert reason in decision.problem
