"""Which models are installed here, and exactly which ones they are."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Self

from dicomnode.domain.derivation import ModelIdentity
from dicomnode.domain.errors import DicomnodeError, InvalidValue, ModelNotFound
from dicomnode.domain.model_card import ModelCard
from dicomnode.synthesis.contract import ENTRY_POINT_GROUP, SynthesisModel

_PLUGIN_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    DicomnodeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What importing and constructing foreign code may raise: one broken plug-in must not take the node down with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry:
    """An installed model: its card, its identity, what this host lacks to run it, and the file of its weights."""

    card: ModelCard
    identity: ModelIdentity
    missing: tuple[str, ...]
    weights: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPlugin:
    """A plug-in that is installed but cannot be used, and why."""

    name: str
    reason: str


class Registry:
    """The models of this process, by name; made once when a process of the node starts."""

    def __init__(self, models: Iterable[SynthesisModel] = (), broken: Iterable[BrokenPlugin] = ()) -> None:
        """Take models as they are; raises InvalidValue for two of one name or a card that contradicts itself."""
        self._models: dict[str, SynthesisModel] = {}
        self._entries: dict[str, RegistryEntry] = {}
        self.broken: tuple[BrokenPlugin, ...] = tuple(broken)
        for model in models:
            self._add(model)

    @classmethod
    def discover(cls) -> Self:
        """Find the installed plug-ins (entry points of the group `dicomnode.models`); the broken ones are listed."""
        registry, broken = cls(), []
        for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: (point.name, point.value)):
            try:
                registry._add(_construct(point))
            except _PLUGIN_ERRORS as error:
                broken.append(BrokenPlugin(name=point.name, reason=_in_one_line(error)))
        registry.broken = tuple(broken)
        return registry

    def names(self) -> tuple[str, ...]:
        """List the usable models, sorted."""
        return tuple(sorted(self._entries))

    def entry(self, name: str) -> RegistryEntry:
        """Find a model's entry; raises ModelNotFound, with the nearest name where there is one."""
        self._require(name)
        return self._entries[name]

    def model(self, name: str) -> SynthesisModel:
        """Construct a model that has nothing loaded yet; raises ModelNotFound."""
        self._require(name)
        return type(self._models[name])()

    def _add(self, model: SynthesisModel) -> None:
        name = model.card.name
        if name in self._entries:
            raise InvalidValue(f"another plug-in already provides a model {name}")
        self._entries[name] = RegistryEntry(
            card=model.card, identity=identify(model), missing=tuple(model.missing()), weights=model.weights()
        )
        self._models[name] = model

    def _require(self, name: str) -> None:
        if name in self._entries:
            return
        broken = next((one.reason for one in self.broken if one.name == name), None)
        if broken is not None:
            raise ModelNotFound(f"model {name} is installed but broken ({broken})")
        near = get_close_matches(name, self._entries, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ModelNotFound(f"model {name} is not installed here{hint}")


def identify(model: SynthesisModel) -> ModelIdentity:
    """Read which model exactly this is: SHA-256 of its weights file, or of its card where it has no weights.

    Raises InvalidValue when the card contradicts itself or the weights, OSError when the weights cannot be read.
    """
    problems = card_problems(model.card, model.weights())
    if problems:
        raise InvalidValue(f"the card of {model.card.name} is not usable: {'; '.join(problems)}")
    return ModelIdentity(name=model.card.name, version=model.card.version, weights_digest=_digest(model))


def card_problems(card: ModelCard, weights: Path | None) -> Sequence[str]:
    """List where a card contradicts itself or the weights it comes with."""
    problems = []
    if card.target_role not in card.inputs:
        problems.append(f"the target role {card.target_role} is none of its inputs")
    if card.weights != (weights.name if weights else None):
        problems.append(f"it names the weights {card.weights}, the model has {weights.name if weights else None}")
    if card.output.modality != "CT" and card.output.units == "HU":
        problems.append("only CT is measured in HU")
    return problems


def _construct(point: EntryPoint) -> SynthesisModel:
    """Import a plug-in's class and construct it; raises whatever the foreign code raises."""
    model = point.load()()
    if not isinstance(model, SynthesisModel) or not isinstance(model.card, ModelCard):
        raise InvalidValue(f"{point.value} does not have the form of a SynthesisModel with a ModelCard")
    if model.card.name != point.name:
        raise InvalidValue(f"the entry point is called {point.name} and its card {model.card.name}")
    return model


def _in_one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _digest(model: SynthesisModel) -> str:
    weights = model.weights()
    if weights is None:
        canonical = json.dumps(model.card.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
