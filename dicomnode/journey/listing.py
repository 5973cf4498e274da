"""Which attributes a search tells of a study, a series and an instance (PS3.18 section 10.6.3)."""

from collections.abc import Iterable, Mapping
from typing import Any

from dicomnode.domain.archive import DicomJson
from dicomnode.imaging.dicom_json import tag_of
from dicomnode.imaging.fact_catalogue import attribute_fields, fact_catalogue

_STUDY = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ModalitiesInStudy",
    "ReferringPhysicianName",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "NumberOfStudyRelatedSeries",
    "NumberOfStudyRelatedInstances",
)
"""Table 10.6.3-3."""
_SERIES = (
    "Modality",
    "SeriesDescription",
    "SeriesDate",
    "SeriesTime",
    "SeriesInstanceUID",
    "SeriesNumber",
    "BodyPartExamined",
    "FrameOfReferenceUID",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "NumberOfSeriesRelatedInstances",
    "SyntheticData",
    "ContributingEquipmentSequence",
)
"""Table 10.6.3-4, and what tells a synthetic series from an acquired one."""
_INSTANCE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "ImageType",
    "Rows",
    "Columns",
    "BitsAllocated",
    "NumberOfFrames",
    "AvailableTransferSyntaxUID",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)
"""Table 10.6.3-5, and where the image lies."""
_SAME_IN_A_SERIES = (
    "Laterality",
    "PerformingPhysicianName",
    "OperatorsName",
    "ProtocolName",
    "PatientPosition",
    "RequestAttributesSequence",
    "PerformedProcedureStepID",
    "PerformedProcedureStepDescription",
    "Manufacturer",
    "ManufacturerModelName",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "PositionReferenceIndicator",
)
"""The others of the modules General Series, General Equipment and Frame of Reference (PS3.3 C.7.3 to C.7.5)."""

STUDY_TAGS = tuple(map(tag_of, _STUDY))
SERIES_TAGS = tuple(map(tag_of, _SERIES))
INSTANCE_TAGS = tuple(map(tag_of, _INSTANCE))
SUMMARY_TAGS = STUDY_TAGS + SERIES_TAGS + INSTANCE_TAGS
"""What is kept of every header for lists; a change needs a migration that forgets the summaries that are kept."""


def study_level() -> frozenset[str]:
    """Name all attributes that are the same in every instance of a study."""
    attributes = {tag_of(name) for name in fact_catalogue().study if name in attribute_fields()}
    return frozenset(attributes).union(STUDY_TAGS)


def series_level() -> frozenset[str]:
    """Name all attributes that are the same in every instance of a series, with those of its study."""
    return study_level().union(SERIES_TAGS, map(tag_of, _SAME_IN_A_SERIES))


def only(header: DicomJson, tags: Iterable[str]) -> dict[str, Any]:
    """Take some attributes of a header, those that it has."""
    return {tag: header[tag] for tag in tags if tag in header}


def elements(values: Mapping[str, tuple[object, ...]]) -> dict[str, Any]:
    """Write attributes in the JSON model: keyword -> VR and values."""
    return {
        tag_of(keyword): {"vr": vr, "Value": [value for value in found if value != ""]}
        for keyword, (vr, *found) in values.items()
    }
