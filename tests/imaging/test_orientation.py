from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomnode.imaging.orientation import Orientation, orientation_of
from tests.builders import AXIAL, SAGITTAL, a_series
from tests.imaging.enhanced import an_enhanced_mr

CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
PLANES = {Orientation.AXIAL: AXIAL, Orientation.SAGITTAL: SAGITTAL, Orientation.CORONAL: CORONAL}
NORMALS = {Orientation.AXIAL: (0, 0, 1), Orientation.SAGITTAL: (1, 0, 0), Orientation.CORONAL: (0, 1, 0)}


def _slices(*orientations: Sequence[float]) -> list[Dataset]:
    return [a_series(slices=1, orientation=orientation)[0] for orientation in orientations]


def _turned(cosines: Sequence[float], axis: Sequence[float], degrees: float) -> list[float]:
    """Turn both directions about an axis (Rodrigues' formula)."""
    unit, angle = np.asarray(axis) / np.linalg.norm(axis), np.radians(degrees)
    turned = [
        np.cos(angle) * direction
        + np.sin(angle) * np.cross(unit, direction)
        + (1 - np.cos(angle)) * (unit @ direction) * unit
        for direction in (np.asarray(cosines[:3]), np.asarray(cosines[3:]))
    ]
    return [float(value) for value in np.concatenate(turned)]


@pytest.mark.parametrize(("expected", "cosines"), PLANES.items())
def test_a_body_plane_is_named_whichever_way_it_is_written(expected: Orientation, cosines: Sequence[float]) -> None:
    flipped = [-value for value in cosines[:3]] + list(cosines[3:])
    swapped = [*cosines[3:], *cosines[:3]]
    assert orientation_of(_slices(cosines)) is expected
    assert orientation_of(_slices(flipped)) is expected
    assert orientation_of(_slices(cosines, swapped, flipped)) is expected


@settings(deadline=None)
@given(
    plane=st.sampled_from(list(PLANES)),
    axis=st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1),
    degrees=st.floats(0, 180),
)
def test_a_plane_is_oblique_from_thirty_degrees_off_every_body_plane(
    plane: Orientation, axis: tuple[float, float, float], degrees: float
) -> None:
    cosines = _turned(PLANES[plane], axis, degrees)
    normal = np.cross(cosines[:3], cosines[3:])
    off = {body: np.degrees(np.arccos(min(1, abs(normal @ np.asarray(axis))))) for body, axis in NORMALS.items()}
    nearest = min(off, key=lambda body: off[body])
    if abs(off[nearest] - 30) > 0.1:
        assert orientation_of(_slices(cosines)) is (nearest if off[nearest] < 30 else Orientation.OBLIQUE)


def test_slices_tilted_against_each_other_are_one_plane_until_they_cross() -> None:
    tilts = [_turned(AXIAL, (1, 0, 0), degrees) for degrees in (0, 0, 12, 12, 25)]
    assert orientation_of(_slices(*tilts)) is Orientation.AXIAL
    assert orientation_of(_slices(AXIAL, _turned(AXIAL, (1, 0, 0), 60))) is Orientation.MIXED
    assert orientation_of(_slices(AXIAL, SAGITTAL, CORONAL)) is Orientation.MIXED


def test_frames_count_like_slices() -> None:
    assert orientation_of([an_enhanced_mr()]) is Orientation.AXIAL
    sagittal = {"PlaneOrientationSequence": {"ImageOrientationPatient": list(SAGITTAL)}}
    assert orientation_of([an_enhanced_mr(frames=[{}, sagittal])]) is Orientation.MIXED


def test_what_has_no_plane_has_none() -> None:
    (absent,) = a_series(slices=1, ImageOrientationPatient=None)
    (flat,) = a_series(slices=1, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    (short,) = a_series(slices=1, ImageOrientationPatient=[1, 0, 0])
    assert [orientation_of([dataset]) for dataset in (absent, flat, short)] == [Orientation.NONE] * 3
    assert orientation_of([]) is Orientation.NONE
