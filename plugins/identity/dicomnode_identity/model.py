"""A model that copies its input: all that a plug-in needs, and nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dicomnode.domain.model_card import InputRole, ModelCard, OutputDeclaration
from dicomnode.domain.volume import Volume
from dicomnode.synthesis.contract import SynthesisOutput

CARD = ModelCard(
    name="identity",
    version="1.0.0",
    vendor="dicomnode",
    summary="Copies one MR series unchanged.",
    intended_use="Testing that a node receives, decides, derives and delivers; a template for authors of models.",
    out_of_scope="Everything else: the copy shows nothing that the source does not show.",
    licence="Apache-2.0",
    training_data="None: nothing was trained.",
    inputs={"source": InputRole(weighting=(), min_slices=2)},
    target_role="source",
    output=OutputDeclaration(label="COPY", weighting="OTHER", synthetic_data="YES", same_contrast=True),
)


class IdentityModel:
    """Copies the input of the role `source`."""

    card = CARD

    def weights(self) -> Path | None:
        """Nothing was trained, so there is no file."""
        return None

    def missing(self) -> Sequence[str]:
        """Every host can copy."""
        return ()

    def load(self, device: str) -> None:
        """Nothing to load on any device."""

    def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
        """Copy the source; the seed changes nothing."""
        source = inputs["source"]
        image = Volume(array=np.array(source.array), geometry=source.geometry, units=source.units)
        return SynthesisOutput(image=image)
