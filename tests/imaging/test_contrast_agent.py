import pytest
from pydicom.dataset import Dataset

from dicomnode.imaging.contrast_agent import ContrastEnhanced, contrast_of
from tests.builders import a_series
from tests.imaging.enhanced import an_enhanced_mr

YES, NO, UNKNOWN = ContrastEnhanced.YES, ContrastEnhanced.NO, ContrastEnhanced.UNKNOWN


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        ("11 ml Omniscan", YES),
        ("Gd-DTPA", YES),
        ("ORAL & IV", YES),
        ("off", NO),
        ("NONE", NO),
        ("No", NO),
        ("n", NO),
        ("Without contrast", NO),
        ("", NO),
        (None, NO),
    ],
)
def test_the_agent_that_is_named_decides(agent: str | None, expected: ContrastEnhanced) -> None:
    assert contrast_of(a_series(slices=2, ContrastBolusAgent=agent)).value is expected


def test_the_evidence_names_the_agent() -> None:
    assert contrast_of(a_series(slices=1, ContrastBolusAgent="Dotarem")).evidence == "contrast agent Dotarem"
    assert contrast_of(a_series(slices=1, ContrastBolusAgent="off")).evidence == "contrast agent “off”"
    assert contrast_of(a_series(slices=1)).evidence == "no contrast agent named"


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("t1 se tra post Gd", UNKNOWN),
        ("T1W +C", UNKNOWN),
        ("t1_vibe_km", UNKNOWN),
        ("AX T1 C+", UNKNOWN),
        ("CE-MRA", UNKNOWN),
        ("t1 without contrast", NO),
        ("T1 PRE-GD", NO),
        ("t1 non contrast", NO),
        ("t2 posterior fossa", NO),
        ("AX FACE T1", NO),
    ],
)
def test_a_description_alone_only_makes_it_uncertain(description: str, expected: ContrastEnhanced) -> None:
    found = contrast_of(a_series(slices=1, SeriesDescription=description))
    assert found.value is expected
    assert description not in found.evidence


def test_one_instance_with_an_agent_is_enough() -> None:
    series = a_series(slices=3)
    series[2].ContrastBolusAgent = "Gadovist"
    assert contrast_of(series).value is YES


def test_amounts_and_codes_tell_as_well() -> None:
    assert contrast_of(a_series(slices=1, ContrastBolusVolume="7.5")).value is YES
    assert contrast_of(a_series(slices=1, ContrastBolusVolume="0")).value is NO
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "C-B0322", "SRT", "Gadolinium"
    assert contrast_of(a_series(slices=1, ContrastBolusAgentSequence=[code])).evidence == "contrast agent Gadolinium"


@pytest.mark.parametrize(("administered", "expected"), [("YES", YES), ("NO", NO)])
def test_enhanced_objects_say_whether_it_was_administered(administered: str, expected: ContrastEnhanced) -> None:
    usage = {"ContrastBolusUsageSequence": {"ContrastBolusAgentAdministered": administered}}
    assert contrast_of([an_enhanced_mr(frames=[usage, usage])]).value is expected
