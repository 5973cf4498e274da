"""The last look before anything leaves: labels, identity, geometry and structure of a derived series, in code."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from dicomnode.domain.derivation import NODE_MANUFACTURER
from dicomnode.domain.errors import GeometryError, OutputRefused
from dicomnode.domain.model_card import ModelCard
from dicomnode.imaging.labels import LABEL, WARNING
from dicomnode.imaging.validator import validate
from dicomnode.imaging.volume_from_instances import SourceSeries, place

_SAME_AS_SOURCE = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber", "StudyDate")
_MODALITY_OF = {"1.2.840.10008.5.1.4.1.1.4": "MR", "1.2.840.10008.5.1.4.1.1.2": "CT"}
_EXPECTED_WARNINGS = ("needed to build DICOMDIR", "Retired Person Name form")
"""About values copied from the source: what the patient's record says is not the node's to correct."""


def pass_gate(
    derived: Sequence[Dataset], files: Sequence[Path], target: SourceSeries, card: ModelCard
) -> Mapping[str, str]:
    """Check a derived series against its target and its card; gives each check's verdict in words.

    `files` are the derived instances as they will leave. Raises OutputRefused with every complaint.
    """
    complaints = [
        *(f"{complaint}" for dataset in derived for complaint in _unlabelled(dataset, card)),
        *_differing_identity(derived, target),
        *_differing_geometry(derived, target),
    ]
    errors, warnings = _structure(files)
    complaints += errors
    if complaints:
        unique = list(dict.fromkeys(complaints))
        raise OutputRefused(f"the output gate stopped the series: {'; '.join(unique[:5])} ({len(unique)} complaints)")
    return {
        "labels": f"complete on all {len(derived)} instances",
        "identity": "same patient, study and Frame of Reference as the source",
        "geometry": "equal to the target series, slice by slice",
        "dciodvfy": f"0 errors on {len(files)} instances; "
        + (f"warnings: {'; '.join(sorted(warnings))}" if warnings else "no warnings"),
    }


def _unlabelled(dataset: Dataset, card: ModelCard) -> list[str]:
    """List what the label of one instance lacks (the contract of ARCHITECTURE.md)."""
    equipment = {_purpose(item): item for item in dataset.get("ContributingEquipmentSequence") or []}
    is_synthetic = card.output.synthetic_data == "YES"
    maker = equipment.get("109100" if is_synthetic else "109102")
    required = {
        "Image Type does not begin with DERIVED": list(dataset.get("ImageType") or [])[:1] == ["DERIVED"],
        "SyntheticData is not what the card asks for": dataset.get("SyntheticData")
        == ("YES" if is_synthetic else None),
        "Content Qualification is not RESEARCH": card.approved or dataset.get("ContentQualification") == "RESEARCH",
        "the series description does not begin with the label": str(dataset.get("SeriesDescription", "")).startswith(
            f"{LABEL} "
        ),
        "Image Comments do not carry the warning": WARNING in str(dataset.get("ImageComments", "")),
        "the derivation is not described": bool(dataset.get("DerivationDescription")),
        "the derivation is not coded": bool(dataset.get("DerivationCodeSequence")),
        "no source image is referenced": bool(dataset.get("SourceImageSequence")),
        "the model is not named as contributing equipment": maker is not None,
        "the digest of the weights is missing": maker is not None and bool(maker.get("DeviceSerialNumber")),
        "the node is not the manufacturer": dataset.get("Manufacturer") == NODE_MANUFACTURER,
        "the node claims to be the scanner": equipment.get("109101", Dataset()).get("Manufacturer")
        != NODE_MANUFACTURER,
        "Modality does not fit the SOP class": _MODALITY_OF.get(dataset.SOPClassUID) == dataset.get("Modality"),
        "private elements are left": not any(element.tag.is_private for element in dataset),
    }
    return [complaint for complaint, holds in required.items() if not holds]


def _purpose(item: Dataset) -> str:
    codes = item.get("PurposeOfReferenceCodeSequence") or []
    return str(codes[0].get("CodeValue", "")) if codes else ""


def _differing_identity(derived: Sequence[Dataset], target: SourceSeries) -> list[str]:
    """List where a derived instance belongs to someone or something else than its source."""
    complaints = []
    source_uids = {dataset.SOPInstanceUID for dataset in target.datasets}
    for result, source in zip(derived, target.datasets, strict=True):
        changed = [keyword for keyword in _SAME_AS_SOURCE if result.get(keyword) != source.get(keyword)]
        complaints += [f"{keyword} is not the source's" for keyword in changed]
        if result.SOPInstanceUID in source_uids or result.SeriesInstanceUID == source.SeriesInstanceUID:
            complaints.append("a UID of the source is used again")
    if len({result.SOPInstanceUID for result in derived}) < len(derived):
        complaints.append("a SOP Instance UID occurs twice")
    return complaints


def _differing_geometry(derived: Sequence[Dataset], target: SourceSeries) -> list[str]:
    """List where the derived slices do not lie exactly on their sources."""
    try:
        geometry, indices = place(derived, target.missing)
    except GeometryError as error:
        return [error.reason]
    complaints = []
    if not geometry.equals(target.volume.geometry) or indices != target.indices:
        complaints.append("the geometry differs from the target's")
    for result, source in zip(derived, target.datasets, strict=True):
        if not np.array_equal(result.ImagePositionPatient, source.ImagePositionPatient):
            complaints.append("a slice does not lie where its source lies")
    return complaints


def _structure(files: Sequence[Path]) -> tuple[list[str], set[str]]:
    """Run dciodvfy on every file: the errors, and the kinds of warning that the node answers for."""
    errors: list[str] = []
    warnings: set[str] = set()
    for file in files:
        found = validate(file)
        errors += found.errors
        warnings |= {text for text in found.warnings if not any(known in text for known in _EXPECTED_WARNINGS)}
    return errors, warnings
