"""What the places of its slices tell of a series: stacks, spacing, missing slices, coverage, repetitions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from dicomnode.domain.study import FactValue
from dicomnode.imaging.acquisition import echo_times_of
from dicomnode.imaging.attributes import number, numbers
from dicomnode.imaging.functional_groups import frame_macros
from dicomnode.imaging.slice_places import SlicePlace, slice_places

_SAME_DIRECTION_COSINE = float(np.cos(np.radians(0.5)))
"""Slices that are tilted less against each other belong to one stack; scanners round their cosines."""
_SAME_PLACE_MM = 0.05
"""Nearer than this two slices are the same one, acquired again."""
_UNEVEN = 0.1
"""By so much of the spacing may the distance of two slices differ from a multiple of it."""
_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Parallel slices: their distinct places along the normal, in mm and ascending, and how often each was acquired."""

    places: tuple[float, ...]
    images: tuple[int, ...]

    @property
    def spacing(self) -> float | None:
        """The distance between neighbours; None for one slice, or where the slices are unevenly spaced."""
        gaps = np.diff(self.places)
        if not gaps.size:
            return None
        usual = float(np.median(gaps))
        uneven = np.abs(gaps / usual - np.maximum(np.round(gaps / usual), 1))
        return usual if bool((uneven <= _UNEVEN).all()) else None

    @property
    def missing(self) -> int | None:
        """How many slices are lacking between the first and the last; None where that cannot be told."""
        usual = self.spacing
        return None if usual is None else int((np.round(np.diff(self.places) / usual) - 1).sum())

    @property
    def length(self) -> float:
        """From the first slice to the last, centre to centre."""
        return self.places[-1] - self.places[0]


def geometry_facts(datasets: Sequence[Dataset]) -> dict[str, FactValue]:
    """Measure a series; what cannot be told of it is absent."""
    stacks = stacks_of(slice_places(datasets))
    thickness = max((value for dataset in datasets for value in _thicknesses(dataset)), default=0.0)
    pixels = [value for dataset in datasets for value in _pixel_spacings(dataset) if value > 0]
    facts: Mapping[str, FactValue] = {
        "NumberOfStacks": len(stacks) or None,
        "SliceSpacing": _rounded(_agreed([stack.spacing for stack in stacks])),
        "MissingSlices": _total([stack.missing for stack in stacks if len(stack.places) > 1]),
        "Coverage": _rounded(max((stack.length + (stack.spacing or thickness) for stack in stacks), default=None)),
        "ImagesPerPosition": max((count for stack in stacks for count in stack.images), default=None),
        "InPlaneSpacing": _rounded(max(pixels, default=None)),
        "NumberOfEchoes": len(echo_times_of(datasets)) or None,
        "NumberOfTimePoints": len(_time_points(datasets)) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}


def stacks_of(places: Sequence[SlicePlace]) -> list[Stack]:
    """Sort slices into stacks of parallel ones, in an order that does not depend on theirs."""
    ordered = sorted(places, key=lambda place: (*place.normal.round(_DIGITS), *place.position.round(_DIGITS)))
    remaining = np.array([place.normal for place in ordered]).reshape(-1, 3)
    positions = np.array([place.position for place in ordered]).reshape(-1, 3)
    stacks = []
    while len(remaining):
        normal = remaining[0]
        together = np.abs(remaining @ normal) >= _SAME_DIRECTION_COSINE
        stacks.append(_stack(positions[together] @ normal))
        remaining, positions = remaining[~together], positions[~together]
    return stacks


def _stack(along: npt.NDArray[np.float64]) -> Stack:
    """Tell places from repetitions."""
    ordered = np.sort(along)
    starts = np.flatnonzero(np.concatenate(([True], np.diff(ordered) > _SAME_PLACE_MM)))
    counts = np.diff(np.append(starts, len(ordered)))
    return Stack(places=tuple(map(float, ordered[starts])), images=tuple(map(int, counts)))


def _agreed(spacings: Sequence[float | None]) -> float | None:
    """Give the spacing that all stacks have; None where they differ, or one has none."""
    told = [spacing for spacing in spacings if spacing is not None]
    if not told or len(told) < len(spacings):
        return None
    return told[0] if max(told) - min(told) <= _UNEVEN * min(told) else None


def _total(counts: Sequence[int | None]) -> int | None:
    told = [count for count in counts if count is not None]
    return sum(told) if told and len(told) == len(counts) else None


def _rounded(value: float | None) -> float | None:
    """Keep thousandths of a millimetre: the rest comes from scanners' rounding of positions."""
    return None if value is None else round(value, _DIGITS)


def _thicknesses(dataset: Dataset) -> Sequence[float]:
    measured = (number(source, "SliceThickness") for source in (dataset, *_measures(dataset)))
    return [value for value in measured if value is not None]


def _pixel_spacings(dataset: Dataset) -> Sequence[float]:
    return [value for source in (dataset, *_measures(dataset)) for value in numbers(source, "PixelSpacing")]


def _measures(dataset: Dataset) -> Sequence[Dataset]:
    return tuple(frame_macros(dataset, "PixelMeasuresSequence"))


def _time_points(datasets: Sequence[Dataset]) -> set[float]:
    """List the temporal positions that the series names (PS3.3 C.7.6.16.2.2, C.8.3.1)."""
    contents = [
        (macro, "TemporalPositionIndex") for one in datasets for macro in frame_macros(one, "FrameContentSequence")
    ]
    sources = [*((one, "TemporalPositionIdentifier") for one in datasets), *contents]
    return {place for source, keyword in sources for place in numbers(source, keyword)[:1]}
