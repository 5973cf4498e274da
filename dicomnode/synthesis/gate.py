"""The contract gate: no image from inputs that lie outside what a model was made for, and every reason why."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from dicomnode.domain.errors import ContractViolation
from dicomnode.domain.model_card import InputRole, ModelCard
from dicomnode.domain.volume import Geometry, Volume

_COVERAGE = 0.8
"""Share of the target's volume that every other input has to reach."""
_PROBES = 24
"""Points per axis at which coverage is looked at."""
_BACKGROUND = 0.05
"""Up to this share of the way from the lowest to the highest usual value a voxel counts as background."""
_SHOWN = 0.02
"""An image with a smaller share of voxels above the background shows nothing that a model was trained on."""
_USUAL = 99.9


def refuse_outside_contract(card: ModelCard, inputs: Mapping[str, Volume], target_role: str | None = None) -> None:
    """Stop work whose inputs lie outside the card's contract; raises ContractViolation that names every reason."""
    reasons = check_inputs(card, inputs, target_role)
    if reasons:
        raise ContractViolation(f"outside the contract of {card.name}: {'; '.join(reasons)}")


def check_inputs(card: ModelCard, inputs: Mapping[str, Volume], target_role: str | None = None) -> tuple[str, ...]:
    """List every reason why inputs lie outside the contract; empty when the model may be used.

    `inputs` are the volumes as acquired, before anything is resampled, by role. `target_role` is the input whose grid
    the output will lie on: the card's own unless the rule chose another.
    """
    target_role = target_role or card.target_role
    reasons = [f"there is no {role}" for role in card.inputs if role not in inputs]
    for role, volume in inputs.items():
        if role not in card.inputs:
            reasons.append(f"the model knows no role {role}")
            continue
        found = _acquisition(card.inputs[role], volume) + _size(card.inputs[role], volume.geometry)
        reasons += [f"{role}: {reason}" for reason in found + _content(volume.array)]
    if target_role in inputs:
        target = inputs[target_role].geometry
        reasons += [
            f"{role}: {reason}"
            for role, volume in inputs.items()
            if role != target_role
            for reason in _overlap(volume.geometry, target)
        ]
    return tuple(reasons)


def _acquisition(role: InputRole, volume: Volume) -> list[str]:
    """Compare how the volume was acquired with what the role asks for."""
    reasons = []
    modality, weighting = _fact(volume, "Modality"), _fact(volume, "Weighting")
    if modality != role.modality:
        reasons.append(f"modality is {modality or 'not known'}, not {role.modality}")
    if role.weighting and weighting not in role.weighting:
        reasons.append(f"weighting is {weighting or 'not known'}, not {' or '.join(role.weighting)}")
    part = _fact(volume, "BodyPartExamined")
    if role.body_parts and part and part not in role.body_parts:
        reasons.append(f"body part is {part}, not {' or '.join(role.body_parts)}")
    agent = _fact(volume, "ContrastEnhanced")
    if role.contrast_agent == "never" and agent == "YES":
        reasons.append("acquired with a contrast agent")
    if role.contrast_agent == "never" and agent not in ("", "YES", "NO"):
        reasons.append("it cannot be told whether a contrast agent was given")
    return reasons


def _fact(volume: Volume, keyword: str) -> str:
    """Read an acquisition fact as a coded string; empty where it is not known."""
    return str(volume.attributes.get(keyword, "")).strip().upper()


def _size(role: InputRole, geometry: Geometry) -> list[str]:
    """Compare the stack with the geometry the model was made for, in slices and mm."""
    reasons = []
    slices, spacing = geometry.shape[0], geometry.spacing
    if slices < role.min_slices:
        reasons.append(f"{slices} slices, at least {role.min_slices} are needed")
    if role.max_slice_spacing_mm is not None and spacing[0] > role.max_slice_spacing_mm:
        reasons.append(f"slices are {spacing[0]:.1f} mm apart, at most {role.max_slice_spacing_mm:.1f} mm are allowed")
    extent = min(count * step for count, step in zip(geometry.shape, spacing, strict=True))
    if role.min_extent_mm is not None and extent < role.min_extent_mm:
        reasons.append(f"covers only {extent:.0f} mm along one axis, at least {role.min_extent_mm:.0f} mm are needed")
    return reasons


def _content(array: npt.NDArray[np.float32]) -> list[str]:
    """Look whether there is an image at all."""
    if not np.isfinite(array).all():
        return ["holds values that are no numbers"]
    lowest, highest = float(array.min()), float(np.percentile(array, _USUAL))
    if lowest == float(array.max()):
        return ["every voxel has the same value"]
    shown = float(np.mean(array > lowest + _BACKGROUND * (highest - lowest)))
    if shown < _SHOWN:
        return [f"almost all of it is background ({shown:.1%} shows something)"]
    return []


def _overlap(geometry: Geometry, target: Geometry) -> list[str]:
    """Measure how much of the target an input reaches; volumes of two patient spaces are registered instead."""
    if geometry.frame_of_reference_uid != target.frame_of_reference_uid:
        return []
    axes = [np.linspace(-0.5, count - 0.5, _PROBES) for count in target.shape]
    probes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    places = probes @ target.affine[:3, :3].T + target.affine[:3, 3]
    indices = (places - geometry.affine[:3, 3]) @ np.linalg.inv(geometry.affine[:3, :3]).T
    tolerance = 1e-6
    inside = (indices >= -0.5 - tolerance) & (indices <= np.asarray(geometry.shape) - 0.5 + tolerance)
    covered = float(inside.all(axis=1).mean())
    return [] if covered >= _COVERAGE else [f"covers only {covered:.0%} of the target, {_COVERAGE:.0%} are needed"]
