"""Bringing several inputs onto the target's grid, and saying how well they fit there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813  its own documentation calls it so

from dicomnode.domain.derivation import Alignment
from dicomnode.domain.errors import GeometryError
from dicomnode.domain.volume import Geometry, Volume

_HISTOGRAM_BINS = 64
_SAMPLES = 250_000
"""Voxels looked at for the mutual information; more changes the third digit only."""
_REGISTRATION_SHARE = 0.05
_SHRINK_FACTORS, _SMOOTHING_MM = (4, 2, 1), (4.0, 2.0, 0.0)
_SEED = 20_260_301
_MAX_TRANSLATION_MM, _MAX_ROTATION_DEG = 60.0, 30.0
"""Beyond this a rigid registration has lost its way: no patient moves so far between two series of a study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignmentReport:
    """How an input was brought onto the target's grid and how well it fits.

    `mutual_information` is normalised, (H(a) + H(b)) / H(a, b): 1 for unrelated images, 2 for identical ones
    (Studholme et al. 1999). `coverage` is the share of the target's voxels that the input reaches.
    """

    method: str
    mutual_information: float
    coverage: float
    mutual_information_before: float | None = None
    translation_mm: float | None = None
    rotation_degrees: float | None = None

    def to_json(self) -> dict[str, float | str]:
        """Turn into plain values for the derivation's report; what was not measured is left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Resampled:
    """An input on the target's grid, with its alignment."""

    volume: Volume
    alignment: AlignmentReport


def resample_onto(moving: Volume, target: Volume, alignment: Alignment = Alignment.HEADER) -> Resampled:
    """Interpolate a volume linearly at the voxels of another; outside of it the value is 0.

    By patient coordinates where both share a Frame of Reference; by a rigid registration where they do not, or where
    it is asked for. Raises GeometryError when the registration fails or the volumes do not overlap.
    """
    if moving.geometry.equals(target.geometry):
        report = AlignmentReport(method="same grid", mutual_information=_information(moving, target), coverage=1.0)
        return Resampled(volume=moving, alignment=report)
    same_space = moving.geometry.frame_of_reference_uid == target.geometry.frame_of_reference_uid
    if same_space and alignment is Alignment.HEADER:
        volume, coverage = _interpolate(moving, target.geometry, sitk.Transform(3, sitk.sitkIdentity))
        information = _information(volume, target)
        return Resampled(
            volume=volume,
            alignment=AlignmentReport(method="patient coordinates", mutual_information=information, coverage=coverage),
        )
    return _register_and_resample(moving, target, is_centred=same_space)


def _register_and_resample(moving: Volume, target: Volume, *, is_centred: bool) -> Resampled:
    """Resample through a rigid registration and report what it changed."""
    start = _initial_transform(moving, target, is_centred=is_centred)
    unregistered, _coverage = _interpolate(moving, target.geometry, start)
    transform = _register(moving, target, start)
    volume, coverage = _interpolate(moving, target.geometry, transform)
    translation, rotation = _size_of(transform, start)
    return Resampled(
        volume=volume,
        alignment=AlignmentReport(
            method="rigid registration (mutual information)",
            mutual_information=_information(volume, target),
            mutual_information_before=_information(unregistered, target),
            coverage=coverage,
            translation_mm=translation,
            rotation_degrees=rotation,
        ),
    )


def to_image(volume: Volume) -> sitk.Image:
    """Hand a volume to SimpleITK, which shares the LPS+ convention and counts axes the other way round."""
    geometry = volume.geometry
    image = sitk.GetImageFromArray(np.asarray(volume.array))
    image.SetSpacing(geometry.spacing[::-1])
    image.SetDirection(geometry.directions[:, ::-1].ravel().tolist())
    image.SetOrigin(geometry.affine[:3, 3].tolist())
    return image


def _interpolate(moving: Volume, target: Geometry, transform: sitk.Transform) -> tuple[Volume, float]:
    """Sample a volume at the target's voxels; gives also the share of them that it covers. Raises GeometryError."""
    reference = to_image(Volume(array=np.zeros(target.shape, dtype=np.float32), geometry=target))
    image = to_image(moving)
    sampled = sitk.Resample(image, reference, transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    inside = sitk.Resample(
        sitk.Cast(image * 0 + 1, sitk.sitkUInt8), reference, transform, sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8
    )
    coverage = float(np.mean(sitk.GetArrayViewFromImage(inside)))
    if coverage == 0:
        raise GeometryError("an input does not overlap with the target at all")
    array = np.asarray(sitk.GetArrayFromImage(sampled), dtype=np.float32)
    return Volume(array=array, geometry=target, units=moving.units, attributes=moving.attributes), coverage


def _initial_transform(moving: Volume, target: Volume, *, is_centred: bool) -> sitk.Euler3DTransform:
    """Begin at the patient coordinates, or with the centres of mass on each other where those mean nothing."""
    start = sitk.Euler3DTransform()
    if is_centred:
        centre = target.geometry.affine @ np.append((np.asarray(target.geometry.shape) - 1) / 2, 1)
        start.SetCenter(centre[:3].tolist())
        return start
    centred = sitk.CenteredTransformInitializer(
        to_image(target), to_image(moving), start, sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    return sitk.Euler3DTransform(centred)


def _register(moving: Volume, target: Volume, start: sitk.Euler3DTransform) -> sitk.Euler3DTransform:
    """Find the rigid motion with the highest Mattes mutual information; the same inputs give the same motion."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(numberOfHistogramBins=_HISTOGRAM_BINS // 2)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_REGISTRATION_SHARE, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-4, numberOfIterations=200, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(_SHRINK_FACTORS)
    method.SetSmoothingSigmasPerLevel(_SMOOTHING_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(sitk.Euler3DTransform(start), inPlace=False)
    with _one_thread():
        try:
            found = method.Execute(to_image(target), to_image(moving))
        except RuntimeError as error:
            raise GeometryError("an input could not be registered: it does not overlap the target enough") from error
    rigid = sitk.Euler3DTransform(sitk.CompositeTransform(found).GetBackTransform())
    translation, rotation = _size_of(rigid, start)
    if translation > _MAX_TRANSLATION_MM or rotation > _MAX_ROTATION_DEG:
        raise GeometryError(f"the registration of an input went astray ({translation:.0f} mm, {rotation:.0f} degrees)")
    return rigid


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let SimpleITK compute on one thread: the order of a parallel sum would change the last digits."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _size_of(transform: sitk.Euler3DTransform, start: sitk.Euler3DTransform) -> tuple[float, float]:
    """Measure a rigid motion against where it began: mm of its centre, and degrees about its axis."""
    moved = np.asarray(transform.TransformPoint(start.GetCenter())) - np.asarray(
        start.TransformPoint(start.GetCenter())
    )
    turned = np.asarray(transform.GetMatrix()).reshape(3, 3) @ np.asarray(start.GetMatrix()).reshape(3, 3).T
    cosine = np.clip((np.trace(turned) - 1) / 2, -1.0, 1.0)
    return float(np.linalg.norm(moved)), float(np.degrees(np.arccos(cosine)))


def _information(first: Volume, second: Volume) -> float:
    """Measure normalised mutual information on an even sample of the voxels where either shows something."""
    step = max(first.array.size // _SAMPLES, 1)
    a, b = first.array.ravel()[::step], second.array.ravel()[::step]
    shown = (a > a.min()) | (b > b.min())
    if not shown.any():
        return 1.0
    joint, _rows, _columns = np.histogram2d(a[shown], b[shown], bins=_HISTOGRAM_BINS)
    together = _entropy(joint)
    return float((_entropy(joint.sum(axis=0)) + _entropy(joint.sum(axis=1))) / together) if together else 2.0


def _entropy(counts: npt.NDArray[np.float64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
