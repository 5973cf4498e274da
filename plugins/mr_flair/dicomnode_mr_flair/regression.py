"""From T1 and T2 to FLAIR, voxel by voxel: a smooth table over both values, corrected by their neighbourhood.

A table, because the relation is no plane: fluid is bright in T2 and dark in FLAIR, a lesion is bright in both. There is
one table for the brain and one for the rest of the head, blended where the brain ends.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dicomnode_mr_flair.head import Array, Head, Mask, Spacing, find_head, smooth
from dicomnode_mr_flair.intensity import Landmarks, standardise

_T1_KNOTS = np.array([0, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.5, 2.5], dtype=np.float32)
_T2_KNOTS = np.array([0, 0.4, 0.6, 0.75, 0.87, 1.0, 1.15, 1.3, 1.55, 2.0, 2.7, 4.0], dtype=np.float32)
_NEIGHBOURHOOD_MM = 2.0
_CELLS = len(_T1_KNOTS) * len(_T2_KNOTS)
COLUMNS = 2 * (_CELLS + 12)
"""Columns of `design`: the table and twelve terms of the neighbourhood, for the brain and for the rest."""
WHITE_MATTER = 400.0
"""What white matter is scaled to in the output, arbitrary units."""
_BRIGHTEST = 3.0
"""In units of white matter; nothing in a FLAIR of the brain is brighter."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weights:
    """What was learned: the standard scale's landmarks, and one coefficient per column of `design`."""

    landmarks: Landmarks
    coefficients: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictors:
    """What FLAIR is predicted from, on the full grid: standardised T1 and T2, their local means, brain membership."""

    t1: Array
    t2: Array
    mean_t1: Array
    mean_t2: Array
    brain: Array
    mask: Mask


def read_weights(path: Path) -> Weights:
    """Read the weights file; raises OSError or ValueError when it is not one."""
    with np.load(path, allow_pickle=False) as stored:
        return Weights(landmarks=stored["landmarks"], coefficients=stored["coefficients"])


def write_weights(path: Path, weights: Weights) -> None:
    """Write the weights file; the same weights give the same bytes."""
    np.savez_compressed(path, landmarks=weights.landmarks, coefficients=weights.coefficients)


def predictors(head: Head, standard: Landmarks, spacing: Spacing) -> Predictors:
    """Prepare a head for the regression: one scale, and the means over a neighbourhood of 2 mm."""
    t1, t2 = standardise(head, standard)
    t1, t2 = np.clip(t1, 0, _T1_KNOTS[-1]), np.clip(t2, 0, _T2_KNOTS[-1])
    return Predictors(
        t1=t1,
        t2=t2,
        mean_t1=smooth(t1, spacing, _NEIGHBOURHOOD_MM),
        mean_t2=smooth(t2, spacing, _NEIGHBOURHOOD_MM),
        brain=head.brain,
        mask=head.mask,
    )


def design(given: Predictors, index: int, chosen: Mask) -> Array:
    """Make the rows of the regression for the chosen voxels of one slice: float32 of shape (voxels, columns)."""
    t1, t2, mean_t1, mean_t2, brain = (
        image[index][chosen] for image in (given.t1, given.t2, given.mean_t1, given.mean_t2, given.brain)
    )
    around = np.stack(
        [
            *(mean_t1, mean_t2, t1 - mean_t1, t2 - mean_t2, (t1 - mean_t1) * (t2 - mean_t2)),
            *(mean_t1**2, mean_t2**2, mean_t1 * mean_t2),
            *(t1 * mean_t1, t2 * mean_t2, t1 * mean_t2, t2 * mean_t1),
        ],
        axis=1,
    )
    table = _between(t1, _T1_KNOTS)[:, :, None] * _between(t2, _T2_KNOTS)[:, None, :]
    columns = np.concatenate([table.reshape(len(t1), _CELLS), around], axis=1)
    return np.concatenate([columns * brain[:, None], columns * (1 - brain)[:, None]], axis=1)


def predict(t1: Array, t2: Array, spacing: Spacing, weights: Weights) -> Array:
    """Make a FLAIR from T1 and T2 on one grid: white matter near 400, air 0; without a brain ContractViolation."""
    return predict_from(find_head(t1, t2, spacing), spacing, weights)


def predict_from(head: Head, spacing: Spacing, weights: Weights) -> Array:
    """Make a FLAIR of a head that is found already, slice by slice so that memory stays a few times the inputs'."""
    given = predictors(head, weights.landmarks, spacing)
    flair = np.zeros(head.mask.shape, dtype=np.float32)
    for index, chosen in enumerate(given.mask):
        flair[index][chosen] = design(given, index, chosen) @ weights.coefficients
    return np.clip(flair, 0, _BRIGHTEST) * np.float32(WHITE_MATTER)


def _between(values: Array, knots: Array) -> Array:
    """Split each value between its two neighbouring knots: float32 of shape (values, knots), rows sum to 1."""
    lower = np.clip(np.searchsorted(knots, values, side="right") - 1, 0, len(knots) - 2)
    share = (values - knots[lower]) / (knots[lower + 1] - knots[lower])
    weights = np.zeros((len(values), len(knots)), dtype=np.float32)
    rows = np.arange(len(values))
    weights[rows, lower] = 1 - share
    weights[rows, lower + 1] = share
    return weights
