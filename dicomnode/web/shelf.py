"""What the pages ask of the models that are installed and of the settings in force; `node` hands both in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dicomnode.domain.derivation import ModelIdentity
from dicomnode.domain.model_card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledModel:
    """A model that is installed: its card, which one exactly it is, and what this host lacks to run it."""

    card: ModelCard
    identity: ModelIdentity
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenModel:
    """A plug-in that is installed and cannot be used, and why."""

    name: str
    reason: str


class Models(Protocol):
    """The models of this host."""

    def installed(self) -> Sequence[InstalledModel]:
        """List those that can be used, by name."""
        ...

    def broken(self) -> Sequence[BrokenModel]:
        """List those that cannot."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingLine:
    """One setting in force: its name, its value in words with nothing secret in it, and what it is for."""

    name: str
    value: str
    description: str
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingGroup:
    """Settings that belong together."""

    title: str
    lines: tuple[SettingLine, ...]
