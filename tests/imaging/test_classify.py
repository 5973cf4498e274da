"""Published and vendor protocols -> weighting; the names in the tables are the protocols', not descriptions."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.imaging.classify import classify
from dicomnode.imaging.weighting import Classified, Weighting
from tests.builders import AXIAL, FLAIR, SAGITTAL, T1, T2, a_series
from tests.imaging.enhanced import T1_3D, Groups, an_enhanced_mr

W = Weighting

SPIN_ECHO: dict[str, Any] = {"ScanningSequence": "SE", "SequenceVariant": ["SK", "SP", "OSP"], "SeriesDescription": ""}
GRADIENT_ECHO: dict[str, Any] = {
    "ScanningSequence": "GR",
    "SequenceVariant": ["SP"],
    "SeriesDescription": "",
    "MRAcquisitionType": "3D",
}
INVERSION: dict[str, Any] = {"ScanningSequence": ["SE", "IR"], "SequenceVariant": ["SK", "SP"], "SeriesDescription": ""}
PLANAR: dict[str, Any] = {"ScanningSequence": "EP", "SequenceVariant": ["SK"], "SeriesDescription": ""}

PROTOCOLS: dict[str, tuple[Weighting, dict[str, Any]]] = {
    "T1 spin echo": (W.T1, {**SPIN_ECHO, "RepetitionTime": 500, "EchoTime": 12}),
    "T1 turbo spin echo": (W.T1, {**SPIN_ECHO, "RepetitionTime": 700, "EchoTime": 9.4, "EchoTrainLength": 3}),
    "T2 turbo spin echo": (W.T2, {**SPIN_ECHO, "RepetitionTime": 4500, "EchoTime": 100, "EchoTrainLength": 15}),
    "T2 SPACE": (W.T2, {**SPIN_ECHO, "RepetitionTime": 3200, "EchoTime": 563, "EchoTrainLength": 314}),
    "HASTE": (W.T2, {**SPIN_ECHO, "RepetitionTime": 900, "EchoTime": 87, "EchoTrainLength": 128}),
    "PD": (W.PD, {**SPIN_ECHO, "RepetitionTime": 3000, "EchoTime": 11}),
    "PD fat-saturated": (W.PD, {**SPIN_ECHO, "RepetitionTime": 3850, "EchoTime": 17, "ScanOptions": ["PFP", "FS"]}),
    "FLAIR 2D": (W.FLAIR, {**INVERSION, "RepetitionTime": 9000, "EchoTime": 110, "InversionTime": 2500}),
    "FLAIR SPACE": (W.FLAIR, {**INVERSION, "RepetitionTime": 5000, "EchoTime": 389, "InversionTime": 1800}),
    "FLAIR with the inversion time removed": (W.FLAIR, {**INVERSION, "RepetitionTime": 9000, "EchoTime": 110}),
    "FLAIR told only by the sequence": (
        W.FLAIR,
        {**SPIN_ECHO, "ScanningSequence": "RM", "RepetitionTime": 10002, "EchoTime": 159.5, "SequenceName": "flair"},
    ),
    "STIR 1.5 T": (W.STIR, {**INVERSION, "RepetitionTime": 4000, "EchoTime": 50, "InversionTime": 160}),
    "STIR 0.3 T": (W.STIR, {**INVERSION, "RepetitionTime": 3320, "EchoTime": 80, "InversionTime": 110}),
    "T1 FLAIR": (W.T1, {**INVERSION, "RepetitionTime": 2500, "EchoTime": 24, "InversionTime": 860}),
    "MPRAGE": (
        W.T1,
        {
            **GRADIENT_ECHO,
            "ScanningSequence": ["GR", "IR"],
            "SequenceVariant": ["SP", "MP"],
            "RepetitionTime": 2300,
            "EchoTime": 2.98,
            "InversionTime": 900,
            "FlipAngle": 9,
        },
    ),
    "MEMPRAGE without an inversion time": (
        W.T1,
        {**GRADIENT_ECHO, "ScanningSequence": ["GR", "IR"], "RepetitionTime": 2530, "EchoTime": 1.66, "FlipAngle": 7},
    ),
    "T1 TFE": (
        W.T1,
        {**GRADIENT_ECHO, "SequenceVariant": "MP", "RepetitionTime": 6.5, "EchoTime": 2.9, "FlipAngle": 9},
    ),
    "BRAVO": (
        W.T1,
        {
            **GRADIENT_ECHO,
            "SequenceVariant": ["SS", "SP", "SK"],
            "RepetitionTime": 7,
            "EchoTime": 2.8,
            "InversionTime": 400,
            "FlipAngle": 11,
        },
    ),
    "VIBE": (W.T1, {**GRADIENT_ECHO, "RepetitionTime": 5.53, "EchoTime": 2.81, "FlipAngle": 10}),
    "FLASH 2D": (
        W.T1,
        {**GRADIENT_ECHO, "MRAcquisitionType": "2D", "RepetitionTime": 300, "EchoTime": 2.46, "FlipAngle": 80},
    ),
    "T2* 2D": (
        W.T2STAR,
        {**GRADIENT_ECHO, "MRAcquisitionType": "2D", "RepetitionTime": 620, "EchoTime": 19.9, "FlipAngle": 20},
    ),
    "SWI": (
        W.SWI,
        {**GRADIENT_ECHO, "RepetitionTime": 28, "EchoTime": 20, "FlipAngle": 15, "SequenceName": "*swi3d1r"},
    ),
    "SWI phase": (
        W.OTHER,
        {
            **GRADIENT_ECHO,
            "RepetitionTime": 28,
            "EchoTime": 20,
            "FlipAngle": 15,
            "SequenceName": "*swi3d1r",
            "ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"],
        },
    ),
    "balanced": (
        W.OTHER,
        {**GRADIENT_ECHO, "SequenceVariant": "SS", "RepetitionTime": 4.2, "EchoTime": 2.1, "FlipAngle": 60},
    ),
    "TOF, flagged": (
        W.MRA,
        {**GRADIENT_ECHO, "RepetitionTime": 21, "EchoTime": 3.6, "FlipAngle": 18, "AngioFlag": "Y"},
    ),
    "phase contrast": (
        W.MRA,
        {**GRADIENT_ECHO, "RepetitionTime": 50, "EchoTime": 7, "FlipAngle": 15, "SequenceName": "*fl_pc3d1"},
    ),
    "field map, phase": (
        W.FIELDMAP,
        {**GRADIENT_ECHO, "RepetitionTime": 500, "EchoTime": 7.4, "ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
    ),
    "field map, magnitude": (
        W.FIELDMAP,
        {**GRADIENT_ECHO, "RepetitionTime": 500, "EchoTime": 4.9, "FlipAngle": 60, "SequenceName": "*fm2d2r"},
    ),
    "DWI": (
        W.DWI,
        {**PLANAR, "RepetitionTime": 5865, "EchoTime": 70.7, "SequenceName": "*ep_b1000t"},
    ),
    "DWI by b-value": (
        W.DWI,
        {**PLANAR, "ScanningSequence": ["SE", "EP"], "EchoTime": 79, "DiffusionBValue": 1000.0},
    ),
    "trace-weighted": (W.DWI, {**PLANAR, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW", "ND"]}),
    "ADC": (W.ADC, {**PLANAR, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC", "ND"]}),
    "FA": (W.OTHER, {**PLANAR, "ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "FA", "ND"]}),
    "DSC": (
        W.PERFUSION,
        {**PLANAR, "RepetitionTime": 1600, "EchoTime": 30, "SequenceName": "*epfid2d1_128", "ContrastBolusAgent": "Gd"},
    ),
    "ASL": (
        W.PERFUSION,
        {**PLANAR, "RepetitionTime": 2300, "EchoTime": 12, "ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "ASL"]},
    ),
    "T2* echo planar, once": (
        W.T2STAR,
        {**PLANAR, "RepetitionTime": 2000, "EchoTime": 30, "SequenceName": "*epfid2d1_64"},
    ),
    "localizer by type": (W.LOCALIZER, {**GRADIENT_ECHO, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}),
    "projection": (W.OTHER, {**GRADIENT_ECHO, "ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]}),
}


def _classify(slices: int = 16, **attributes: Any) -> Classified:
    return classify(a_series(slices=slices, shape=(2, 2), **attributes))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_is_recognised_without_its_name(name: str) -> None:
    expected, attributes = PROTOCOLS[name]
    found = _classify(**attributes)
    assert found.weighting is expected, found.evidence
    assert "description" not in found.evidence


@pytest.mark.parametrize("attributes", [T1, T2, FLAIR], ids=["T1", "T2", "FLAIR"])
def test_the_evidence_names_the_numbers(attributes: dict[str, Any]) -> None:
    found = _classify(**attributes)
    for part in (f"TR {attributes['RepetitionTime']} ms", f"TE {attributes['EchoTime']} ms"):
        assert part in found.evidence
    assert _classify(**T2).evidence == "TR 4500 ms, TE 100 ms, spin echo"


WORDS = st.lists(
    st.sampled_from(["t1", "t2", "flair", "stir", "pd", "tof", "dwi", "swi", "bold", "perf", "scout", "fmap", "adc"]),
    max_size=4,
).map(" ".join)
DECIDED = [name for name, (_, attributes) in PROTOCOLS.items() if attributes.get("RepetitionTime", 20) > 10]


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(DECIDED), description=WORDS, protocol=WORDS)
def test_no_description_overrules_physics(name: str, description: str, protocol: str) -> None:
    expected, attributes = PROTOCOLS[name]
    words = f"{description} {protocol}"
    found = _classify(**{**attributes, "SeriesDescription": description, "ProtocolName": protocol})
    # What the timing cannot part, words may: a time of flight from T1, SWI from T2*, uses of echo planar imaging; and
    # a spin echo of long repetition that is called an inversion recovery is nothing.
    allowed = {expected}
    if expected in (W.T2, W.PD):
        allowed = {W.UNKNOWN} if "flair" in words or "stir" in words else {expected}
    if attributes["ScanningSequence"] == "GR" and "IR" not in attributes["ScanningSequence"]:
        allowed |= {W.MRA} if "tof" in words else set()
        allowed |= {W.SWI} if "swi" in words and expected is W.T2STAR else set()
    if name == "T2* echo planar, once":
        allowed |= {W.FMRI, W.PERFUSION}
    assert found.weighting in allowed, found.evidence


@pytest.mark.parametrize(
    ("attributes", "description", "expected"),
    [
        ({"RepetitionTime": 1200, "EchoTime": 12}, "t1 tse cor", W.T1),
        ({"RepetitionTime": 1200, "EchoTime": 12}, "pd spc", W.PD),
        ({"RepetitionTime": 1200, "EchoTime": 12}, "t2 tse", W.UNKNOWN),
        ({"RepetitionTime": 1200, "EchoTime": 12}, "", W.UNKNOWN),
        ({"RepetitionTime": 3000, "EchoTime": 45}, "SAG DP FS", W.PD),
        ({"RepetitionTime": 3000, "EchoTime": 45}, "T2 FSE fs", W.T2),
        ({"RepetitionTime": 500, "EchoTime": 90}, "t1 se", W.UNKNOWN),
    ],
)
def test_words_choose_only_among_what_physics_leaves(
    attributes: dict[str, Any], description: str, expected: Weighting
) -> None:
    found = _classify(**{**SPIN_ECHO, **attributes, "SeriesDescription": description})
    assert found.weighting is expected
    if expected is not W.UNKNOWN:
        assert f"the description says {expected}" in found.evidence


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"SeriesDescription": "TOF_3D_multi-slab", "RepetitionTime": 21, "EchoTime": 3.6, "FlipAngle": 18}, W.MRA),
        ({"SeriesDescription": "Ax SWAN", "RepetitionTime": 40, "EchoTime": 24, "FlipAngle": 10}, W.SWI),
        ({"SeriesDescription": "t2_fl2d_tra_hemo", "RepetitionTime": 800, "EchoTime": 12, "FlipAngle": 20}, W.T2STAR),
    ],
)
def test_words_part_gradient_echoes_of_like_timing(attributes: dict[str, Any], expected: Weighting) -> None:
    assert _classify(**{**GRADIENT_ECHO, **attributes}).weighting is expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [("ep2d_bold_moco", W.FMRI), ("ep2d_perf_p2", W.PERFUSION), ("rest", W.FMRI), ("", W.T2STAR)],
)
def test_the_use_of_an_echo_planar_sequence_is_told_by_words(description: str, expected: Weighting) -> None:
    attributes: dict[str, Any] = {"RepetitionTime": 2000, "EchoTime": 30, "SequenceName": "*epfid2d1_64"}
    assert _classify(**{**PLANAR, **attributes, "SeriesDescription": description}).weighting is expected


def test_a_time_series_of_one_place_is_fmri() -> None:
    attributes: dict[str, Any] = {**PLANAR, "RepetitionTime": 2000, "EchoTime": 30, "SequenceName": "*epfid2d1_64"}
    volumes = [instance for _ in range(12) for instance in a_series(slices=2, shape=(2, 2), **attributes)]
    assert classify(volumes).evidence.endswith("12 times at one place")
    assert classify(volumes).weighting is W.FMRI


def test_a_spin_echo_called_flair_is_neither_t2_nor_flair() -> None:
    attributes: dict[str, Any] = {
        **SPIN_ECHO,
        "RepetitionTime": 9000,
        "EchoTime": 120,
        "SeriesDescription": "T2 FLAIR tra",
    }
    found = _classify(**attributes)
    assert found.weighting is W.UNKNOWN
    assert found.evidence == "TR 9000 ms, TE 120 ms, spin echo without inversion, but the description says FLAIR"


def test_a_localizer_is_few_images_in_crossing_planes() -> None:
    planes = [*a_series(slices=3, orientation=AXIAL), *a_series(slices=3, orientation=SAGITTAL)]
    assert classify(planes).weighting is W.LOCALIZER
    radial = [*a_series(slices=60, shape=(2, 2), **T2), *a_series(slices=60, orientation=SAGITTAL, shape=(2, 2), **T2)]
    assert classify(radial).weighting is W.T2


def test_a_series_called_localizer_must_look_like_one() -> None:
    assert _classify(slices=3, **{**T1, "SeriesDescription": "localizer_tra"}).weighting is W.LOCALIZER
    assert _classify(slices=40, **{**T1, "SeriesDescription": "localizer_tra"}).weighting is W.T1
    scout: dict[str, Any] = {**GRADIENT_ECHO, "RepetitionTime": 3.15, "EchoTime": 1.37, "FlipAngle": 8}
    assert _classify(slices=60, **{**scout, "SeriesDescription": "AAHead_Scout"}).weighting is W.LOCALIZER


def test_echoes_of_different_weighting_in_one_series_are_neither() -> None:
    series = a_series(slices=6, **SPIN_ECHO)
    for index, instance in enumerate(series):
        instance.RepetitionTime, instance.EchoTime = 3000, (12, 96)[index % 2]
    found = classify(series)
    assert found.weighting is W.UNKNOWN
    assert found.evidence == "TR 3000 ms, TE 12 to 96 ms, spin echo: its echoes differ in weighting"


def test_only_mr_images_are_weighted() -> None:
    assert _classify(Modality="CT", **T1).evidence == "modality CT"
    assert _classify(SOPClassUID="1.2.840.10008.5.1.4.1.1.66", **T1).weighting is W.OTHER
    assert classify([]).weighting is W.UNKNOWN


def test_without_physics_only_words_are_left_or_nothing() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("ScanningSequence", "SequenceVariant", "RepetitionTime", "EchoTime"))
    found = _classify(**{**nothing, "SeriesDescription": "T2 FLAIR tra"})
    assert (found.weighting, found.evidence) == (W.FLAIR, "the attributes leave it open; the description says FLAIR")
    assert _classify(**{**nothing, "SeriesDescription": "brain"}).weighting is W.UNKNOWN
    assert _classify(**{**nothing, "EchoTime": 12, "SeriesDescription": "T2 tra"}).weighting is W.UNKNOWN


@pytest.mark.parametrize(
    ("shared", "attributes", "expected"),
    [
        ({}, {}, W.T1),
        ({"MREchoSequence": {"EffectiveEchoTime": 30.0}}, {"EchoPlanarPulseSequence": "YES"}, W.T2STAR),
        ({}, {"TimeOfFlightContrast": "YES"}, W.MRA),
        ({}, {"ArterialSpinLabelingContrast": "PSEUDOCONTINUOUS"}, W.PERFUSION),
        ({"MRDiffusionSequence": {"DiffusionBValue": 800.0}}, {"EchoPlanarPulseSequence": "YES"}, W.DWI),
        (
            {
                "MRTimingAndRelatedParametersSequence": {"RepetitionTime": 8000.0, "FlipAngle": 90.0},
                "MREchoSequence": {"EffectiveEchoTime": 120.0},
                "MRModifierSequence": {"InversionRecovery": "YES", "InversionTimes": 2400.0},
            },
            {"EchoPulseSequence": "SPIN"},
            W.FLAIR,
        ),
        ({"MREchoSequence": {"EffectiveEchoTime": 5.0}}, {"AcquisitionContrast": "PROTON_DENSITY"}, W.PD),
        ({}, {"ComplexImageComponent": "PHASE"}, W.FIELDMAP),
    ],
)
def test_enhanced_objects_are_read_by_their_functional_groups(
    shared: Groups, attributes: dict[str, Any], expected: Weighting
) -> None:
    found = classify([an_enhanced_mr(shared or T1_3D, **attributes)])
    assert found.weighting is expected, found.evidence
