"""What a model has to beat: its own inputs, copied, and copied with the best linear scale of the training subjects."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomnode.domain.errors import InvalidValue

Array = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescaling:
    """The line that turns an input into the best linear guess of the target, both normalised."""

    slope: float
    intercept: float

    def apply(self, image: Array, mask: Mask) -> npt.NDArray[np.float32]:
        """Rescale an input inside the mask; outside it stays 0, as the target's background is."""
        return np.where(mask, self.slope * image + self.intercept, 0).astype(np.float32)


def fit_rescaling(subjects: Iterable[tuple[Array, Array, Mask]]) -> Rescaling:
    """Fit the line by least squares over (input, target, mask) of each TRAINING image; every image counts the same.

    A line fitted on the image that is scored would know the truth and is no baseline. Raises InvalidValue when there is
    nothing to fit.
    """
    moments = np.zeros((2, 2))
    products = np.zeros(2)
    for source, target, mask in subjects:
        x = np.stack([source[mask].astype(np.float64), np.ones(int(mask.sum()))])
        moments += x @ x.T / x.shape[1]
        products += x @ target[mask].astype(np.float64) / x.shape[1]
    if np.linalg.matrix_rank(moments) < 2:
        raise InvalidValue("a line needs a training image with two different values")
    slope, intercept = np.linalg.solve(moments, products)
    return Rescaling(slope=float(slope), intercept=float(intercept))
