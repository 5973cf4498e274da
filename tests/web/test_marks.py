"""What tells a synthetic series from an acquired one."""

from pydicom.dataset import Dataset

from dicomnode.domain.archive import DicomJson
from dicomnode.web.marks import Kind, mark_of
from tests.builders import a_series
from tests.web.holdings import MODEL, a_synthetic_series


def header(dataset: Dataset) -> DicomJson:
    del dataset.PixelData
    return dataset.to_json_dict()


def test_an_original_series_is_acquired() -> None:
    mark = mark_of([header(dataset) for dataset in a_series(slices=2)])
    assert (mark.kind, mark.model, mark.is_synthetic) == (Kind.ACQUIRED, "", False)


def test_a_synthetic_series_names_its_model() -> None:
    mark = mark_of([header(dataset) for dataset in a_synthetic_series("study", "derived", slices=2)])
    assert (mark.kind, mark.model) == (Kind.SYNTHETIC, f"{MODEL.name} {MODEL.version}")
    assert "NOT ACQUIRED" in mark.kind


def test_either_sign_is_enough() -> None:
    (only_flag,) = a_synthetic_series("study", "derived", slices=1, ContributingEquipmentSequence=None)
    (only_equipment,) = a_synthetic_series("study", "derived", slices=1, SyntheticData=None)
    assert mark_of([header(only_flag)]).is_synthetic
    assert mark_of([header(only_equipment)]).is_synthetic


def test_one_synthetic_instance_marks_the_whole_series() -> None:
    mixed = [*a_series(slices=3), *a_synthetic_series("study", "derived", slices=1)]
    assert mark_of([header(dataset) for dataset in mixed]).is_synthetic


def test_a_processed_series_is_neither_acquired_nor_synthetic() -> None:
    (dataset,) = a_synthetic_series("study", "derived", slices=1, SyntheticData=None)
    dataset.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue = "109102"
    assert mark_of([header(dataset)]).kind is Kind.DERIVED
    (reformatted,) = a_series(slices=1, ImageType=["DERIVED", "SECONDARY", "MPR"])
    assert mark_of([header(reformatted)]).kind is Kind.DERIVED


def test_odd_equipment_items_do_not_break_the_mark() -> None:
    odd = {"0018A001": {"vr": "SQ", "Value": [{}, {"0040A170": {"vr": "SQ"}}, {"0040A170": {"Value": [{}]}}]}}
    assert mark_of([odd, {}]).kind is Kind.ACQUIRED
