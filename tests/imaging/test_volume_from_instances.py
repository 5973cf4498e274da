from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from dicomnode.domain.errors import GeometryError, UnreadablePixels
from dicomnode.imaging.volume_from_instances import place, read_source
from tests.builders import AXIAL, SAGITTAL, T2, a_series, uid, write_series

OBLIQUE = (0.0, 0.8, 0.6, 0.0, 0.6, -0.8)


def test_a_volume_is_sorted_by_position_whatever_the_order_of_files(tmp_path: Path) -> None:
    series = a_series(slices=6, **T2)
    shuffled = [series[index] for index in (3, 0, 5, 1, 4, 2)]
    source = read_source(write_series(tmp_path, shuffled))
    assert [item.SOPInstanceUID for item in source.datasets] == [item.SOPInstanceUID for item in series[::-1]]
    assert source.indices == (0, 1, 2, 3, 4, 5)
    assert np.array_equal(source.volume.array, np.stack([item.pixel_array for item in series[::-1]]).astype(np.float32))
    assert source.volume.geometry.spacing == pytest.approx((3.0, 1.5, 1.0))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    orientation=st.sampled_from([AXIAL, SAGITTAL, OBLIQUE]),
    spacing=st.tuples(*[st.floats(0.3, 9.0).map(lambda value: round(value, 3))] * 3),
    origin=st.tuples(*[st.floats(-300, 300).map(lambda value: round(value, 3))] * 3),
    slices=st.integers(2, 9),
)
def test_the_affine_is_highdicoms(
    orientation: tuple[float, ...],
    spacing: tuple[float, float, float],
    origin: tuple[float, float, float],
    slices: int,
) -> None:
    series = a_series(slices=slices, shape=(5, 4), spacing=spacing, orientation=orientation, origin=origin)
    geometry, indices = place(series)
    theirs = hd.get_volume_from_series(series, rtol=0.02, perpendicular_tol=1e-3)
    assert geometry.shape == theirs.spatial_shape
    assert np.allclose(geometry.affine, theirs.affine, atol=1e-3)
    by_place = np.stack([series[indices.index(index)].pixel_array for index in range(slices)])
    assert np.array_equal(by_place, theirs.array)
    assert sorted(indices) == list(range(slices))


def test_pixels_come_in_modality_units_and_right_way_up(tmp_path: Path) -> None:
    series = a_series(slices=2, Modality="CT", RescaleSlope=2, RescaleIntercept=-1024)
    volume = read_source(write_series(tmp_path, series)).volume
    assert volume.array[0, 0, 0] == pytest.approx(2 * float(series[1].pixel_array[0, 0]) - 1024)
    assert volume.units == "HU"


def test_compressed_pixels_are_decoded(tmp_path: Path) -> None:
    series = a_series(slices=3)
    plain = read_source(write_series(tmp_path / "plain", series)).volume
    for item in series:
        item.compress(RLELossless, generate_instance_uid=False)
    packed = read_source(write_series(tmp_path / "packed", series)).volume
    assert np.array_equal(plain.array, packed.array)


def test_attributes_carry_what_a_contract_asks_for_and_no_identity(tmp_path: Path) -> None:
    volume = read_source(write_series(tmp_path, a_series(slices=3, **T2))).volume
    assert volume.attributes["Weighting"] == "T2"
    assert volume.attributes["BodyPartExamined"] == "BRAIN"
    assert not {"PatientName", "PatientID"} & set(volume.attributes)


def _without(series: list[Dataset], *positions: int) -> list[Dataset]:
    return [item for index, item in enumerate(series) if index not in positions]


def _mixed_orientation() -> list[Dataset]:
    return a_series(slices=3) + a_series(slices=3, orientation=SAGITTAL)


def _sheared() -> list[Dataset]:
    series = a_series(slices=5)
    for index, item in enumerate(series):
        item.ImagePositionPatient = [-10, -20 + index, -30 + 3 * index]
    return series


def _two_spaces() -> list[Dataset]:
    series = a_series(slices=4)
    series[2].FrameOfReferenceUID = uid("somewhere else")
    return series


def _repeated() -> list[Dataset]:
    series = a_series(slices=4)
    series[2].ImagePositionPatient = series[1].ImagePositionPatient
    return series


def _uneven() -> list[Dataset]:
    series = a_series(slices=6)
    x, y, z = series[3].ImagePositionPatient
    series[3].ImagePositionPatient = [x, y, float(z) + 0.7]
    return series


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (a_series(slices=1), "at least two slices"),
        (_without(a_series(slices=8), 3), "seem to be missing: 1"),
        (_mixed_orientation(), "2 orientations"),
        (_sheared(), "sheared by 18.4 degrees"),
        (_two_spaces(), "more than one Frame of Reference"),
        (_repeated(), "positions hold more than one slice"),
        (_uneven(), "not equal"),
        (a_series(slices=4, ImagePositionPatient=None), "ImagePositionPatient is missing in 4 of 4"),
        (a_series(slices=2, NumberOfFrames=7), "multi-frame"),
        (a_series(slices=2, SamplesPerPixel=3), "colour"),
    ],
)
def test_what_is_no_volume_is_refused_with_its_reason(series: list[Dataset], reason: str) -> None:
    with pytest.raises(GeometryError, match=reason):
        place(series)


def test_a_gap_names_the_slices_beside_it() -> None:
    with pytest.raises(GeometryError, match=r"6\.00 mm between instance number 5 and instance number 3, 3\.00 mm"):
        place(_without(a_series(slices=8), 3))


def test_a_missing_slice_that_is_allowed_is_interpolated_and_has_no_instance(tmp_path: Path) -> None:
    whole = a_series(slices=8)
    source = read_source(write_series(tmp_path, _without(whole, 3)), missing_slices=1)
    assert source.volume.geometry.shape[0] == 8
    assert source.indices == (0, 1, 2, 3, 5, 6, 7)
    assert source.missing == 1
    between = (whole[2].pixel_array.astype(float) + whole[4].pixel_array) / 2
    assert np.allclose(source.volume.array[4], between)


def test_more_missing_slices_than_allowed_are_refused() -> None:
    with pytest.raises(GeometryError, match="seem to be missing: 2"):
        place(_without(a_series(slices=9), 3, 6), missing_slices=1)


def test_damaged_pixels_are_named(tmp_path: Path) -> None:
    series = a_series(slices=3)
    series[1].PixelData = series[1].PixelData[:100]
    with pytest.raises(UnreadablePixels, match="instance number 2"):
        read_source(write_series(tmp_path, series))


def test_a_file_that_is_not_there_is_an_error_of_the_nodes_own(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePixels):
        read_source([tmp_path / "gone.dcm", tmp_path / "gone too.dcm"])
