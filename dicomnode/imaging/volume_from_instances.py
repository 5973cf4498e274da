"""Instances of one series -> one regular volume, or the reason why there is none (PS3.3 C.7.6.2)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_rescale

from dicomnode.domain.errors import GeometryError, UnreadablePixels
from dicomnode.domain.uids import FrameOfReferenceUID
from dicomnode.domain.volume import Geometry, Units, Volume
from dicomnode.imaging.series_facts import study_facts

_ORIENTATION_TOLERANCE = 1e-3
"""Largest difference of a direction cosine within one stack; scanners write the same text for all slices."""
_SPACING_TOLERANCE = 0.02
"""Largest deviation of a slice distance, as a share of the spacing (highdicom's default is 0.01, for exact exports)."""
_PLACE_TOLERANCE = 0.05
"""How far from its place in the regular stack a slice may lie, as a share of the spacing."""
_PERPENDICULAR_TOLERANCE = 1e-3
_SAME_POSITION_MM = 1e-2

_NEEDED = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "FrameOfReferenceUID", "Rows", "Columns")
_ALIKE: Mapping[str, str] = {
    "FrameOfReferenceUID": "more than one Frame of Reference",
    "Rows": "slices of different height",
    "Columns": "slices of different width",
    "PixelSpacing": "slices of different pixel spacing",
}
_ATTRIBUTES = (
    "Modality",
    "Weighting",
    "ContrastEnhanced",
    "BodyPartExamined",
    "Manufacturer",
    "MagneticFieldStrength",
    "PatientPosition",
)
_DECODE_ERRORS = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What pydicom and its decoders raise for damaged or unsupported pixel data."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourceSeries:
    """A series as a volume: `datasets[i]` is the slice at index `indices[i]` of the volume, in ascending order.

    Slices that no instance fills (at most as many as were allowed) are interpolated in the volume.
    """

    volume: Volume
    datasets: tuple[Dataset, ...]
    indices: tuple[int, ...]

    @property
    def missing(self) -> int:
        """How many slices of the volume are interpolated because their instance is missing."""
        return self.volume.geometry.shape[0] - len(self.indices)


def read_source(files: Sequence[Path], missing_slices: int = 0) -> SourceSeries:
    """Read a series into a volume; raises GeometryError or UnreadablePixels with the reason.

    Up to `missing_slices` slices missing between others are interpolated linearly.
    """
    datasets = []
    for file in files:
        try:
            datasets.append(pydicom.dcmread(file))
        except (InvalidDicomError, OSError) as error:
            raise UnreadablePixels(f"an instance of the spool cannot be read ({type(error).__name__})") from error
    geometry, indices = place(datasets, missing_slices)
    order = np.argsort(indices)
    ordered = tuple(datasets[position] for position in order)
    places = tuple(int(indices[position]) for position in order)
    volume = Volume(
        array=_stack(ordered, places, geometry.shape),
        geometry=geometry,
        units=Units.HOUNSFIELD if ordered[0].get("Modality") == "CT" else Units.ARBITRARY,
        attributes=_attributes(ordered),
    )
    return SourceSeries(volume=volume, datasets=ordered, indices=places)


def place(datasets: Sequence[Dataset], missing_slices: int = 0) -> tuple[Geometry, tuple[int, ...]]:
    """Find the geometry of a stack and the slice index of each of its instances; raises GeometryError."""
    for check in (_complete, _alike, _parallel):
        check(datasets)
    distances = _distances(datasets)
    _distinct(datasets, distances)
    _upright(datasets, distances)
    spacing = _spacing(datasets, distances)
    steps = (distances - distances.min()) / spacing
    indices = np.rint(steps).astype(int)
    uneven = np.abs(steps - indices) > _PLACE_TOLERANCE
    missing = int(indices.max()) + 1 - len(datasets)
    if uneven.any() or missing > missing_slices or len(set(indices)) < len(datasets):
        raise GeometryError(_gap(datasets, distances, spacing, missing))
    return _geometry(datasets, indices, spacing), tuple(int(index) for index in indices)


def _complete(datasets: Sequence[Dataset]) -> None:
    """Refuse what is not a stack of single-frame images with a place in the patient."""
    if len(datasets) < 2:
        raise GeometryError("a volume needs at least two slices")
    if any("NumberOfFrames" in dataset and int(dataset.NumberOfFrames or 1) > 1 for dataset in datasets):
        raise GeometryError("multi-frame instances cannot be used as a source: one instance per slice is needed")
    for keyword in _NEEDED:
        lacking = sum(dataset.get(keyword) in (None, "", []) for dataset in datasets)
        if lacking:
            raise GeometryError(f"{keyword} is missing in {lacking} of {len(datasets)} instances")
    if any(dataset.get("SamplesPerPixel", 1) != 1 for dataset in datasets):
        raise GeometryError("colour images do not form a volume")


def _alike(datasets: Sequence[Dataset]) -> None:
    """Refuse a series that mixes grids or patient spaces."""
    for keyword, problem in _ALIKE.items():
        if len({str(dataset[keyword].value) for dataset in datasets}) > 1:
            raise GeometryError(f"the series holds {problem}")


def _parallel(datasets: Sequence[Dataset]) -> None:
    """Refuse a series of several stacks, such as a localizer or multi-angle discs."""
    orientations = np.asarray([dataset.ImageOrientationPatient for dataset in datasets], dtype=float)
    if np.ptp(orientations, axis=0).max() > _ORIENTATION_TOLERANCE:
        count = len({tuple(row) for row in np.round(orientations, 2)})
        raise GeometryError(f"the series holds slices of {count} orientations")


def _positions(datasets: Sequence[Dataset]) -> npt.NDArray[np.float64]:
    return np.asarray([dataset.ImagePositionPatient for dataset in datasets], dtype=float)


def _normal(dataset: Dataset) -> npt.NDArray[np.float64]:
    """Give the direction of stacking that makes (slice, row, column) right-handed, as highdicom has it."""
    orientation = np.asarray(dataset.ImageOrientationPatient, dtype=float)
    return np.cross(orientation[3:], orientation[:3])


def _distances(datasets: Sequence[Dataset]) -> npt.NDArray[np.float64]:
    """Measure how far along the stack's normal each slice lies, in mm."""
    return _positions(datasets) @ _normal(datasets[0])


def _distinct(datasets: Sequence[Dataset], distances: npt.NDArray[np.float64]) -> None:
    """Refuse two instances at one position (echoes, phases, repeated acquisitions)."""
    order = np.argsort(distances, kind="stable")
    repeated = [(a, b) for a, b in pairwise(order) if distances[b] - distances[a] < _SAME_POSITION_MM]
    if repeated:
        first, second = (_name(datasets[position]) for position in repeated[0])
        raise GeometryError(f"{len(repeated)} positions hold more than one slice (first: {first} and {second})")


def _upright(datasets: Sequence[Dataset], distances: npt.NDArray[np.float64]) -> None:
    """Refuse a sheared stack: with a tilted gantry the slices are not stacked along their normal."""
    positions = _positions(datasets)
    path = positions[int(distances.argmax())] - positions[int(distances.argmin())]
    cosine = float(path @ _normal(datasets[0]) / np.linalg.norm(path))
    if cosine < 1 - _PERPENDICULAR_TOLERANCE:
        angle = float(np.degrees(np.arccos(min(cosine, 1.0))))
        raise GeometryError(f"the stack is sheared by {angle:.1f} degrees (tilted gantry): it is no regular volume")


def _spacing(datasets: Sequence[Dataset], distances: npt.NDArray[np.float64]) -> float:
    """Find the distance between neighbouring slices in mm, by highdicom; falls back on the median for the reason."""
    spacing, _indices = hd.spatial.get_series_volume_positions(
        list(datasets),
        rtol=_SPACING_TOLERANCE,
        perpendicular_tol=_PERPENDICULAR_TOLERANCE,
        orientation_tol=_ORIENTATION_TOLERANCE,
        allow_missing_positions=True,
    )
    nearly = float(spacing) if spacing else float(np.median(np.diff(np.sort(distances))))
    extent = float(np.ptp(distances))
    # Written positions are rounded: over the whole stack the error of one step would add up.
    return extent / max(round(extent / nearly), 1)


def _gap(datasets: Sequence[Dataset], distances: npt.NDArray[np.float64], spacing: float, missing: int) -> str:
    """Say where the stack is not regular."""
    order = np.argsort(distances)
    gaps = np.diff(distances[order])
    worst = int(np.abs(gaps - spacing).argmax())
    before, after = _name(datasets[order[worst]]), _name(datasets[order[worst + 1]])
    lost = f"; slices that seem to be missing: {missing}" if missing > 0 else ""
    return (
        f"slice distances are not equal: {gaps[worst]:.2f} mm between {before} and {after}, "
        f"{spacing:.2f} mm elsewhere{lost}"
    )


def _name(dataset: Dataset) -> str:
    return f"instance number {dataset.get('InstanceNumber', '?')}"


def _geometry(datasets: Sequence[Dataset], indices: npt.NDArray[np.int_], spacing: float) -> Geometry:
    """Build the geometry of the stack with highdicom (PS3.3 C.7.6.2.1.1)."""
    first = datasets[int(indices.argmin())]
    shape = (int(indices.max()) + 1, int(first.Rows), int(first.Columns))
    volume = hd.VolumeGeometry.from_attributes(
        image_position=[float(value) for value in first.ImagePositionPatient],
        image_orientation=[float(value) for value in first.ImageOrientationPatient],
        rows=shape[1],
        columns=shape[2],
        pixel_spacing=[float(value) for value in first.PixelSpacing],
        spacing_between_slices=spacing,
        number_of_frames=shape[0],
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        frame_of_reference_uid=first.FrameOfReferenceUID,
    )
    return Geometry(
        shape=shape,
        affine=np.asarray(volume.affine, dtype=np.float64),
        frame_of_reference_uid=FrameOfReferenceUID(first.FrameOfReferenceUID),
    )


def _stack(datasets: Sequence[Dataset], indices: Sequence[int], shape: tuple[int, int, int]) -> npt.NDArray[np.float32]:
    """Decode all slices into one array in modality units and fill the slices that have no instance."""
    array = np.empty(shape, dtype=np.float32)
    for dataset, index in zip(datasets, indices, strict=True):
        array[index] = _decode(dataset)
    for index in sorted(set(range(shape[0])) - set(indices)):
        below = max(known for known in indices if known < index)
        above = min(known for known in indices if known > index)
        share = (index - below) / (above - below)
        array[index] = (1 - share) * array[below] + share * array[above]
    return array


def _decode(dataset: Dataset) -> npt.NDArray[np.float32]:
    """Decode one slice and apply its rescale (PS3.3 C.11.1); raises UnreadablePixels."""
    try:
        pixels = apply_rescale(dataset.pixel_array, dataset)
    except _DECODE_ERRORS as error:
        raise UnreadablePixels(f"pixel data of {_name(dataset)} cannot be decoded ({type(error).__name__})") from error
    if pixels.shape != (dataset.Rows, dataset.Columns):
        raise UnreadablePixels(f"pixel data of {_name(dataset)} has another size than its header says")
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        pixels = pixels.max() + pixels.min() - pixels
    return np.asarray(pixels, dtype=np.float32)


def _attributes(datasets: Sequence[Dataset]) -> dict[str, str | float]:
    """Collect the acquisition facts that a model's contract may ask for."""
    facts = study_facts(datasets).series[0]
    found = {keyword: facts.values.get(keyword) for keyword in _ATTRIBUTES}
    return {keyword: value for keyword, value in found.items() if isinstance(value, str | float | int) and value != ""}
