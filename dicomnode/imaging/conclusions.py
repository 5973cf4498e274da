"""Everything that the node concludes of a series, by the name of the fact."""

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset

from dicomnode.domain.facts import Confidence
from dicomnode.domain.study import FactValue
from dicomnode.imaging.acquisition_type import acquisition_type_of
from dicomnode.imaging.body_part import body_part_of
from dicomnode.imaging.classify import classify
from dicomnode.imaging.contrast_agent import contrast_of, contrast_phase_of
from dicomnode.imaging.finding import Finding
from dicomnode.imaging.orientation import Orientation, orientation_of
from dicomnode.imaging.primary import is_primary


def conclusions(instances: Sequence[Dataset], geometry: Mapping[str, FactValue]) -> Mapping[str, Finding]:
    """Draw all conclusions from the instances of one series and its measures."""
    classified, contrast = classify(instances), contrast_of(instances)
    plane = _plane(orientation_of(instances))
    return {
        "Weighting": Finding(
            value=classified.weighting.value, evidence=classified.evidence, confidence=classified.confidence
        ),
        "BodyPart": body_part_of(instances),
        "ContrastEnhanced": Finding(
            value=contrast.value.value, evidence=contrast.evidence, confidence=contrast.confidence
        ),
        "ContrastPhase": contrast_phase_of(instances, contrast),
        "Orientation": plane,
        "Plane": plane,
        "AcquisitionType": acquisition_type_of(instances, geometry),
        "IsPrimary": is_primary(instances, classified),
    }


def _plane(orientation: Orientation) -> Finding:
    return Finding(
        value=orientation.value, evidence="Image Orientation (Patient) of all images", confidence=Confidence.HIGH
    )
