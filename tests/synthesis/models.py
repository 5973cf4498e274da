"""Small real models and inputs for the tests of this room."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomnode.domain.model_card import InputRole, ModelCard, OutputDeclaration
from dicomnode.domain.uids import FrameOfReferenceUID
from dicomnode.domain.volume import Geometry, Units, Volume
from dicomnode.synthesis.contract import SynthesisOutput

SHAPE = (6, 8, 10)
FRAME = FrameOfReferenceUID("2.25.42")


def a_card(**changes: Any) -> ModelCard:
    """Build a complete card of a model that doubles its input."""
    values: dict[str, Any] = {
        "name": "doubling",
        "version": "1.2.3",
        "vendor": "tests",
        "summary": "Doubles its input.",
        "intended_use": "Tests.",
        "out_of_scope": "Everything else.",
        "licence": "Apache-2.0",
        "training_data": "None.",
        "inputs": {"source": InputRole(weighting=("T2",))},
        "target_role": "source",
        "output": OutputDeclaration(label="DOUBLE", weighting="T2"),
    }
    return ModelCard.model_validate({**values, **changes})


def a_volume(
    array: npt.NDArray[Any] | None = None,
    *,
    affine: npt.NDArray[np.float64] | None = None,
    frame: FrameOfReferenceUID = FRAME,
    units: Units = Units.ARBITRARY,
    **attributes: str | float,
) -> Volume:
    """Build a volume of increasing values, 1 mm apart, a T2 of a head without contrast agent unless told otherwise."""
    voxels = np.arange(np.prod(SHAPE)).reshape(SHAPE) if array is None else array
    facts: dict[str, str | float] = {"Modality": "MR", "Weighting": "T2", "ContrastEnhanced": "NO"}
    facts.update(attributes)
    return Volume(
        array=np.asarray(voxels, dtype=np.float32),
        geometry=Geometry(
            shape=voxels.shape, affine=np.eye(4) if affine is None else affine, frame_of_reference_uid=frame
        ),
        units=units,
        attributes={keyword: value for keyword, value in facts.items() if value != ""},
    )


class DoublingModel:
    """Doubles its input; counts how often it was loaded."""

    card = a_card()
    lacking: Sequence[str] = ()

    def __init__(self) -> None:
        self.loaded_on: list[str] = []

    def weights(self) -> Path | None:
        return None

    def missing(self) -> Sequence[str]:
        return self.lacking

    def load(self, device: str) -> None:
        self.loaded_on.append(device)

    def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
        source = inputs[self.card.target_role]
        return SynthesisOutput(image=Volume(array=source.array * np.float32(2), geometry=source.geometry))
