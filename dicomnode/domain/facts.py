"""Which facts exist, of which type, how they are named, and how sure a conclusion is: the vocabulary of the rules."""

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


class Confidence(StrEnum):
    """How far a conclusion may be trusted."""

    HIGH = "HIGH"
    """It follows from attributes that the scanner writes by what it does, or from codes."""
    MEDIUM = "MEDIUM"
    """It follows from an attribute that people or protocols set, or words chose among what physics left."""
    LOW = "LOW"
    """Only words say so: a description, in whatever language."""


class Summary(StrEnum):
    """What can be asked of all values of an attribute in a series, after its name and a dot: `EchoTime.max`."""

    ALL = "all"
    """The distinct values, in ascending order."""
    MIN = "min"
    MAX = "max"
    COUNT = "count"
    """How many distinct values there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactField:
    """One fact that rules may ask for."""

    name: str
    """A DICOM keyword, the name of a derived fact such as Weighting, or a path (see `is_nested`)."""
    type: FactType
    description: str
    values: tuple[str, ...] = ()
    """The closed set of values, where there is one; a rule with any other value is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactCatalogue:
    """All facts of a study and of a series, by name; those with paths are found, but not listed."""

    study: Mapping[str, FactField]
    series: Mapping[str, FactField]


class NamesWithPaths(Mapping[str, FactField]):
    """Facts of which some are made when their name is asked for, and that know what a wrong name was meant to be."""

    def nearest(self, name: str) -> str | None:
        """Give the name that was probably meant; None when none is close."""
        raise NotImplementedError


def is_nested(name: str) -> bool:
    """Tell whether a fact lies in a sequence (`ProcedureCodeSequence.CodeValue`), is private or is a summary.

    A private attribute is named by its creator, group and last two digits: `[SIEMENS MR HEADER]0019,0C`.
    """
    return "." in name or name.startswith("[")
