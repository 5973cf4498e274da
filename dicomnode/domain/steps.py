"""The closed set of answers a step of the journey can give."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The step is finished; what it says goes into the timeline."""

    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryLater:
    """Something outside failed that may heal: try again after this many seconds."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsOperator:
    """The node cannot go on by itself; the reason and the help are shown until a person acts."""

    reason: str
    help: str


StepResult = Done | RetryLater | NeedsOperator
