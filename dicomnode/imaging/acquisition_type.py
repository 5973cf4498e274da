"""Whether an MR series was acquired slice by slice or as a volume (MR Acquisition Type, PS3.3 C.8.3.1.1.4)."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from pydicom.dataset import Dataset

from dicomnode.domain.facts import Confidence
from dicomnode.domain.study import FactValue
from dicomnode.imaging.attributes import text, texts
from dicomnode.imaging.finding import Finding
from dicomnode.imaging.functional_groups import as_classic


class AcquisitionType(StrEnum):
    """How the slices of a series came about."""

    TWO_D = "2D"
    THREE_D = "3D"
    UNKNOWN = "UNKNOWN"
    """Not an MR series, or nothing tells."""


_DECLARED: Mapping[str, AcquisitionType] = {
    "2D": AcquisitionType.TWO_D,
    "3D": AcquisitionType.THREE_D,
}
_THIN_MM, _MANY_SLICES = 1.2, 100
"""So many so thin slices without gaps are not acquired one by one in clinical time."""


def acquisition_type_of(datasets: Sequence[Dataset], geometry: Mapping[str, FactValue]) -> Finding:
    """Say how a series was acquired; `geometry` are its measures, which tell where the scanner does not."""
    modalities = {text(dataset, "Modality") for dataset in datasets}
    if modalities != {"MR"}:
        return _finding(AcquisitionType.UNKNOWN, "not an MR series", Confidence.HIGH)
    declared = {text(as_classic(dataset), "MRAcquisitionType") for dataset in datasets} - {""}
    types = {_DECLARED.get(one) for one in declared}
    if len(types) == 1 and (declared_type := next(iter(types))) is not None:
        evidence = f"MR Acquisition Type {', '.join(sorted(declared))}"
        return _finding(declared_type, evidence, Confidence.HIGH)
    if len(types) > 1:
        return _finding(AcquisitionType.UNKNOWN, "its images differ in MR Acquisition Type", Confidence.LOW)
    return _from_names(datasets) or _from_geometry(geometry)


def _from_names(datasets: Sequence[Dataset]) -> Finding | None:
    """Look for 2D or 3D in the names that scanners give their sequences (Siemens: *tfl3d1, *tse2d1_15)."""
    names = {name.casefold() for dataset in datasets for name in texts(as_classic(dataset), "SequenceName")}
    found = {kind for name in names for kind in ("2d", "3d") if kind in name}
    if len(found) != 1:
        return None
    kind = AcquisitionType(found.pop().upper())
    return _finding(kind, f"Sequence Name {', '.join(sorted(names))}", Confidence.MEDIUM)


def _from_geometry(geometry: Mapping[str, FactValue]) -> Finding:
    spacing, coverage = geometry.get("SliceSpacing"), geometry.get("Coverage")
    if (
        geometry.get("NumberOfStacks") == 1
        and isinstance(spacing, float)
        and isinstance(coverage, float)
        and spacing <= _THIN_MM
        and coverage / spacing >= _MANY_SLICES
    ):
        return _finding(
            AcquisitionType.THREE_D, f"more than {_MANY_SLICES} slices {spacing:g} mm apart", Confidence.LOW
        )
    return _finding(AcquisitionType.UNKNOWN, "no MR Acquisition Type", Confidence.LOW)


def _finding(kind: AcquisitionType, evidence: str, confidence: Confidence) -> Finding:
    return Finding(value=kind.value, evidence=evidence, confidence=confidence)
