"""Volumes and their place in the patient: a wrong one cannot be built."""

import math
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.errors import GeometryError, InvalidValue
from dicomnode.domain.uids import FrameOfReferenceUID
from dicomnode.domain.volume import Geometry, Volume

FRAME = FrameOfReferenceUID("1.2.3")
_SPACING = st.floats(0.1, 20).map(lambda value: round(value, 3))


def _affine(spacing: tuple[float, float, float], turn: float = 0.0) -> npt.NDArray[np.float64]:
    """Build the affine of an axial stack, turned about the patient's long axis by an angle in radians."""
    turned = np.array([[math.cos(turn), -math.sin(turn), 0], [math.sin(turn), math.cos(turn), 0], [0, 0, 1]])
    along = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=np.float64)  # slice: S, row: P, column: L
    affine = np.eye(4)
    affine[:3, :3] = turned @ along @ np.diag(spacing)
    return affine


def _geometry(shape: tuple[int, int, int] = (2, 3, 4), **parts: object) -> Geometry:
    placed: dict[str, object] = {"affine": _affine((3.0, 1.5, 1.0)), "frame_of_reference_uid": FRAME, **parts}
    return Geometry(shape=shape, **placed)  # type: ignore[arg-type]


@given(st.tuples(_SPACING, _SPACING, _SPACING), st.floats(0, math.tau))
def test_spacing_and_directions_are_read_from_the_affine(spacing: tuple[float, float, float], turn: float) -> None:
    geometry = _geometry(affine=_affine(spacing, turn))

    assert geometry.spacing == pytest.approx(spacing)
    assert geometry.directions.T @ geometry.directions == pytest.approx(np.eye(3), abs=1e-9)


@pytest.mark.parametrize(
    "affine",
    [np.eye(3), np.full((4, 4), np.nan), np.diag([1.0, 1.0, 0.0, 1.0]), np.zeros((4, 4)), np.eye(4)[:, [0, 0, 2, 3]]],
    ids=["3x3", "not a number", "flat", "zero", "two equal axes"],
)
def test_an_affine_that_places_nothing_is_refused(affine: npt.NDArray[np.float64]) -> None:
    with pytest.raises(GeometryError):
        _geometry(affine=affine)


def test_a_volume_without_voxels_is_refused() -> None:
    with pytest.raises(GeometryError):
        _geometry(shape=(0, 3, 4))


def test_geometries_are_equal_within_a_micrometre() -> None:
    moved = _affine((3.0, 1.5, 1.0))
    moved[0, 3] = 5e-4
    assert _geometry().equals(_geometry(affine=moved))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_of_a_hundredth_of_a_millimetre_is_another_place(axis: int) -> None:
    moved = _affine((3.0, 1.5, 1.0))
    moved[axis, 3] = 0.01
    assert not _geometry().equals(_geometry(affine=moved))


def test_another_shape_or_frame_of_reference_is_another_place() -> None:
    assert not _geometry().equals(_geometry(shape=(2, 3, 5)))
    assert not _geometry().equals(_geometry(frame_of_reference_uid=FrameOfReferenceUID("1.2.4")))


def test_geometries_can_be_compared_and_hashed_without_an_array_standing_in_the_way() -> None:
    one, other = _geometry(), _geometry()
    assert one != other
    assert len({one, other}) == 2


def test_the_voxels_of_a_volume_cannot_be_changed() -> None:
    volume = Volume(array=np.zeros((2, 3, 4), dtype=np.float32), geometry=_geometry())
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1


@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_a_volume_is_float32(dtype: type) -> None:
    with pytest.raises(InvalidValue, match="float32"):
        Volume(array=np.zeros((2, 3, 4), dtype=dtype), geometry=_geometry())


def test_an_array_of_another_shape_than_its_geometry_is_refused() -> None:
    with pytest.raises(InvalidValue, match="does not fit"):
        Volume(array=np.zeros((4, 3, 2), dtype=np.float32), geometry=_geometry())


def test_neighbouring_slices_lie_one_spacing_apart() -> None:
    geometry = _geometry()
    places = [geometry.affine @ (k, 0, 0, 1) for k in range(2)]
    assert [float(np.linalg.norm(b - a)) for a, b in pairwise(places)] == [geometry.spacing[0]]
