"""Names of facts that lie deeper than a keyword: in sequences, in private attributes, and as summaries.

ProcedureCodeSequence.CodeValue     the values in all items of a sequence, at most three names deep
MREchoSequence.EffectiveEchoTime    the values in all frames of an enhanced object; its groups are not named
[SIEMENS MR HEADER]0019,0C          a private attribute: its creator, group and last two digits (PS3.5 section 7.8)
EchoTime.max                        of all instances and frames: all, min, max, count
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydicom._private_dict import private_dictionaries

from dicomnode.domain.facts import Summary

DEEPEST = 3
"""So many names a path may have; sequences in sequences in sequences tell nothing that a rule asks for."""
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
"""Not named in a path: what they hold belongs to the frames (PS3.3 C.7.6.16)."""

_ELEMENT = re.compile(r"\[([^\[\]]+)\]([0-9A-Fa-f]{3}[13579BDFbdf]),([0-9A-Fa-f]{2})|([A-Za-z0-9]+)")
_CREATORS: Mapping[str, str] = {"".join(creator.casefold().split()): creator for creator in private_dictionaries}


@dataclass(frozen=True, slots=True, kw_only=True)
class FactPath:
    """A name taken apart."""

    elements: tuple[str, ...]
    """Keywords and names of private attributes, from outside to inside."""
    summary: Summary | None = None

    @property
    def name(self) -> str:
        """Put the name together again."""
        return ".".join((*self.elements, *([self.summary] if self.summary else [])))


def split_name(name: str) -> FactPath | None:
    """Take a name apart at its dots; None for what has not the form of one."""
    elements: list[str] = []
    position = 0
    while match := _ELEMENT.match(name, position):
        elements.append(match[0] if match[1] is None else _private(match))
        position = match.end()
        if position == len(name):
            return _path(elements)
        if name[position] != ".":
            return None
        position += 1
    return None


def _path(elements: Sequence[str]) -> FactPath:
    if len(elements) > 1 and elements[-1] in tuple(Summary):
        return FactPath(elements=tuple(elements[:-1]), summary=Summary(elements[-1]))
    return FactPath(elements=tuple(elements))


def _private(match: re.Match[str]) -> str:
    return f"[{match[1]}]{match[2].upper()},{match[3].upper()}"


def private_name(creator: str, tag: int) -> str:
    """Name a private attribute by its creator, so that the block it lies in does not matter."""
    return f"[{creator}]{tag >> 16:04X},{tag & 0xFF:02X}"


def private_vr(element: str) -> tuple[str, str] | None:
    """Look up VR and name of a private attribute that is known; None for the many that nobody has written down."""
    match = _ELEMENT.fullmatch(element)
    if match is None or match[1] is None:
        return None
    entry = private_dictionaries.get(match[1], {}).get(f"{match[2]}xx{match[3]}")
    return (entry[0], entry[2]) if entry else None


def known_creator(element: str) -> str | None:
    """Name a private attribute with the creator as its vendor spells it; None where that is what stands there."""
    match = _ELEMENT.fullmatch(element)
    if match is None or match[1] is None:
        return None
    spelled = _CREATORS.get("".join(match[1].casefold().split()))
    return None if spelled in (None, match[1]) else f"[{spelled}]{match[2]},{match[3]}"
