"""The plug-in's model: its card, and the regression behind the contract of the node."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from dicomnode.domain.errors import ContractViolation
from dicomnode.domain.model_card import Evaluation, InputRole, ModelCard, OutputDeclaration
from dicomnode.domain.volume import Geometry, Volume
from dicomnode.synthesis.contract import SynthesisOutput
from dicomnode_mr_flair.regression import Weights, predict, read_weights

_FOLDER = Path(__file__).parent
_AXIAL = 0.7
"""Smallest cosine between the slices' normal and the body's axis: up to 45 degrees of tilt."""
_HEAD = ("BRAIN", "HEAD", "SKULL")

CARD = ModelCard(
    name="mr-flair",
    version="1.0.0",
    vendor="dicomnode",
    summary="Synthesises a FLAIR-weighted image of the head from T1 and T2 by a ridge regression on each voxel and its "
    "neighbourhood. Deterministic; small enough to be read.",
    intended_use="Research: to show what a FLAIR that was not acquired might look like, beside T1 and T2, never alone.",
    out_of_scope="Diagnosis, exclusion or follow-up of lesions, most of which it loses; children; T1 with contrast "
    "agent; tumour, bleeding, surgery and implants; anything but near-axial slices of the whole brain.",
    licence="Apache-2.0; the data that the weights were trained on are CC BY, see attribution",
    training_data="5 visits of 4 patients with multiple sclerosis (open_ms_data: longitudinal p01 twice, p03 and p04, "
    "whole heads in slices of 3 to 4 mm; cross-sectional p07 in MNI space, skull-stripped, 1 mm).",
    attribution="Weights derived from open_ms_data (github.com/muschellij2/open_ms_data, Laboratory of Imaging "
    "Technologies, University of Ljubljana), CC BY: Lesjak et al., Neuroinformatics 2016; Lesjak et al., "
    "Neuroinformatics 2017, doi:10.1007/s12021-017-9348-7. Changes: images resampled to one grid, cropped, rescaled; "
    "the weights are coefficients of a regression on them and hold no image.",
    inputs={
        "t1": InputRole(
            weighting=("T1",),
            max_slice_spacing_mm=5.0,
            min_slices=20,
            min_extent_mm=100.0,
            body_parts=_HEAD,
            contrast_agent="never",
        ),
        "t2": InputRole(
            weighting=("T2",), max_slice_spacing_mm=5.0, min_slices=20, min_extent_mm=100.0, body_parts=_HEAD
        ),
    },
    target_role="t2",
    output=OutputDeclaration(label="FLAIR", weighting="FLAIR"),
    evaluation=Evaluation.model_validate_json((_FOLDER / "evaluation.json").read_text(encoding="utf-8")),
    weights="weights.npz",
)


class MRFlairModel:
    """T1 and T2 on one axial grid to FLAIR on the same grid."""

    card = CARD

    def __init__(self) -> None:
        self._weights: Weights | None = None

    def weights(self) -> Path | None:
        """The coefficients of the regression."""
        return _FOLDER / "weights.npz"

    def missing(self) -> Sequence[str]:
        """Everything that is needed comes with the package."""
        return ()

    def load(self, device: str) -> None:
        """Read the coefficients; the regression runs on the CPU whatever the device."""
        self._weights = read_weights(_FOLDER / "weights.npz")

    def synthesise(self, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
        """Make the FLAIR: white matter near 400, air 0, arbitrary units; the seed changes nothing.

        Raises ContractViolation where slices are not axial or no brain is seen.
        """
        if self._weights is None:
            raise RuntimeError("load comes before synthesise")
        t1, t2 = inputs["t1"], inputs["t2"]
        _require_axial(t2.geometry)
        image = predict(t1.array, t2.array, t2.geometry.spacing, self._weights)
        return SynthesisOutput(image=Volume(array=image, geometry=t2.geometry))


def _require_axial(geometry: Geometry) -> None:
    """Refuse sagittal and coronal slices: the brain is found slice by slice, and only axial ones were trained on."""
    if abs(geometry.directions[2, 0]) < _AXIAL:
        raise ContractViolation("the slices of the target are not axial, and the model was made for axial slices")
