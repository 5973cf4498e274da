"""Which facts exist, and of which type: the vocabulary a rule may use."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FactType(StrEnum):
    """What kind of value a fact has; it decides which operators make sense."""

    TEXT = "text"
    """Free text, compared without regard to case (LO, SH, PN, ST, ...)."""
    CODE = "code"
    """A coded string, compared exactly (CS, UI, AE)."""
    NUMBER = "number"
    """DS, IS, FD, US, ...; AS in years."""
    DATE = "date"
    """DA."""
    TEXT_LIST = "list of texts"
    """Any multi-valued text, such as Image Type."""
    NUMBER_LIST = "list of numbers"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactField:
    """One fact that rules may ask for."""

    name: str
    """A DICOM keyword, or the name of a derived fact such as Weighting."""
    type: FactType
    description: str
    values: tuple[str, ...] = ()
    """The closed set of values, where there is one; a rule with any other value is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactCatalogue:
    """All facts of a study and of a series, by name."""

    study: Mapping[str, FactField]
    series: Mapping[str, FactField]
