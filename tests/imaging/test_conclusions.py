from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicomnode.domain.facts import Confidence
from dicomnode.imaging.conclusions import conclusions
from dicomnode.imaging.finding import Finding
from dicomnode.imaging.series_geometry import geometry_facts
from tests.builders import a_series
from tests.imaging.enhanced import an_enhanced_mr

LOW, MEDIUM, HIGH = Confidence.LOW, Confidence.MEDIUM, Confidence.HIGH


def _concluded(name: str, slices: int = 2, **attributes: Any) -> Finding:
    series = a_series(**{"slices": slices, "shape": (2, 2), **attributes})
    return conclusions(series, geometry_facts(series))[name]


@pytest.mark.parametrize(
    "agent", ["off", "NONE", "none ", "No", "ohne", "OHNE KM", "kein", "sans", "zonder", "sin", "なし", "", None, "0"]
)
def test_words_for_none_in_the_place_of_an_agent_mean_no(agent: str | None) -> None:
    assert _concluded("ContrastPhase", ContrastBolusAgent=agent).value == "NONE"


@pytest.mark.parametrize("agent", ["Gadovist", "Dotarem 15 ml", "Gd-DTPA", "yes"])
def test_an_agent_that_was_given_shows(agent: str) -> None:
    assert _concluded("ContrastPhase", ContrastBolusAgent=agent).value == "POST"


@pytest.mark.parametrize("described", ["T1 ohne KM", "T1 sans gadolinium", "T1 zonder contrast", "T1 sin contraste"])
def test_an_agent_against_a_description_without_is_unknown(described: str) -> None:
    found = _concluded("ContrastPhase", ContrastBolusAgent="Gadovist", SeriesDescription=described)
    assert (found.value, found.confidence) == ("UNKNOWN", LOW)


@pytest.mark.parametrize(
    "described", ["T1 nach KM", "T1 après injection", "T1 met contrast", "造影 T1", "T1 con contraste"]
)
def test_words_alone_do_not_make_it_enhanced(described: str) -> None:
    found = _concluded("ContrastPhase", SeriesDescription=described)
    assert (found.value, found.confidence) == ("UNKNOWN", LOW)


def test_an_agent_that_came_after_the_images_leaves_it_open() -> None:
    found = _concluded("ContrastPhase", ContrastBolusAgent="Gadovist", ContrastBolusStartTime="102500")
    assert found.value == "UNKNOWN"


@pytest.mark.parametrize(
    ("phases", "expected"), [(("PRE_CONTRAST",) * 2, "NONE"), (("PRE_CONTRAST", "ARTERIAL"), "UNKNOWN")]
)
def test_enhanced_objects_say_the_phase(phases: tuple[str, ...], expected: str) -> None:
    frames: list[dict[str, Any]] = [
        {"ContrastBolusUsageSequence": {"ContrastBolusAgentAdministered": "YES", "ContrastBolusAgentPhase": phase}}
        for phase in phases
    ]
    series = [an_enhanced_mr(frames=frames)]
    assert conclusions(series, geometry_facts(series))["ContrastPhase"].value == expected


@pytest.mark.parametrize(
    ("attributes", "expected", "confidence"),
    [
        ({"MRAcquisitionType": "3D"}, "3D", HIGH),
        ({"MRAcquisitionType": "2D"}, "2D", HIGH),
        ({"MRAcquisitionType": None, "SequenceName": "*tfl3d1_16ns"}, "3D", MEDIUM),
        ({"MRAcquisitionType": None, "SequenceName": "*tse2d1_15"}, "2D", MEDIUM),
        ({"MRAcquisitionType": None}, "UNKNOWN", LOW),
        ({"MRAcquisitionType": None, "slices": 120, "spacing": (1.0, 1.0, 1.0)}, "3D", LOW),
        ({"MRAcquisitionType": "3D", "Modality": "CT"}, "UNKNOWN", None),
    ],
)
def test_how_it_was_acquired(attributes: dict[str, Any], expected: str, confidence: Confidence | None) -> None:
    found = _concluded("AcquisitionType", **attributes)
    assert found.value == expected
    assert confidence is None or found.confidence is confidence


@pytest.mark.parametrize(
    ("image_type", "expected"),
    [
        (["ORIGINAL", "PRIMARY", "M"], "YES"),
        (["ORIGINAL", "PRIMARY", "MPR"], "UNKNOWN"),
        (["DERIVED", "PRIMARY", "MPR"], "NO"),
        (["DERIVED", "SECONDARY", "MIP"], "NO"),
        (["DERIVED", "PRIMARY", "DIFFUSION", "ADC"], "NO"),
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "NO"),
        (["DERIVED", "SECONDARY"], "UNKNOWN"),
    ],
)
def test_image_type_tells_whether_a_series_is_primary(image_type: list[str], expected: str) -> None:
    assert _concluded("IsPrimary", ImageType=image_type).value == expected


def test_a_series_that_was_only_compressed_is_still_primary() -> None:
    derived = ["DERIVED", "PRIMARY"]
    found = _concluded("IsPrimary", ImageType=derived, DerivationDescription="Lossy compression 10:1")
    assert (found.value, found.confidence) == ("YES", MEDIUM)
    assert _concluded("IsPrimary", ImageType=derived, DerivationDescription="Subtraction").value == "NO"
    assert _concluded("IsPrimary", ImageType=derived, SourceImageSequence=[Dataset()]).value == "NO"


def test_what_has_no_images_is_not_primary() -> None:
    assert _concluded("IsPrimary", Rows=None, Modality="SR").value == "NO"


def test_every_conclusion_has_evidence() -> None:
    series = a_series(slices=2, shape=(2, 2))
    assert all(finding.evidence for finding in conclusions(series, geometry_facts(series)).values())
