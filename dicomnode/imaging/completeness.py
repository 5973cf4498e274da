"""What the headers of a series tell of the number of its images: whether all are here, or which are missing.

A wrong answer is worse than none: vendors count by acquisition, by series or over several series, number with gaps and
leave gaps between slices on purpose. What the rules below do not settle is unknown.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dicomnode.domain.archive import DicomJson

_ORIGINAL = ("ORIGINAL", "PRIMARY")
_FEWEST_POSITIONS = 5
_FEWEST_VOLUMES = 2
_SAME_DIRECTION = 1e-3
_SAME_PLACE_MM = 0.01
_ON_GRID = 0.02
"""So far, in parts of the spacing, a slice may lie beside the regular grid."""
_HALF = 0.5
_FEW = 0.3
"""More holes than this part of the series are no holes: it was made so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountingHeader:
    """The few attributes of one instance that count it; None or empty where it does not say."""

    series_number: int | None
    is_image: bool
    is_original: bool
    """Image Type says that the scanner acquired it: what was derived repeats the counts of its source."""
    frames: int
    number: int | None
    acquisition: tuple[str, int | None]
    """Acquisition UID and number."""
    images_in_acquisition: int | None
    volumes: int
    """How many temporal positions its frames name."""
    temporal: tuple[int | None, int | None]
    """How many temporal positions the series has, and which one this is."""
    concatenation: tuple[str, int | None, int | None]
    """Its UID, the place of this instance in it, and how many there are (PS3.3 section C.7.6.16.1)."""
    stack: tuple[str, int | None]
    """Which stack of slices it belongs to, and at which place in it."""
    position: tuple[float, ...]
    orientation: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesCount:
    """What the headers of one series tell: neither text is unknown."""

    whole: str = ""
    """By what all of its images are here."""
    missing: str = ""
    """Which are missing, and by what, as a clause."""


def counting_header(header: DicomJson) -> CountingHeader:
    """Read what counts from a header in the DICOM JSON Model; what is absent or broken reads as nothing."""
    image_type = tuple(str(value) for value in _values(header, "00080008")[:2])
    return CountingHeader(
        series_number=_integer(header, "00200011"),
        is_image=_integer(header, "00280010") is not None,
        is_original=image_type == _ORIGINAL,
        frames=max(1, _integer(header, "00280008") or 1),
        number=_integer(header, "00200013"),
        acquisition=(_text(header, "00080017"), _integer(header, "00200012")),
        images_in_acquisition=_integer(header, "00201002"),
        volumes=len(_temporal_indices(header)),
        temporal=(_integer(header, "00200105"), _integer(header, "00200100")),
        concatenation=(_text(header, "00209161"), _integer(header, "00209162"), _integer(header, "00209163")),
        stack=(_text(header, "00209056"), _integer(header, "00209057")),
        position=_numbers(header, "00200032", 3),
        orientation=_numbers(header, "00200037", 6),
    )


def count_series(instances: Sequence[CountingHeader]) -> SeriesCount | None:
    """Say what the headers of a series tell of its completeness; None where it has no image to count."""
    images = [one for one in instances if one.is_image]
    if not images:
        return None
    counts = [count for count in (rule(images) for rule in _RULES) if count is not None]
    missing = next((count.missing for count in counts if count.missing), "")
    whole = "" if missing else next((count.whole for count in counts if count.whole), "")
    return SeriesCount(whole=whole, missing=missing)


def _concatenations(images: Sequence[CountingHeader]) -> SeriesCount | None:
    """Count the parts of multi-frame images that were cut into several instances."""
    parts: dict[str, set[int]] = defaultdict(set)
    totals: dict[str, set[int]] = defaultdict(set)
    for uid, place, total in (one.concatenation for one in images):
        if uid and place is not None and total is not None:
            parts[uid].add(place)
            totals[uid].add(total)
    if not parts or any(len(found) != 1 for found in totals.values()):
        return None
    expected = sum(next(iter(found)) for found in totals.values())
    here = sum(len(found) for found in parts.values())
    # What was cut into parts was not all there is, if other images stand beside them.
    if here >= expected and here < len(images):
        return None
    return _counted(here, expected, "parts of its concatenated images", images)


def _images_in_acquisition(images: Sequence[CountingHeader]) -> SeriesCount | None:
    """Hold Images in Acquisition (0020,1002) against the images, by acquisition or for the whole series."""
    values = {one.images_in_acquisition for one in images}
    if None in values or 0 in values or any(one.frames > 1 for one in images):
        return None
    (value, *others), here = values, len(images)
    if not others and value is not None and 1 < value >= here:
        return _counted(here, value, "images by ImagesInAcquisition", images)
    return _by_acquisition(images)


def _by_acquisition(images: Sequence[CountingHeader]) -> SeriesCount | None:
    """Count acquisition by acquisition; where one has more images than it says, the count means something else."""
    acquisitions: dict[tuple[str, int | None], list[CountingHeader]] = defaultdict(list)
    for one in images:
        acquisitions[one.acquisition].append(one)
    expected = 0
    for members in acquisitions.values():
        values = {one.images_in_acquisition for one in members}
        value = next(iter(values))
        if len(values) != 1 or value is None or len(members) > value:
            return None
        expected += value
    # Whole acquisitions do not tell of those that may still come.
    text = f"images by ImagesInAcquisition of its {len(acquisitions)} acquisitions"
    return _counted(len(images), expected, text, images) if len(images) < expected else None


def _temporal_positions(images: Sequence[CountingHeader]) -> SeriesCount | None:
    """Hold Number of Temporal Positions (0020,0105) against the images: each must be as full as the fullest."""
    total, *others = {one.temporal[0] for one in images}
    if others or total is None or total < _FEWEST_VOLUMES:
        return None
    if all(one.volumes for one in images):
        volumes = sum(one.volumes for one in images)
        return _counted(volumes, total, "temporal positions", images) if volumes <= total else None
    identifiers = Counter(one.temporal[1] for one in images)
    if None in identifiers or len(identifiers) > total or _has_repeats(images):
        return None
    fullest = max(identifiers.values())
    return _counted(len(images), fullest * total, f"images of its {total} temporal positions", images)


def _has_repeats(images: Sequence[CountingHeader]) -> bool:
    """Whether one slice has several images at one temporal position, as with several echoes: then slices differ."""
    places = Counter((one.temporal[1], one.position) for one in images)
    return max(places.values()) > 1


def _in_stack_positions(images: Sequence[CountingHeader]) -> SeriesCount | None:
    """Find In-Stack Position Numbers (0020,9057) that are skipped; the first and the last slices may be left out."""
    stacks: dict[str, set[int]] = defaultdict(set)
    for one in images:
        stack, place = one.stack
        if place is None or one.frames > 1 or not one.is_original:
            return None
        stacks[stack].add(place)
    skipped = sum(max(places) - min(places) + 1 - len(places) for places in stacks.values())
    if not 0 < skipped <= _HALF * sum(map(len, stacks.values())):
        return None
    places = "in-stack position is" if skipped == 1 else "in-stack positions are"
    return SeriesCount(missing=f"{skipped} {places} missing between others")


def _slice_gaps(images: Sequence[CountingHeader]) -> SeriesCount | None:
    """Find holes in a regular stack of slices where instance numbers are missing too."""
    numbers = {one.number for one in images if one.number is not None}
    if len(numbers) < _FEWEST_POSITIONS or any(one.frames > 1 for one in images):
        return None
    skipped = max(numbers) - min(numbers) + 1 - len(numbers)
    holes = _holes(images)
    if not 0 < holes <= skipped or skipped > _FEW * len(numbers):
        return None
    slices = "slice is" if holes == 1 else "slices are"
    return SeriesCount(missing=f"{holes} {slices} missing between others by position and instance number")


def _holes(images: Sequence[CountingHeader]) -> int:
    """Count the empty places between the slices of one regular stack; 0 where they form none."""
    orientations = {one.orientation for one in images}
    if not all(orientations) or not all(one.position for one in images):
        return 0
    directions = np.array(sorted(orientations))
    if np.ptp(directions, axis=0).max() > _SAME_DIRECTION:
        return 0
    normal = np.cross(directions[0, :3], directions[0, 3:])
    places = np.unique(np.round(np.array([one.position for one in images]) @ normal / _SAME_PLACE_MM)) * _SAME_PLACE_MM
    if len(places) < _FEWEST_POSITIONS:
        return 0
    steps = np.diff(places)
    spacing = float(np.median(steps))
    counted = np.round(steps / spacing)
    if np.abs(steps / spacing - counted).max() > _ON_GRID * counted.max() or np.mean(counted > 1) > _FEW:
        return 0
    return int(counted.sum()) - len(steps)


def _counted(here: int, expected: int, what: str, images: Sequence[CountingHeader]) -> SeriesCount | None:
    """Say what a count tells; images that were derived may have kept the count of their source, which had more."""
    if here >= expected:
        return SeriesCount(whole=f"all {expected} {what}")
    if not all(one.is_original for one in images):
        return None
    verb = "is" if expected - here == 1 else "are"
    return SeriesCount(missing=f"{expected - here} of {expected} {what} {verb} missing")


_RULES: tuple[Callable[[Sequence[CountingHeader]], SeriesCount | None], ...] = (
    _concatenations,
    _images_in_acquisition,
    _temporal_positions,
    _in_stack_positions,
    _slice_gaps,
)


def _values(header: object, tag: str) -> Sequence[Any]:
    element = header.get(tag) if isinstance(header, Mapping) else None
    values = element.get("Value", ()) if isinstance(element, Mapping) else ()
    return values if isinstance(values, list | tuple) else ()


def _text(header: object, tag: str) -> str:
    value = next(iter(_values(header, tag)), "")
    return value if isinstance(value, str) else ""


def _integer(header: object, tag: str) -> int | None:
    value = next(iter(_values(header, tag)), None)
    try:
        return None if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _temporal_indices(header: DicomJson) -> frozenset[int]:
    """List which temporal positions the frames of a multi-frame image name."""
    contents = (item for group in _values(header, "52009230") for item in _values(group, "00209111"))
    return frozenset(index for item in contents if (index := _integer(item, "00209128")) is not None)


def _numbers(header: object, tag: str, length: int) -> tuple[float, ...]:
    """Read so many numbers; nothing at all where there are fewer, more or others."""
    values = _values(header, tag)
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        return ()
    return found if len(found) == length and np.isfinite(found).all() else ()
