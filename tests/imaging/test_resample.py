import numpy as np
import pytest

from dicomnode.domain.derivation import Alignment
from dicomnode.domain.errors import GeometryError
from dicomnode.domain.uids import FrameOfReferenceUID
from dicomnode.domain.volume import Geometry, Volume
from dicomnode.imaging.resample import resample_onto

HERE, THERE = FrameOfReferenceUID("1.2.3"), FrameOfReferenceUID("1.2.4")


def _affine(spacing: tuple[float, float, float], origin: tuple[float, float, float]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.asarray([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


def _volume(
    affine: np.ndarray, shape: tuple[int, int, int], frame: FrameOfReferenceUID = HERE, *, inverted: bool = False
) -> Volume:
    """A head-like pattern of the patient's own coordinates, so that any grid shows the same thing."""
    index = np.indices(shape).reshape(3, -1)
    x, y, z = affine[:3, :3] @ index + affine[:3, 3:]
    shell = np.exp(-(((x / 60) ** 2 + (y / 70) ** 2 + (z / 50) ** 2) ** 4))
    inside = 0.5 + 0.3 * np.sin(x / 11) * np.cos(y / 13) + 0.2 * np.cos(z / 9)
    values = shell * (1.2 - inside if inverted else inside) * 1000
    geometry = Geometry(shape=shape, affine=affine, frame_of_reference_uid=frame)
    return Volume(array=values.reshape(shape).astype(np.float32), geometry=geometry)


TARGET = _volume(_affine((4.0, 2.0, 2.0), (-70.0, -80.0, -60.0)), (30, 80, 70))
FINE = _affine((1.5, 1.5, 1.5), (-75.0, -85.0, -62.0))


def test_the_same_grid_is_left_alone() -> None:
    again = resample_onto(TARGET, TARGET)
    assert again.volume is TARGET
    assert again.alignment.method == "same grid"
    assert again.alignment.mutual_information == pytest.approx(2.0)


def test_patient_coordinates_place_another_grid_exactly() -> None:
    moving = _volume(FINE, (84, 114, 100))
    resampled = resample_onto(moving, TARGET)
    assert resampled.volume.geometry.equals(TARGET.geometry)
    inner = (slice(4, -4), slice(8, -8), slice(8, -8))
    assert np.abs(resampled.volume.array[inner] - TARGET.array[inner]).max() < 30
    assert resampled.alignment.method == "patient coordinates"
    assert resampled.alignment.coverage > 0.95


def test_mutual_information_falls_when_the_images_do_not_fit() -> None:
    moving = _volume(FINE, (84, 114, 100), inverted=True)
    shifted = FINE.copy()
    shifted[:3, 3] += (15, 0, 0)
    astray = Volume(
        array=moving.array, geometry=Geometry(shape=(84, 114, 100), affine=shifted, frame_of_reference_uid=HERE)
    )
    fitting = resample_onto(moving, TARGET).alignment.mutual_information
    assert resample_onto(astray, TARGET).alignment.mutual_information < fitting - 0.02


@pytest.mark.parametrize(("frame", "alignment"), [(THERE, Alignment.HEADER), (HERE, Alignment.RIGID)])
def test_a_shift_is_found_by_registration(frame: FrameOfReferenceUID, alignment: Alignment) -> None:
    true = _volume(FINE, (84, 114, 100), inverted=True)
    shifted = FINE.copy()
    shifted[:3, 3] += (6.0, -4.0, 3.0)
    moving = Volume(
        array=true.array, geometry=Geometry(shape=(84, 114, 100), affine=shifted, frame_of_reference_uid=frame)
    )
    resampled = resample_onto(moving, TARGET, alignment)
    expected = resample_onto(true, TARGET)
    inner = (slice(6, -6), slice(12, -12), slice(12, -12))
    error = np.abs(resampled.volume.array[inner] - expected.volume.array[inner]).mean()
    assert error < 25
    assert resampled.alignment.method.startswith("rigid registration")
    before = resampled.alignment.mutual_information_before
    assert before is not None
    assert resampled.alignment.mutual_information > before
    if frame is HERE:
        assert resampled.alignment.translation_mm == pytest.approx(np.sqrt(61), abs=1.0)


def test_registration_gives_the_same_voxels_every_time() -> None:
    moving = _volume(FINE, (84, 114, 100), THERE, inverted=True)
    first, second = (resample_onto(moving, TARGET).volume.array for _ in range(2))
    assert np.array_equal(first, second)


def test_volumes_that_do_not_meet_are_refused() -> None:
    far = _volume(_affine((2.0, 2.0, 2.0), (900.0, 900.0, 900.0)), (10, 10, 10))
    with pytest.raises(GeometryError, match="does not overlap"):
        resample_onto(far, TARGET)
