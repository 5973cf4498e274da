"""What an author says of a model, and what the node holds it to."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InputRole(_Part):
    """One named input: the weightings it may have and the geometry the model was made for."""

    weighting: tuple[str, ...]
    modality: str = "MR"
    max_slice_spacing_mm: float | None = Field(default=None, gt=0)
    min_slices: int = Field(default=1, ge=1)
    min_extent_mm: float | None = Field(default=None, gt=0)
    """Smallest extent along every axis: a model of a head must not be given three slices."""
    body_parts: tuple[str, ...] = ()
    """Accepted BodyPartExamined values when the attribute is present; empty accepts any."""
    contrast_agent: Literal["never", "any"] = "any"


class OutputDeclaration(_Part):
    """What the model makes: its weighting, its grid, and whether the content is synthetic (0008,001C)."""

    label: str = Field(max_length=16)
    """Goes into the series description after SYNTH."""
    weighting: str
    modality: Literal["MR", "CT"] = "MR"
    units: Literal["arbitrary", "HU"] = "arbitrary"
    synthetic_data: Literal["YES", "omit"] = "YES"
    """YES for a contrast that was never acquired; `omit` for a faithful representation (denoising)."""
    same_contrast: bool = False
    """True where the source's pulse sequence is still true of the output."""


class Figure(_Part):
    """One number of an evaluation; it names its metric, region, subjects and the baselines beside it."""

    metric: str
    region: str
    subject: str
    value: float
    baselines: dict[str, float] = Field(default_factory=dict)


class Evaluation(_Part):
    """Where the numbers of a card come from."""

    metric_version: str
    data: str
    protocol: str
    figures: tuple[Figure, ...]
    limits: str


class ModelCard(_Part):
    """The card of a model (CHAI Applied Model Card fields that part A needs); validated when the plug-in loads."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")
    vendor: str
    summary: str
    intended_use: str
    out_of_scope: str
    licence: str
    training_data: str
    attribution: str = ""
    approved: bool = False
    """Only an approved model may write ContentQualification PRODUCT; everything else is RESEARCH."""
    inputs: dict[str, InputRole]
    target_role: str
    """The input whose grid the output lies on unless the rule says otherwise."""
    output: OutputDeclaration
    evaluation: Evaluation | None = None
    weights: str | None = None
    """File name of the weights beside the card; its SHA-256 is pinned by the registry."""
