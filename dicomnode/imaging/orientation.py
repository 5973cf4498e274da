"""Which way the slices of a series lie in the patient (PS3.3 C.7.6.2.1.1)."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomnode.imaging.attributes import numbers
from dicomnode.imaging.functional_groups import frame_macros


class Orientation(StrEnum):
    """The body plane nearest to the slices of a series."""

    AXIAL = "AXIAL"
    SAGITTAL = "SAGITTAL"
    CORONAL = "CORONAL"
    OBLIQUE = "OBLIQUE"
    """More than 30 degrees off every body plane."""
    MIXED = "MIXED"
    """Slices cross each other at more than 45 degrees, as in a three-plane localizer."""
    NONE = "NONE"
    """No slice has an orientation."""


_BY_AXIS = (Orientation.SAGITTAL, Orientation.CORONAL, Orientation.AXIAL)
"""The plane that is perpendicular to the patient's x, y and z axis (LPS+)."""
_OBLIQUE_COSINE = np.cos(np.radians(30))
_CROSSING_COSINE = np.cos(np.radians(45))
_COSINES = 6


def orientation_of(datasets: Sequence[Dataset]) -> Orientation:
    """Name the body plane of a series; slices tilted a little against each other (spinal discs) are one plane."""
    normals = [_normal(cosines) for dataset in datasets for cosines in _direction_cosines(dataset)]
    known = np.array([normal for normal in normals if normal is not None])
    if known.size == 0:
        return Orientation.NONE
    if np.abs(known @ known[0]).min() < _CROSSING_COSINE:
        return Orientation.MIXED
    # A normal and its opposite name the same plane.
    aligned = known * np.where(known @ known[0] < 0, -1, 1)[:, np.newaxis]
    mean = np.abs(aligned.mean(axis=0))
    mean /= np.linalg.norm(mean)
    axis = int(mean.argmax())
    return _BY_AXIS[axis] if mean[axis] >= _OBLIQUE_COSINE else Orientation.OBLIQUE


def _direction_cosines(dataset: Dataset) -> Iterator[tuple[float, ...]]:
    """List Image Orientation (Patient) of an instance, or of all its frames."""
    yield numbers(dataset, "ImageOrientationPatient")
    for macro in frame_macros(dataset, "PlaneOrientationSequence"):
        yield numbers(macro, "ImageOrientationPatient")


def _normal(cosines: tuple[float, ...]) -> npt.NDArray[np.float64] | None:
    """Give the unit vector perpendicular to a slice; None where the row and column directions are none."""
    if len(cosines) != _COSINES:
        return None
    normal = np.cross(cosines[:3], cosines[3:])
    length = np.linalg.norm(normal)
    return normal / length if length > 0 else None
