"""One scale for the brightness of all scanners: landmarks of fluid and tissue (after Nyul and Udupa 1999).

Fluid has landmarks of its own, because percentiles of the whole brain would move with the size of its ventricles.
"""

import numpy as np
import numpy.typing as npt

from dicomnode.domain.errors import ContractViolation
from dicomnode_mr_flair.head import Array, Head

_BRAIN, _BONE = 0.5, 0.3
_FLUID_PERCENTILE = 98.0
"""What is brighter in the T2 of a brain is fluid."""
_TISSUE_T1, _TISSUE_T2 = 0.6, 1.8
"""Tissue is brighter than this in T1 and darker than this in T2, with the brain's median as 1."""
_BEYOND = 3.0
"""The scale goes on in a line up to this multiple of the last landmark; nothing in a brain is brighter."""

Landmarks = npt.NDArray[np.float64]
"""Float64 of shape (2, 3), ascending: fluid, middle and bright tissue in T1; dark and middle tissue and fluid in T2."""


def landmarks(head: Head) -> Landmarks:
    """Measure the landmarks of a head; raises ContractViolation where fluid is not dark in T1 and bright in T2."""
    brain = (head.brain > _BRAIN) & (np.maximum(head.t1, head.t2) > _BONE)
    t1, t2 = head.t1[brain], head.t2[brain]
    fluid = np.percentile(t2, _FLUID_PERCENTILE)
    tissue = (t1 > _TISSUE_T1) & (t2 < _TISSUE_T2)
    found = np.array(
        [
            [np.median(t1[t2 >= fluid]), *np.percentile(t1[tissue], (50, 90))],
            [*np.percentile(t2[tissue], (10, 50)), fluid],
        ],
        dtype=np.float64,
    )
    if (np.diff(found, axis=1) <= 0).any():
        raise ContractViolation("fluid is not dark in T1 and bright in T2: these are no T1 and T2 of one brain")
    return found


def standardise(head: Head, standard: Landmarks) -> tuple[Array, Array]:
    """Bring T1 and T2 onto the scale whose landmarks are `standard`, with straight lines between the landmarks."""
    own = landmarks(head)
    t1, t2 = (_map(image, own[row], standard[row]) for row, image in enumerate((head.t1, head.t2)))
    return t1, t2


def _map(image: Array, own: npt.NDArray[np.float64], standard: npt.NDArray[np.float64]) -> Array:
    given = np.concatenate([[0.0], own, [_BEYOND * own[-1]]])
    wanted = np.concatenate([[0.0], standard, [_BEYOND * standard[-1]]])
    return np.asarray(np.interp(image, given, wanted), dtype=np.float32)
