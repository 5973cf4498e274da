import pytest
from pydicom.datadict import dictionary_VR

from dicomnode.domain.facts import FactType
from dicomnode.imaging.contrast_agent import ContrastEnhanced
from dicomnode.imaging.derived_facts import DERIVED_OF_STUDY
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.imaging.orientation import Orientation
from dicomnode.imaging.weighting import Weighting


@pytest.mark.parametrize(
    ("keyword", "expected"),
    [
        ("SeriesDescription", FactType.TEXT),
        ("PatientName", FactType.TEXT),
        ("StudyTime", FactType.TEXT),
        ("Modality", FactType.CODE),
        ("SOPClassUID", FactType.CODE),
        ("RepetitionTime", FactType.NUMBER),
        ("Rows", FactType.NUMBER),
        ("PatientAge", FactType.NUMBER),
        ("StudyDate", FactType.DATE),
        ("ImageType", FactType.TEXT_LIST),
        ("OperatorsName", FactType.TEXT_LIST),
        ("PixelSpacing", FactType.NUMBER_LIST),
        ("InversionTimes", FactType.NUMBER_LIST),
    ],
)
def test_an_attribute_has_the_type_of_its_vr_and_multiplicity(keyword: str, expected: FactType) -> None:
    assert fact_catalogue().series[keyword].type is expected


@pytest.mark.parametrize(
    "keyword",
    [
        "PixelData",
        "ContributingEquipmentSequence",
        "LUTData",
        "FrameIncrementPointer",
        "MediaStorageSOPClassUID",
        "TransferSyntaxUID",
        "CommandField",
        "Item",
        "GroupLength",
    ],
)
def test_what_a_rule_cannot_compare_is_no_fact(keyword: str) -> None:
    assert keyword not in fact_catalogue().series


def test_a_fact_is_described_by_its_name_and_tag() -> None:
    assert fact_catalogue().series["EchoTime"].description == "Echo Time (0018,0081)"
    assert all(field.description and field.name == name for name, field in fact_catalogue().series.items())


def test_only_patient_and_study_are_facts_of_a_study() -> None:
    study = fact_catalogue().study
    assert {"PatientID", "PatientAge", "StudyDescription", "AccessionNumber"} <= study.keys()
    assert study.keys().isdisjoint(("Modality", "SeriesDescription", "EchoTime", "Weighting"))
    assert (study["NumberOfSeries"].type, study["Modalities"].type) == (FactType.NUMBER, FactType.TEXT_LIST)
    derived = {field.name for field in DERIVED_OF_STUDY}
    assert all(dictionary_VR(keyword) for keyword in study.keys() - derived)
    assert all(study[keyword] == fact_catalogue().series[keyword] for keyword in study.keys() - derived)


def test_derived_facts_have_all_their_values() -> None:
    series = fact_catalogue().series
    assert series["Weighting"].values == tuple(Weighting)
    assert series["ContrastEnhanced"].values == tuple(ContrastEnhanced)
    assert series["Orientation"].values == tuple(Orientation)
    assert series["NumberOfInstances"].type is FactType.NUMBER
    assert {series[name].type for name in ("Weighting", "ContrastEnhanced", "Orientation")} == {FactType.CODE}


def test_the_catalogue_is_made_once() -> None:
    assert fact_catalogue() is fact_catalogue()
