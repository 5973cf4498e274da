"""Whether a series was acquired with a contrast agent (PS3.3 C.7.6.4 and C.7.6.4b)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydicom.dataset import Dataset

from dicomnode.imaging.attributes import items, number, text
from dicomnode.imaging.functional_groups import frame_macros


class ContrastEnhanced(StrEnum):
    """What the attributes of a series say about a contrast agent."""

    YES = "YES"
    NO = "NO"
    UNKNOWN = "UNKNOWN"
    """The description speaks of a contrast agent, but no attribute names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastFinding:
    """A verdict and what it was concluded from."""

    value: ContrastEnhanced
    evidence: str


_NO_AGENT = frozenset(
    {"off", "no", "none", "n", "nil", "0", "-", "false", "n/a", "na", "without", "plain", "native", "unenhanced"}
    | {"not used", "no contrast", "non contrast", "without contrast", "w/o contrast"}
)
"""What scanners and technologists write into Contrast/Bolus Agent when there was none (Hitachi: off, GE: NONE)."""
_AMOUNTS = ("ContrastBolusVolume", "ContrastBolusTotalDose")
_DENIED = re.compile(r"(?<![a-z])(?:without|w/?o|non|no|pre|ohne|sans)[ _-]*(?:contrast|gd|km|ce|c)(?![a-z])")
_SPOKEN_OF = re.compile(r"(?<![a-z])(?:post|gd|gad[a-z]*|km|contrast|ce)(?![a-z])|\+ ?(?:c|gd|km)(?![a-z])|c\+")


def contrast_of(datasets: Sequence[Dataset]) -> ContrastFinding:
    """Say whether a contrast agent was given before or during the series."""
    agents = {agent for dataset in datasets for agent in _agents(dataset)}
    named = sorted(agent for agent in agents if agent.casefold() not in _NO_AGENT)
    if named:
        return ContrastFinding(value=ContrastEnhanced.YES, evidence=f"contrast agent {', '.join(named)}")
    if any((number(dataset, amount) or 0) > 0 for dataset in datasets for amount in _AMOUNTS):
        return ContrastFinding(value=ContrastEnhanced.YES, evidence="an amount of contrast agent is given")
    evidence = f"contrast agent “{min(agents)}”" if agents else "no contrast agent named"
    if any(_speaks_of_contrast(dataset) for dataset in datasets):
        return ContrastFinding(
            value=ContrastEnhanced.UNKNOWN, evidence=f"{evidence}, but the description speaks of contrast"
        )
    return ContrastFinding(value=ContrastEnhanced.NO, evidence=evidence)


def _agents(dataset: Dataset) -> Iterator[str]:
    """List what an instance says of agents, in words: names, codes, and the yes or no of enhanced objects."""
    agent = text(dataset, "ContrastBolusAgent")
    if agent:
        yield agent
    for item in items(dataset, "ContrastBolusAgentSequence"):
        yield text(item, "CodeMeaning") or text(item, "CodeValue") or "without a name"
    for usage in frame_macros(dataset, "ContrastBolusUsageSequence"):
        yield "administered" if text(usage, "ContrastBolusAgentAdministered") == "YES" else "no"


def _speaks_of_contrast(dataset: Dataset) -> bool:
    described = f"{text(dataset, 'SeriesDescription')} {text(dataset, 'ProtocolName')}".casefold()
    return _SPOKEN_OF.search(_DENIED.sub("", described)) is not None
