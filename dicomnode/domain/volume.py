"""A stack of slices as one array with its place in the patient."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from dicomnode.domain.errors import GeometryError, InvalidValue
from dicomnode.domain.uids import FrameOfReferenceUID

_AFFINE_TOLERANCE_MM = 1e-3


class Units(StrEnum):
    """What the numbers of a volume mean."""

    ARBITRARY = "arbitrary"
    """MR signal: only ratios within one volume mean something."""
    HOUNSFIELD = "HU"
    STANDARD_DEVIATION = "sd"
    """One standard deviation, in the units of the image it accompanies."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """Where the voxels of a regular stack lie (PS3.3 C.7.6.2.1.1).

    `affine` is 4x4 and maps the index (slice, row, column) of a voxel's centre to LPS+ millimetres.
    """

    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64]
    frame_of_reference_uid: FrameOfReferenceUID

    def __post_init__(self) -> None:
        """Refuse an affine that is no placement; raises GeometryError."""
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise GeometryError("an affine is 4x4 and finite")
        if min(self.shape) < 1 or abs(np.linalg.det(self.affine[:3, :3])) == 0:
            raise GeometryError("a volume needs at least one voxel and three independent axes")

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along slice, row and column index, in mm."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])

    @property
    def directions(self) -> npt.NDArray[np.float64]:
        """Unit vectors (as columns) of growing slice, row and column index, LPS+."""
        unit: npt.NDArray[np.float64] = self.affine[:3, :3] / np.asarray(self.spacing)
        return unit

    def equals(self, other: "Geometry", tolerance_mm: float = _AFFINE_TOLERANCE_MM) -> bool:
        """Whether both place every voxel at the same point of the same patient space."""
        return (
            self.shape == other.shape
            and self.frame_of_reference_uid == other.frame_of_reference_uid
            and bool(np.allclose(self.affine, other.affine, atol=tolerance_mm, rtol=0))
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """Voxels and their place: `array` is float32 of shape (slices, rows, columns), read-only."""

    array: npt.NDArray[np.float32]
    geometry: Geometry
    units: Units = Units.ARBITRARY
    attributes: dict[str, str | float] = field(default_factory=dict)
    """Acquisition facts a model's contract may ask for (DICOM keyword -> value); never identity."""

    def __post_init__(self) -> None:
        """Check array against geometry and make it read-only; raises InvalidValue."""
        if self.array.dtype != np.float32:
            raise InvalidValue(f"a volume is float32, not {self.array.dtype}")
        if self.array.shape != self.geometry.shape:
            raise InvalidValue(f"array {self.array.shape} does not fit its geometry {self.geometry.shape}")
        self.array.setflags(write=False)
