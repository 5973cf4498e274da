"""Whether a series was acquired with a contrast agent, and before or after it (PS3.3 C.7.6.4 and C.7.6.4b)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydicom.dataset import Dataset

from dicomnode.domain.facts import Confidence
from dicomnode.imaging.attributes import items, number, text
from dicomnode.imaging.contrast_words import denies_contrast, names_no_agent, speaks_of_contrast
from dicomnode.imaging.description import OF_SERIES, described
from dicomnode.imaging.finding import Finding
from dicomnode.imaging.functional_groups import frame_macros


class ContrastEnhanced(StrEnum):
    """What the attributes of a series say about a contrast agent."""

    YES = "YES"
    NO = "NO"
    UNKNOWN = "UNKNOWN"
    """The description speaks of a contrast agent, but no attribute names one."""


class ContrastPhase(StrEnum):
    """Whether the images of a series show a contrast agent."""

    NONE = "NONE"
    """None was given, or only after these images."""
    POST = "POST"
    """It was given before these images, or during them."""
    UNKNOWN = "UNKNOWN"
    """Attributes and description contradict each other, or only words speak of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContrastFinding:
    """A verdict and what it was concluded from."""

    value: ContrastEnhanced
    evidence: str
    confidence: Confidence = Confidence.MEDIUM


_AMOUNTS = ("ContrastBolusVolume", "ContrastBolusTotalDose")
_BEFORE_CONTRAST = "PRE_CONTRAST"
"""Contrast/Bolus Agent Phase of what was acquired before the agent was given (PS3.3 C.7.6.16.2.12)."""


def contrast_of(datasets: Sequence[Dataset]) -> ContrastFinding:
    """Say whether a contrast agent was given before or during the series."""
    agents = {agent for dataset in datasets for agent in _agents(dataset)}
    named = sorted(agent for agent in agents if not names_no_agent(agent))
    if named:
        is_certain = "administered" in named or any(items(one, "ContrastBolusAgentSequence") for one in datasets)
        confidence = Confidence.HIGH if is_certain else Confidence.MEDIUM
        return ContrastFinding(
            value=ContrastEnhanced.YES, evidence=f"contrast agent {', '.join(named)}", confidence=confidence
        )
    if any((number(dataset, amount) or 0) > 0 for dataset in datasets for amount in _AMOUNTS):
        return ContrastFinding(value=ContrastEnhanced.YES, evidence="an amount of contrast agent is given")
    evidence = f"contrast agent “{min(agents)}”" if agents else "no contrast agent named"
    words = described(datasets, OF_SERIES)
    if speaks_of_contrast(words):
        return ContrastFinding(
            value=ContrastEnhanced.UNKNOWN,
            evidence=f"{evidence}, but the description speaks of contrast",
            confidence=Confidence.LOW,
        )
    confidence = Confidence.HIGH if agents or denies_contrast(words) else Confidence.MEDIUM
    return ContrastFinding(value=ContrastEnhanced.NO, evidence=evidence, confidence=confidence)


def contrast_phase_of(datasets: Sequence[Dataset], enhanced: ContrastFinding) -> Finding:
    """Say whether the images show a contrast agent, from what `contrast_of` found and when it was given."""
    phases = {text(usage, "ContrastBolusAgentPhase") for dataset in datasets for usage in _usages(dataset)} - {""}
    if phases == {_BEFORE_CONTRAST}:
        return _phase(ContrastPhase.NONE, "Contrast/Bolus Agent Phase PRE_CONTRAST", Confidence.HIGH)
    if _BEFORE_CONTRAST in phases:
        return _phase(ContrastPhase.UNKNOWN, "images from before and after a contrast agent", Confidence.LOW)
    if enhanced.value is ContrastEnhanced.NO:
        return _phase(ContrastPhase.NONE, enhanced.evidence, enhanced.confidence)
    if enhanced.value is ContrastEnhanced.UNKNOWN:
        return _phase(ContrastPhase.UNKNOWN, enhanced.evidence, Confidence.LOW)
    return _given_phase(datasets, enhanced)


def _given_phase(datasets: Sequence[Dataset], enhanced: ContrastFinding) -> Finding:
    """Say whether an agent that was given can be seen: not where words deny it, or where it came later."""
    words = described(datasets, OF_SERIES)
    if denies_contrast(words) and not speaks_of_contrast(words):
        evidence = f"{enhanced.evidence}, but the description says without"
        return _phase(ContrastPhase.UNKNOWN, evidence, Confidence.LOW)
    if any(map(_came_later, datasets)):
        evidence = f"{enhanced.evidence}, given after the images were begun"
        return _phase(ContrastPhase.UNKNOWN, evidence, Confidence.LOW)
    confidence = Confidence.HIGH if speaks_of_contrast(words) else enhanced.confidence
    return _phase(ContrastPhase.POST, enhanced.evidence, confidence)


def _phase(value: ContrastPhase, evidence: str, confidence: Confidence) -> Finding:
    return Finding(value=value.value, evidence=evidence, confidence=confidence)


def _came_later(dataset: Dataset) -> bool:
    """Tell whether the agent was given after an image was acquired; both are times of day (VR TM)."""
    given, acquired = number(dataset, "ContrastBolusStartTime"), number(dataset, "AcquisitionTime")
    return given is not None and acquired is not None and given > acquired


def _agents(dataset: Dataset) -> Iterator[str]:
    """List what an instance says of agents, in words: names, codes, and the yes or no of enhanced objects."""
    agent = text(dataset, "ContrastBolusAgent")
    if agent:
        yield agent
    for item in items(dataset, "ContrastBolusAgentSequence"):
        yield text(item, "CodeMeaning") or text(item, "CodeValue") or "without a name"
    for usage in _usages(dataset):
        yield "administered" if text(usage, "ContrastBolusAgentAdministered") == "YES" else "no"


def _usages(dataset: Dataset) -> Iterator[Dataset]:
    return frame_macros(dataset, "ContrastBolusUsageSequence")
