"""Where head and brain lie in a T1 and T2 of one grid, and both images without their slow shading.

Works on axial slices, with the skull or without it. Arrays are (slices, rows, columns); lengths are mm.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813  its own documentation calls it so

from dicomnode.domain.errors import ContractViolation

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float, float]
"""Distance between neighbouring voxels along slice, row and column, in mm."""

_COARSE_MM = 2.0
_AIR, _BONE, _FAT = 0.08, 0.5, 1.7
"""Air as a share of the 99th percentile; bone (dark in both) and T1-bright fat as shares of the deep brain's median."""
_SCALP_MM, _CUT_MM, _REGROW_MM, _SMOOTH_MM = 8.0, 4.0, 6.0, 6.0
"""Scalp and skull are at least 8 mm; bridges of 8 mm through it are cut; the brain regrows by more than was cut."""
_BONE_SHARE = 0.05
"""Of the outer 2 to 20 mm of a head 15 to 22 % are bone; of a brain without its skull below 1 %."""
_BRAIN_LITRES = (0.5, 2.2)
_MEMBERSHIP_MM = 2.0
_CUBIC_MM_PER_LITRE = 1e6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A head on its full grid: both images with even brightness, and how far each voxel belongs to the brain.

    `t1`, `t2`: float32, the median of the brain is 1. `brain`: float32 from 0 to 1. `mask`: bool, the head without air.
    """

    t1: Array
    t2: Array
    brain: Array
    mask: Mask


def find_head(t1: Array, t2: Array, spacing: Spacing) -> Head:
    """Find head and brain; raises ContractViolation where no brain of a plausible size is seen."""
    fine1, fine2 = _image(t1, spacing), _image(t2, spacing)
    coarse1, coarse2 = _coarsen(fine1), _coarsen(fine2)
    head = _head(coarse1, coarse2)
    brain = _brain(coarse1, coarse2, head)
    litres = float(_array(brain).sum() * np.prod(head.GetSpacing()) / _CUBIC_MM_PER_LITRE)
    if not _BRAIN_LITRES[0] < litres < _BRAIN_LITRES[1]:
        raise ContractViolation(f"no brain of an adult is seen in the images ({litres:.1f} l were found)")
    membership = sitk.SmoothingRecursiveGaussian(sitk.Cast(brain, sitk.sitkFloat32), _MEMBERSHIP_MM)
    inside = np.clip(_refine(membership, fine1), 0, 1)
    return Head(
        t1=_even(fine1, coarse1, brain) / _median(coarse1, brain),
        t2=_even(fine2, coarse2, brain) / _median(coarse2, brain),
        brain=inside,
        mask=_refine(sitk.Cast(head, sitk.sitkFloat32), fine1) > 1 / 2,
    )


def smooth(image: Array, spacing: Spacing, sigma_mm: float) -> Array:
    """Average around each voxel with a Gaussian of `sigma_mm`, the same in all directions of space."""
    blurred = sitk.DiscreteGaussian(_image(image, spacing), variance=sigma_mm**2, maximumKernelWidth=64)
    return np.asarray(_array(blurred), dtype=np.float32)


def _head(t1: sitk.Image, t2: sitk.Image) -> sitk.Image:
    """Find what is not air: the largest bright body, its cavities filled slice by slice (a slab is open below)."""
    bright = [image > _AIR * float(np.percentile(_shown(image), 99)) for image in (t1, t2)]
    body = sitk.BinaryMorphologicalOpening(sitk.Cast(bright[0] | bright[1], sitk.sitkUInt8), _voxels(t1, 3))
    largest = sitk.Cast(sitk.RelabelComponent(sitk.ConnectedComponent(body)) == 1, sitk.sitkUInt8)
    return _fill_slices(sitk.BinaryMorphologicalClosing(largest, _voxels(t1, 10)))


def _brain(t1: sitk.Image, t2: sitk.Image, head: sitk.Image) -> sitk.Image:
    """Find the brain: bright in T1 or T2, deep below the skin, cut off from the rest; the head itself without a skull.

    Raises ContractViolation where nothing of the kind lies in the depth of the head.
    """
    depth = _array(_distance_inside(head))
    core = depth > 0.6 * depth.max()
    a, b = (_array(image) / np.median(_array(image)[core]) for image in (t1, t2))
    bright = np.maximum(a, b) > _BONE
    shell = (depth > 2) & (depth < 20)
    if np.mean(~bright[shell]) < _BONE_SHARE:
        return head
    tissue = bright & (a < _FAT) & (depth > _SCALP_MM)
    seeds = _by_slice(tissue, head, lambda inside, _outside: inside > _CUT_MM)
    components = _array(sitk.ConnectedComponent(_like(seeds, head)))
    deep = components[core & (components > 0)]
    if not deep.size:
        raise ContractViolation("no brain is seen in the depth of the head")
    seed = components == np.bincount(deep).argmax()
    grown = tissue & _by_slice(seed, head, lambda _inside, outside: outside <= _REGROW_MM)
    return _fill_slices(_like(_close(grown, head), head))


def _close(mask: Mask, like: sitk.Image) -> Mask:
    """Close sulci and vessels in a mask, slice by slice."""
    wider = _by_slice(mask, like, lambda _inside, outside: outside <= _SMOOTH_MM)
    return _by_slice(wider, like, lambda inside, _outside: inside > _SMOOTH_MM)


def _even(fine: sitk.Image, coarse: sitk.Image, brain: sitk.Image) -> Array:
    """Divide by the bias field that N4 finds in the brain (Tustison et al. 2010), on one thread so that it repeats."""
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations([20, 20, 20])
    n4.SetConvergenceThreshold(1e-3)
    n4.SetNumberOfHistogramBins(100)
    factors = [2 if step < 1.5 * _COARSE_MM else 1 for step in coarse.GetSpacing()]
    floor = 1e-3 * float(_median(coarse, brain))
    inside = sitk.BinShrink(sitk.Cast(brain, sitk.sitkFloat32), factors) > 1 / 2
    n4.Execute(sitk.Maximum(sitk.BinShrink(coarse, factors), floor), inside)
    field = _array(sitk.Exp(n4.GetLogBiasFieldAsImage(coarse)))
    known = field[_array(brain) > 0]
    field = np.clip(field, *np.percentile(known, [1, 99])) / np.median(known)
    return np.asarray(_array(fine) / _refine(_like(field.astype(np.float32), coarse), fine), dtype=np.float32)


def _by_slice(mask: Mask, like: sitk.Image, keep: Callable[[Array, Array], Mask]) -> Mask:
    """Choose voxels of each slice by their distances (mm) to the outside of the mask and to the mask."""
    kept = np.zeros(mask.shape, dtype=bool)
    for index, cut in enumerate(mask):
        if cut.any() and not cut.all():
            image = sitk.GetImageFromArray(cut.astype(np.uint8))
            image.SetSpacing(like.GetSpacing()[:2])
            inside = _array(_distance_inside(image))
            kept[index] = keep(inside, -inside)
    return kept


def _fill_slices(mask: sitk.Image) -> sitk.Image:
    filled = [_array(sitk.BinaryFillhole(sitk.GetImageFromArray(cut))) for cut in _array(mask)]
    return _like(np.stack(filled), mask)


def _distance_inside(mask: sitk.Image) -> sitk.Image:
    return sitk.SignedMaurerDistanceMap(mask, insideIsPositive=True, squaredDistance=False, useImageSpacing=True)


def _image(array: npt.NDArray[Any], spacing: Spacing) -> sitk.Image:
    image = sitk.GetImageFromArray(np.asarray(array))
    image.SetSpacing(spacing[::-1])
    return image


def _like(array: npt.NDArray[Any], reference: sitk.Image) -> sitk.Image:
    image = sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == np.bool_ else array)
    image.CopyInformation(reference)
    return image


def _array(image: sitk.Image) -> npt.NDArray[Any]:
    return np.asarray(sitk.GetArrayFromImage(image))


def _shown(image: sitk.Image) -> npt.NDArray[Any]:
    """Give the voxels that are not empty; raises ContractViolation where there are none."""
    array = _array(image)
    if not (array > 0).any():
        raise ContractViolation("an image is empty")
    return np.asarray(array[array > 0])


def _median(image: sitk.Image, mask: sitk.Image) -> np.float32:
    return np.float32(np.median(_array(image)[_array(mask) > 0]))


def _voxels(image: sitk.Image, length_mm: float) -> list[int]:
    return [round(length_mm / step) for step in image.GetSpacing()]


def _coarsen(image: sitk.Image) -> sitk.Image:
    """Average voxels together up to about 2 mm: enough to see a head, and quick."""
    return sitk.BinShrink(image, [max(round(_COARSE_MM / step), 1) for step in image.GetSpacing()])


def _refine(coarse: sitk.Image, fine: sitk.Image) -> Array:
    """Interpolate a coarse image at the voxels of the fine one."""
    identity, linear = sitk.Transform(3, sitk.sitkIdentity), sitk.sitkLinear
    refined = sitk.Resample(coarse, fine, identity, linear, 0.0, sitk.sitkFloat32, True)
    return np.asarray(_array(refined), dtype=np.float32)
