"""The few numbers that stand for many: percentiles, medians and spreads."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a quantity came out over the repetitions."""

    n: int
    median: float
    least: float
    most: float


def percentile(ascending: Sequence[float], share: float) -> float:
    """Give the value below which a share (0 to 1) of sorted values lies, by nearest rank."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def spread(values: Sequence[float]) -> Spread:
    """Sum values up, of which there must be one at least."""
    return Spread(n=len(values), median=median(values), least=min(values), most=max(values))


def spread_of_known(values: Sequence[float | None]) -> Spread | None:
    """Sum up those values that are known; None when none is."""
    known = [value for value in values if value is not None]
    return spread(known) if known else None
