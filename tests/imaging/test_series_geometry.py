import pytest
from pydicom.dataset import Dataset

from dicomnode.imaging.series_geometry import geometry_facts
from tests.builders import AXIAL, SAGITTAL, a_series


def _series(**attributes: object) -> list[Dataset]:
    return a_series(shape=(2, 2), **attributes)  # type: ignore[arg-type]


def test_an_even_stack_is_measured_centre_to_centre() -> None:
    facts = geometry_facts(_series(slices=8))
    assert (facts["NumberOfStacks"], facts["SliceSpacing"], facts["MissingSlices"]) == (1, 3.0, 0)
    assert (facts["Coverage"], facts["ImagesPerPosition"], facts["InPlaneSpacing"]) == (24.0, 1, 1.5)


@pytest.mark.parametrize(("without", "missing"), [((3,), 1), ((3, 4), 2), ((2, 5), 2), ((0,), 0), ((7,), 0)])
def test_slices_that_are_lacking_between_others_are_counted(without: tuple[int, ...], missing: int) -> None:
    series = [one for index, one in enumerate(_series(slices=8)) if index not in without]
    facts = geometry_facts(series)
    assert (facts["SliceSpacing"], facts["MissingSlices"]) == (3.0, missing)


def test_of_uneven_slices_no_spacing_is_told() -> None:
    series = _series(slices=5)
    for instance, place in zip(series, (0.0, 3.0, 6.0, 10.3, 13.3), strict=True):
        instance.ImagePositionPatient = [0.0, 0.0, place]
    facts = geometry_facts(series)
    assert "SliceSpacing" not in facts
    assert "MissingSlices" not in facts
    assert facts["NumberOfStacks"] == 1


def test_slices_that_cross_are_several_stacks() -> None:
    crossing = [*_series(slices=3, orientation=AXIAL), *_series(slices=3, orientation=SAGITTAL)]
    facts = geometry_facts(crossing)
    assert (facts["NumberOfStacks"], facts["SliceSpacing"], facts["MissingSlices"]) == (2, 3.0, 0)


def test_repetitions_are_told_from_places() -> None:
    facts = geometry_facts([*_series(slices=4), *_series(slices=4, EchoTime=80)])
    assert (facts["ImagesPerPosition"], facts["Coverage"], facts["NumberOfEchoes"]) == (2, 12.0, 2)


def test_one_slice_covers_its_thickness_and_has_no_spacing() -> None:
    facts = geometry_facts(_series(slices=1))
    assert (facts["Coverage"], facts["NumberOfStacks"]) == (3.0, 1)
    assert "SliceSpacing" not in facts


def test_without_a_place_nothing_is_measured() -> None:
    facts = geometry_facts(_series(slices=2, ImagePositionPatient=None, ImageOrientationPatient=None))
    assert facts.keys().isdisjoint(("NumberOfStacks", "SliceSpacing", "MissingSlices", "Coverage"))
