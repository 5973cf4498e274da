from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicomnode.domain.errors import InvalidValue
from dicomnode.evaluation.metrics import (
    CT_RANGE,
    DEFINITIONS,
    MR_RANGE,
    contrast_recovery,
    mean_absolute_error,
    measure,
    normalise,
    normalised_mean_squared_error,
    peak_signal_to_noise_ratio,
    ssim_map,
)

SHAPE = (14, 16, 18)


def _pair(seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    random = np.random.default_rng(seed)
    truth = random.uniform(0, 1, SHAPE).astype(np.float32)
    image = np.clip(truth + random.normal(0, 0.1, SHAPE), 0, 1.6).astype(np.float32)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:11, 4:12, 5:13] = True
    return truth, image, mask


def _ssim_by_hand(truth: npt.NDArray[Any], image: npt.NDArray[Any], data_range: float) -> npt.NDArray[np.float64]:
    """Wang et al. 2004, eq. 13, with an 11-tap Gaussian window and mirrored borders, written from the formula."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()

    def local_mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        values = np.pad(values, 5, mode="symmetric")
        for axis in range(3):
            values = np.apply_along_axis(np.convolve, axis, values, taps, mode="valid")
        return values

    x, y = truth.astype(float), image.astype(float)
    mx, my = local_mean(x), local_mean(y)
    vx, vy, cov = local_mean(x * x) - mx**2, local_mean(y * y) - my**2, local_mean(x * y) - mx * my
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity: npt.NDArray[np.float64] = ((2 * mx * my + c1) * (2 * cov + c2)) / (
        (mx**2 + my**2 + c1) * (vx + vy + c2)
    )
    return similarity


def test_the_numbers_are_frozen() -> None:
    truth, image, mask = _pair()
    found = measure(truth, image, {"all": np.ones(SHAPE, dtype=bool), "box": mask})
    assert set(found["box"]) | {"contrast recovery"} == set(DEFINITIONS)
    assert found["box"] == pytest.approx(
        {"MAE": 0.0773054, "NMSE": 0.0311859, "PSNR": 20.3091269, "SSIM": 0.9474127}, abs=1e-6
    )


def test_ssim_is_the_formula_of_wang() -> None:
    truth, image, _mask = _pair(3)
    assert ssim_map(truth, image, MR_RANGE) == pytest.approx(_ssim_by_hand(truth, image, MR_RANGE), abs=1e-7)


def test_psnr_is_known_for_a_known_error() -> None:
    truth, _image, mask = _pair()
    assert peak_signal_to_noise_ratio(truth * 0, truth * 0 + 0.1, mask, MR_RANGE) == pytest.approx(20.0)
    assert peak_signal_to_noise_ratio(truth * 0, truth * 0 + 402.4, mask, CT_RANGE) == pytest.approx(20.0)
    assert peak_signal_to_noise_ratio(truth, truth, mask, MR_RANGE) == float("inf")


def test_voxels_outside_the_region_do_not_count() -> None:
    truth, image, mask = _pair()
    spoiled = np.where(mask, image, 1.6).astype(np.float32)
    assert mean_absolute_error(truth, spoiled, mask) == mean_absolute_error(truth, image, mask)
    assert normalised_mean_squared_error(truth, spoiled, mask) == normalised_mean_squared_error(truth, image, mask)


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-2, 1e4), seed=st.integers(0, 1000))
def test_normalising_forgets_the_scale(scale: float, seed: int) -> None:
    truth, _image, mask = _pair(seed)
    assert normalise(truth * np.float32(scale), mask) == pytest.approx(normalise(truth, mask), abs=1e-5)


def test_normalising_puts_the_mean_at_two_fifths_and_clips() -> None:
    image = np.full(SHAPE, 200.0, dtype=np.float32)
    image[0, 0, :3] = (-50, 1e6, 200)
    normal = normalise(image, np.ones(SHAPE, dtype=bool))
    assert normal[5, 5, 5] == pytest.approx(0.4, rel=1e-3)
    assert (normal[0, 0, 0], normal[0, 0, 1]) == (0, pytest.approx(1.6))


def test_contrast_recovery_compares_with_the_true_contrast() -> None:
    region, reference = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    region[:5], reference[5:] = True, True
    truth = np.where(region, 1.0, 0.5)
    assert contrast_recovery(truth, truth, region, reference) == pytest.approx(1)
    assert contrast_recovery(truth, np.where(region, 0.6, 0.5), region, reference) == pytest.approx(0.2)
    assert contrast_recovery(truth, np.where(region, 0.4, 0.5), region, reference) == pytest.approx(-0.2)
    with pytest.raises(InvalidValue, match="no contrast"):
        contrast_recovery(truth * 0, truth, region, reference)


def test_what_cannot_be_measured_is_refused() -> None:
    truth, image, mask = _pair()
    with pytest.raises(InvalidValue, match="at least one voxel"):
        mean_absolute_error(truth, image, mask & False)
    with pytest.raises(InvalidValue, match="shapes differ"):
        normalised_mean_squared_error(truth, image[1:], mask)
    with pytest.raises(InvalidValue, match="without signal"):
        normalise(truth * 0, mask)
