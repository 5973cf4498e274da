"""Where the slices of a series lie in the patient, instance by instance or frame by frame (PS3.3 C.7.6.2.1.1)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomnode.imaging.attributes import items, numbers

_Vector = npt.NDArray[np.float64]
_COSINES, _COORDINATES = 6, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePlace:
    """One image: the direction it is looked at from, and where its first pixel lies; in mm, LPS+."""

    normal: _Vector
    position: _Vector


def slice_places(datasets: Sequence[Dataset]) -> list[SlicePlace]:
    """List the places of all images that have one."""
    pairs = (pair for dataset in datasets for pair in _cosines_and_positions(dataset))
    return [place for cosines, position in pairs if (place := _place(cosines, position)) is not None]


def _cosines_and_positions(dataset: Dataset) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
    """List Image Orientation and Image Position (Patient) of an instance, or of each of its frames."""
    frames = items(dataset, "PerFrameFunctionalGroupsSequence")
    if not frames:
        yield numbers(dataset, "ImageOrientationPatient"), numbers(dataset, "ImagePositionPatient")
        return
    shared = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    for frame in frames:
        cosines = _in_groups((frame, *shared), "PlaneOrientationSequence", "ImageOrientationPatient")
        yield cosines, _in_groups((frame, *shared), "PlanePositionSequence", "ImagePositionPatient")


def _in_groups(groups: Sequence[Dataset], macro: str, keyword: str) -> tuple[float, ...]:
    """Read the numbers of a functional group, of the frame first and then of all frames."""
    found = (numbers(item, keyword) for group in groups for item in items(group, macro)[:1])
    return next((values for values in found if values), ())


def _place(cosines: tuple[float, ...], position: tuple[float, ...]) -> SlicePlace | None:
    """Place a slice; None where its directions are none or its position is not told."""
    if len(cosines) != _COSINES or len(position) != _COORDINATES:
        return None
    normal = np.cross(cosines[:_COORDINATES], cosines[_COORDINATES:])
    length = float(np.linalg.norm(normal))
    return SlicePlace(normal=normal / length, position=np.asarray(position)) if length > 0 else None
