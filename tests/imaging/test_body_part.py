import pytest
from pydicom.dataset import Dataset

from dicomnode.domain.facts import Confidence
from dicomnode.imaging.body_part import body_part_of
from dicomnode.imaging.finding import Finding
from tests.builders import a_series

LOW, MEDIUM, HIGH = Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH


def _part(
    described: str = "t1 se", examined: str | None = None, code: tuple[str, str] | None = None, study: str = "MR"
) -> Finding:
    (dataset,) = a_series(
        slices=1, shape=(2, 2), SeriesDescription=described, BodyPartExamined=examined, StudyDescription=study
    )
    if code is not None:
        region = Dataset()
        region.CodingSchemeDesignator, region.CodeValue = code
        region.CodeMeaning = "region"
        dataset.AnatomicRegionSequence = [region]
    return body_part_of([dataset])


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ("Brain T1", "BRAIN"),
        ("IRM Encéphale", "BRAIN"),
        ("Schädel nativ", "HEAD"),
        ("Hersenen T2", "BRAIN"),
        ("Cráneo T1", "HEAD"),
        ("頭部 T1強調", "HEAD"),
        ("genou droit DP", "KNEE"),
        ("Knie rechts", "KNEE"),
        ("rodilla izquierda", "KNEE"),
        ("右膝 T2", "KNEE"),
        ("LWS sag", "LSPINE"),
        ("rachis lombaire", "LSPINE"),
        ("腰椎 T2", "LSPINE"),
        ("foie", "LIVER"),
        ("肝臓", "LIVER"),
        ("prostata t2", "PROSTATE"),
    ],
)
def test_words_in_six_languages_tell_with_low_confidence(described: str, expected: str) -> None:
    found = _part(described)
    assert (found.value, found.confidence) == (expected, LOW)


@pytest.mark.parametrize("described", ["t1_space", "MPRAGE", "Localizer", "handled", "headers", ""])
def test_where_nothing_tells_it_is_unknown(described: str) -> None:
    found = _part(described)
    assert (found.value, found.confidence) == ("UNKNOWN", LOW)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("BRAIN", "BRAIN"),
        ("LSPINE", "LSPINE"),
        ("KOPF", "HEAD"),
        ("KNIE", "KNEE"),
        ("HEADNECK", "SEVERAL"),
        ("CALF", "LOWERLEG"),
        ("BODY", "UNKNOWN"),
    ],
)
def test_body_part_examined_has_synonyms(term: str, expected: str) -> None:
    assert _part(examined=term).value == expected


@pytest.mark.parametrize("code", [("SCT", "12738006"), ("SRT", "T-A0100")], ids=["SNOMED CT", "SNOMED RT"])
def test_a_code_comes_before_everything_else(code: tuple[str, str]) -> None:
    found = _part("knee", "KNEE", code)
    assert (found.value, found.confidence) == ("BRAIN", HIGH)


def test_a_description_may_say_more_precisely_what_was_examined() -> None:
    assert _part("Brain T1", "HEAD").value == "BRAIN"
    assert (_part("Head T1", "BRAIN").value, _part("Head T1", "BRAIN").confidence) == ("BRAIN", HIGH)
    assert _part("t1", "BRAIN").confidence is MEDIUM


def test_a_contradiction_is_unknown() -> None:
    found = _part("Knie T2", "BRAIN")
    assert (found.value, found.confidence) == ("UNKNOWN", LOW)


def test_the_description_of_the_series_comes_before_that_of_the_study() -> None:
    assert _part("knee", study="MR brain").value == "KNEE"
    assert _part("t1", study="MR brain").value == "BRAIN"


def test_a_phantom_counts_as_one_whatever_its_protocol_says() -> None:
    assert _part("Phantom T1", "BRAIN").value == "PHANTOM"
