"""Image metrics whose definition does not move: the same pair of images gives the same numbers in every release.

The same pair scores PSNR 15.8 to 24.5 dB depending on range, mask and library, so a number means something only beside
its definition. A change of any line here that changes a number is a new METRIC_VERSION; old cards keep the old one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

from dicomnode.domain.errors import InvalidValue

METRIC_VERSION = "dicomnode-metrics 1"

MR_RANGE = 1.0
"""Data range of MR images after `normalise`."""
CT_RANGE = 4024.0
"""Data range of CT in HU, -1024 to 3000, as the SynthRAD challenges score."""

_PERCENTILE, _MEAN_SHARE, _CEILING = 99.0, 2.5, 1.6
_SIGMA = 1.5

DEFINITIONS: Mapping[str, str] = {
    "MAE": "mean absolute difference over the region's voxels",
    "NMSE": "sum of squared differences over the sum of squared true values, in the region",
    "PSNR": "10 log10(R^2 / MSE) in dB, MSE over the region's voxels, R = 1 for normalised MR and 4024 for CT in HU",
    "SSIM": "3D SSIM (Wang 2004), Gaussian window of 11 voxels (sigma 1.5), K 0.01 and 0.03, population covariance; "
    "the map of the whole volume averaged over the region's voxels",
    "contrast recovery": "(mean in the region - mean in the reference) of the image over that of the truth; 1 is ideal",
}
NORMALISATION = (
    "MR: divided by 2.5 times the mean of the voxels in the mask up to their 99th percentile, clipped to 0..1.6; "
    "each volume by itself, never by slice"
)

Array = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


def normalise(image: Array, mask: Mask) -> npt.NDArray[np.float32]:
    """Bring an MR image of arbitrary scale onto the range that the metrics are defined for (see NORMALISATION).

    `mask` (same shape, bool) is the head or brain; raises InvalidValue when it is empty or holds no signal.
    """
    _check(image, image, mask)
    inside = image[mask]
    mean = float(inside[inside <= np.percentile(inside, _PERCENTILE)].mean(dtype=np.float64))
    if not mean > 0:
        raise InvalidValue("an image without signal in the mask cannot be normalised")
    return np.asarray(np.clip(image / (_MEAN_SHARE * mean), 0.0, _CEILING), dtype=np.float32)


def mean_absolute_error(truth: Array, image: Array, region: Mask) -> float:
    """Measure the mean absolute difference in the region, in the units of the images."""
    _check(truth, image, region)
    return float(np.mean(np.abs(_difference(truth, image, region))))


def normalised_mean_squared_error(truth: Array, image: Array, region: Mask) -> float:
    """Measure the squared difference relative to the squared truth in the region."""
    _check(truth, image, region)
    return float(np.sum(_difference(truth, image, region) ** 2) / np.sum(truth[region].astype(np.float64) ** 2))


def peak_signal_to_noise_ratio(truth: Array, image: Array, region: Mask, data_range: float) -> float:
    """Measure PSNR in the region, in dB; infinite for equal images."""
    _check(truth, image, region)
    squared = float(np.mean(_difference(truth, image, region) ** 2))
    return float("inf") if squared == 0 else float(10 * np.log10(data_range**2 / squared))


def ssim_map(truth: Array, image: Array, data_range: float) -> npt.NDArray[np.float64]:
    """Compute the 3D map of structural similarity (Wang et al. 2004); every axis needs at least 11 voxels."""
    _mean, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        truth.astype(np.float64),
        image.astype(np.float64),
        data_range=data_range,
        gaussian_weights=True,
        sigma=_SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    return np.asarray(similarity, dtype=np.float64)


def contrast_recovery(truth: Array, image: Array, region: Mask, reference: Mask) -> float:
    """Measure how much of a region's true contrast against a reference region the image shows; 1 is all of it.

    For lesions, which hardly count in a mean over the brain. Raises InvalidValue where the truth has no contrast.
    """
    _check(truth, image, region)
    _check(truth, image, reference)
    true = float(truth[region].mean(dtype=np.float64) - truth[reference].mean(dtype=np.float64))
    if true == 0:
        raise InvalidValue("the truth shows no contrast between region and reference")
    return float(image[region].mean(dtype=np.float64) - image[reference].mean(dtype=np.float64)) / true


def measure(
    truth: Array, image: Array, regions: Mapping[str, Mask], data_range: float = MR_RANGE
) -> dict[str, dict[str, float]]:
    """Measure an image against the truth in each region: region -> metric -> value; both already normalised.

    Raises InvalidValue when shapes differ or a region is empty.
    """
    similarity = ssim_map(truth, image, data_range)
    return {
        name: {
            "MAE": mean_absolute_error(truth, image, region),
            "NMSE": normalised_mean_squared_error(truth, image, region),
            "PSNR": peak_signal_to_noise_ratio(truth, image, region, data_range),
            "SSIM": float(similarity[region].mean()),
        }
        for name, region in regions.items()
    }


def _difference(truth: Array, image: Array, region: Mask) -> npt.NDArray[np.float64]:
    return image[region].astype(np.float64) - truth[region].astype(np.float64)


def _check(truth: Array, image: Array, region: Mask) -> None:
    if truth.shape != image.shape or region.shape != truth.shape:
        raise InvalidValue(f"shapes differ: truth {truth.shape}, image {image.shape}, region {region.shape}")
    if region.dtype != np.bool_ or not region.any():
        raise InvalidValue("a region is a bool array with at least one voxel")
