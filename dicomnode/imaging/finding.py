"""What the node concludes of a series: a value, what it was concluded from, and how far it may be trusted."""

from dataclasses import dataclass

from dicomnode.domain.facts import Confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One conclusion; the evidence names attributes and what they say, never a whole description."""

    value: str
    evidence: str
    confidence: Confidence
