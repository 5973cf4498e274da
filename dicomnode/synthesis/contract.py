"""What a model plug-in must be: a card, and arrays in and out; no DICOM.

An author installs a package with an entry point in the group `dicomnode.models` that names a class of this form. The
node resamples the inputs onto the target's grid before it calls the model, writes all DICOM itself, and runs the model
in a child process that may be stopped at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from dicomnode.domain.model_card import ModelCard
from dicomnode.domain.volume import Volume

ENTRY_POINT_GROUP = "dicomnode.models"


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisOutput:
    """What a model returns: the image and, where it can say so, one standard deviation per voxel.

    Both lie on the grid of the target input, float32, in the units the card declares.
    """

    image: Volume
    uncertainty: Volume | None = None


@runtime_checkable
class SynthesisModel(Protocol):
    """One model; the class is constructed without arguments, cheaply, and loads nothing until `load`."""

    card: ModelCard

    def weights(self) -> Path | None:
        """Say which file holds the weights, so that the registry can pin its digest; None for a model without."""
        ...

    def missing(self) -> Sequence[str]:
        """List what this host lacks to run the model, one sentence each; empty when it can run."""
        ...

    def load(self, device: str) -> None:
        """Read the weights onto `device` ("cpu", "cuda:0"); called once in the child before the first synthesis."""
        ...

    def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
        """Make the output from the inputs by role, all on the target's grid; the same seed gives the same voxels.

        Raises ContractViolation, with the reason in a sentence, where only a look at the voxels shows that an input is
        not what the model was made for; whatever else it raises counts as a failure of the model.
        """
        ...
