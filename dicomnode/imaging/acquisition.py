"""How an MR series was acquired, in the terms of the classic MR Image module (PS3.3 C.8.3.1, C.8.13)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicomnode.imaging.attributes import number, numbers, text, texts
from dicomnode.imaging.contrast_agent import ContrastEnhanced, contrast_of
from dicomnode.imaging.description import OF_SERIES, described
from dicomnode.imaging.functional_groups import as_classic, frame_macros, number_of_frames
from dicomnode.imaging.orientation import Orientation, orientation_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """What the sequence did; times in ms, angles in degrees, b-values in s/mm², codes in upper case.

    None and the empty set mean that the series does not say.
    """

    modality: str
    sop_class_uid: str
    image_types: tuple[frozenset[str], ...]
    """The distinct Image Types (and Frame Types) of the series."""
    sequence: frozenset[str]
    """Scanning Sequence: SE, IR, GR, EP, RM."""
    variant: frozenset[str]
    """Sequence Variant: SP spoiled, SS steady state, MP magnetization prepared, ..."""
    sequence_name: str
    """In lower case."""
    declared_contrast: str
    """Acquisition Contrast of an enhanced object; empty where it says UNKNOWN."""
    flags: frozenset[str]
    """Keywords of the yes-or-no attributes that say yes."""
    repetition_time: float | None
    echo_times: tuple[float, ...]
    """The distinct echo times in ascending order."""
    inversion_time: float | None
    flip_angle: float | None
    echo_train_length: float | None
    b_values: tuple[float, ...]
    is_3d: bool
    is_fat_saturated: bool
    is_spin_labelled: bool
    """Arterial spin labelling, as enhanced objects declare it."""
    images: int
    """How many images: instances, or frames of multi-frame instances."""
    repeats: int
    """How often a slice position was acquired, at most."""
    orientation: Orientation
    has_contrast_agent: bool
    description: str
    """Series Description and Protocol Name, folded: only for what physics leaves open."""

    @property
    def image_type(self) -> frozenset[str]:
        """All values of all Image Types of the series."""
        return frozenset().union(*self.image_types)

    @property
    def echo_time(self) -> float | None:
        """The first echo."""
        return self.echo_times[0] if self.echo_times else None


_YES_NO = ("TimeOfFlightContrast", "PhaseContrast", "AngioFlag", "InversionRecovery", "EchoPlanarPulseSequence")
_ONCE_PER_SERIES = (
    *_YES_NO,
    "AcquisitionContrast",
    "ArterialSpinLabelingContrast",
    "EchoPulseSequence",
    "EchoTrainLength",
    "FlipAngle",
    "InversionTime",
    "MRAcquisitionType",
    "Modality",
    "RepetitionTime",
    "SOPClassUID",
    "ScanOptions",
    "ScanningSequence",
    "SequenceName",
    "SequenceVariant",
    "SpectrallySelectedSuppression",
)
_YES = ("YES", "Y")
_REFOCUSING = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}


def acquisition_of(datasets: Sequence[Dataset]) -> Acquisition:
    """Gather how a series (at least one instance) was acquired; where instances differ, what most of them say."""
    usual = _usual(datasets)
    flags = frozenset(keyword for keyword in _YES_NO if text(usual, keyword) in _YES)
    declared = text(usual, "AcquisitionContrast").upper()
    return Acquisition(
        modality=text(usual, "Modality"),
        sop_class_uid=text(usual, "SOPClassUID"),
        image_types=tuple(sorted({kind for dataset in datasets for kind in _image_types(dataset)}, key=sorted)),
        sequence=_scanning_sequence(usual, flags),
        variant=_codes(usual, "SequenceVariant"),
        sequence_name=text(usual, "SequenceName").casefold(),
        declared_contrast="" if declared == "UNKNOWN" else declared,
        flags=flags,
        repetition_time=_positive(usual, "RepetitionTime"),
        echo_times=echo_times_of(datasets),
        inversion_time=_positive(usual, "InversionTime"),
        flip_angle=_positive(usual, "FlipAngle"),
        echo_train_length=_positive(usual, "EchoTrainLength"),
        b_values=tuple(sorted({value for dataset in datasets for value in _b_values(dataset)})),
        is_3d=text(usual, "MRAcquisitionType") == "3D",
        is_fat_saturated="FS" in _codes(usual, "ScanOptions") or text(usual, "SpectrallySelectedSuppression") == "FAT",
        is_spin_labelled=bool(text(usual, "ArterialSpinLabelingContrast")),
        images=sum(number_of_frames(dataset) for dataset in datasets),
        repeats=_repeats(datasets),
        orientation=orientation_of(datasets),
        has_contrast_agent=contrast_of(datasets).value is ContrastEnhanced.YES,
        description=described(datasets, OF_SERIES),
    )


def echo_times_of(datasets: Sequence[Dataset]) -> tuple[float, ...]:
    """List the distinct echo times of a series in ascending order, in ms."""
    return tuple(sorted({time for dataset in datasets for time in _echo_times(dataset) if time > 0}))


def _usual(datasets: Sequence[Dataset]) -> Dataset:
    """Give one instance that says of each thing what most instances of the series say that say anything."""
    usual = Dataset()
    classic = [as_classic(dataset) for dataset in datasets]
    for keyword in _ONCE_PER_SERIES:
        counts = Counter(said for dataset in classic if (said := texts(dataset, keyword)))
        if counts:
            most = max(counts.values())
            said = min(said for said, count in counts.items() if count == most)
            usual.add_new(keyword, "LO", list(said))
    return usual


def _codes(dataset: Dataset, keyword: str) -> frozenset[str]:
    return frozenset(code.upper() for code in texts(dataset, keyword))


def _positive(dataset: Dataset, keyword: str) -> float | None:
    """Read a time or an angle; scanners write 0 for what a sequence does not have."""
    value = number(dataset, keyword)
    return value if value is not None and value > 0 else None


def _image_types(dataset: Dataset) -> Iterator[frozenset[str]]:
    """List Image Type of an instance or of all its frames, with the complex component as if it were part of it."""
    frame_types = list(frame_macros(dataset, "MRImageFrameTypeSequence"))
    for source, keyword in [(macro, "FrameType") for macro in frame_types] or [(dataset, "ImageType")]:
        yield _codes(source, keyword) | _codes(source, "ComplexImageComponent")


def _scanning_sequence(first: Dataset, flags: frozenset[str]) -> frozenset[str]:
    """Read Scanning Sequence, or put it together from what an enhanced object says instead."""
    refocusing = _REFOCUSING.get(text(first, "EchoPulseSequence"), ())
    prepared = ("IR",) if "InversionRecovery" in flags else ()
    planar = ("EP",) if "EchoPlanarPulseSequence" in flags else ()
    return _codes(first, "ScanningSequence") | {*refocusing, *prepared, *planar}


def _echo_times(dataset: Dataset) -> Iterator[float]:
    yield from numbers(dataset, "EchoTime")[:1]
    for macro in frame_macros(dataset, "MREchoSequence"):
        yield from numbers(macro, "EffectiveEchoTime")[:1]


def _b_values(dataset: Dataset) -> Iterator[float]:
    yield from numbers(dataset, "DiffusionBValue")[:1]
    for macro in frame_macros(dataset, "MRDiffusionSequence"):
        yield from numbers(macro, "DiffusionBValue")[:1]


def _repeats(datasets: Sequence[Dataset]) -> int:
    """Count how often the slice position that was acquired most often was acquired."""
    positions = Counter(position for dataset in datasets for position in _positions(dataset))
    return max(positions.values(), default=1)


def _positions(dataset: Dataset) -> Iterator[tuple[float, ...]]:
    sources = [dataset, *frame_macros(dataset, "PlanePositionSequence")]
    return (position for source in sources if (position := numbers(source, "ImagePositionPatient")))
