"""One scale for the brightness of all scanners: landmarks of the brain's histogram (Nyul and Udupa 1999)."""

import numpy as np
import numpy.typing as npt

from dicomnode_mr_flair.head import Array, Head

_PERCENTILES = (10.0, 50.0, 90.0)
"""Between fluid and grey matter, in the middle, and within the brightest tissue."""
_BRAIN, _BONE = 0.5, 0.3
_BEYOND = 3.0
"""The scale goes on in a line up to this multiple of the last landmark; nothing in a brain is brighter."""

Landmarks = npt.NDArray[np.float64]
"""Float64 of shape (2, 3): of T1 and of T2, ascending."""


def landmarks(head: Head) -> Landmarks:
    """Measure the landmarks of a head's T1 and T2 in its brain, without bone and vessels that are dark in both."""
    tissue = (head.brain > _BRAIN) & (np.maximum(head.t1, head.t2) > _BONE)
    return np.stack([np.percentile(image[tissue], _PERCENTILES) for image in (head.t1, head.t2)]).astype(np.float64)


def standardise(head: Head, standard: Landmarks) -> tuple[Array, Array]:
    """Bring T1 and T2 onto the scale whose landmarks are `standard`, with straight lines between the landmarks."""
    own = landmarks(head)
    t1, t2 = (_map(image, own[row], standard[row]) for row, image in enumerate((head.t1, head.t2)))
    return t1, t2


def _map(image: Array, own: npt.NDArray[np.float64], standard: npt.NDArray[np.float64]) -> Array:
    given = np.concatenate([[0.0], own, [_BEYOND * own[-1]]])
    wanted = np.concatenate([[0.0], standard, [_BEYOND * standard[-1]]])
    return np.asarray(np.interp(image, given, wanted), dtype=np.float32)
