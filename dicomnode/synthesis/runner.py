"""Running a model on inputs that passed the gate: exactly the pinned model, and nothing but what its card declares."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from traceback import extract_tb

import numpy as np

from dicomnode.domain.derivation import ModelIdentity
from dicomnode.domain.errors import (
    ContractViolation,
    InvalidValue,
    ModelFailed,
    ModelOutputInvalid,
    ModelUnavailable,
    WeightsChanged,
)
from dicomnode.domain.model_card import ModelCard
from dicomnode.domain.volume import Geometry, Units, Volume
from dicomnode.synthesis.contract import SynthesisModel, SynthesisOutput
from dicomnode.synthesis.registry import Registry, identify


class Runner:
    """Lives in a child process and keeps the last few models loaded on its device."""

    def __init__(self, registry: Registry, device: str, keep: int = 2) -> None:
        self.registry = registry
        self._device = device
        self._keep = keep
        self._loaded: OrderedDict[ModelIdentity, SynthesisModel] = OrderedDict()

    def run(self, identity: ModelIdentity, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
        """Make the output with exactly the pinned model; `inputs` by role, all on one grid.

        Raises ModelNotFound, ModelUnavailable, WeightsChanged, ContractViolation (the model's own refusal), ModelFailed
        or ModelOutputInvalid.
        """
        model = self._load(identity)
        output = self._call(model, inputs, seed)
        check_output(model.card, output, inputs[model.card.target_role].geometry)
        return output

    def _load(self, identity: ModelIdentity) -> SynthesisModel:
        """Give the loaded model, loading it and letting the longest unused one go where needed."""
        if identity in self._loaded:
            self._loaded.move_to_end(identity)
            return self._loaded[identity]
        model = self.registry.model(identity.name)
        _require_pinned(model, identity)
        missing = model.missing()
        if missing:
            raise ModelUnavailable(f"model {identity.name} cannot run on this host: {'; '.join(missing)}")
        while len(self._loaded) >= max(self._keep, 1):
            self._loaded.popitem(last=False)
        try:
            model.load(self._device)
        except Exception as error:  # noqa: BLE001  foreign code may raise anything
            raise ModelFailed(_without_words(model, "load", error)) from None
        self._loaded[identity] = model
        return model

    def _call(self, model: SynthesisModel, inputs: Mapping[str, Volume], seed: int) -> SynthesisOutput:
        """Let the model work; its own words go no further, they might repeat what it was given."""
        try:
            return model.synthesise(inputs, seed)
        except ContractViolation:
            raise
        except Exception as error:  # noqa: BLE001  foreign code may raise anything
            raise ModelFailed(_without_words(model, "synthesise", error)) from None


def check_output(card: ModelCard, output: object, target: Geometry) -> None:
    """Hold an output against its card and the target's grid; raises ModelOutputInvalid with all that is wrong."""
    if not isinstance(output, SynthesisOutput):
        raise ModelOutputInvalid(f"model {card.name} returned {type(output).__name__}, not SynthesisOutput")
    problems = _problems("image", output.image, target, Units(card.output.units))
    if output.uncertainty is not None:
        problems += _problems("uncertainty", output.uncertainty, target, Units.STANDARD_DEVIATION)
        if (output.uncertainty.array < 0).any():
            problems.append("a standard deviation is never negative")
    if problems:
        raise ModelOutputInvalid(f"what model {card.name} returned cannot be used: {'; '.join(problems)}")


def _problems(what: str, volume: Volume, target: Geometry, units: Units) -> list[str]:
    """List what is wrong with one volume; that it is float32 and fits its geometry, Volume itself has checked."""
    problems = []
    if not volume.geometry.equals(target, tolerance_mm=0):
        problems.append(f"the {what} does not lie on the target's grid")
    if volume.units is not units:
        problems.append(f"the {what} is in {volume.units}, not in {units}")
    if not np.isfinite(volume.array).all():
        problems.append(f"the {what} holds values that are no numbers")
    return problems


def _require_pinned(model: SynthesisModel, pinned: ModelIdentity) -> None:
    """Refuse another version or other weights than the work was decided with; raises WeightsChanged."""
    try:
        found = identify(model)
    except (InvalidValue, OSError) as error:
        raise WeightsChanged(f"model {pinned.name} {pinned.version} cannot be read ({type(error).__name__})") from error
    if found.version != pinned.version:
        raise WeightsChanged(f"model {pinned.name} {pinned.version} was pinned, but {found.version} is installed")
    if found != pinned:
        raise WeightsChanged(
            f"the weights of model {pinned.name} {pinned.version} are {found.weights_digest[:12]}, "
            f"pinned were {pinned.weights_digest[:12]} (SHA-256)"
        )


def _without_words(model: SynthesisModel, step: str, error: Exception) -> str:
    """Say what was raised and where in the code, without the error's own text."""
    frame = extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name} line {frame.lineno}"
    return f"model {model.card.name} {model.card.version} raised {type(error).__name__} in {step} ({where})"
