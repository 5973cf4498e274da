"""Which facts a rule may ask for: the attributes of the DICOM dictionary (PS3.6), and what the node concludes."""

from collections.abc import Iterable, Mapping
from functools import cache

from pydicom._dicom_dict import DicomDictionary

from dicomnode.domain.facts import FactCatalogue, FactField, FactType
from dicomnode.imaging.contrast_agent import ContrastEnhanced
from dicomnode.imaging.orientation import Orientation
from dicomnode.imaging.weighting import Weighting

_FIRST_DATA_SET_GROUP = 0x0008
"""The groups before are not part of a data set: commands, file meta information, directories (PS3.7, PS3.10)."""

_ONE_VALUE: Mapping[FactType, tuple[str, ...]] = {
    FactType.TEXT: ("LO", "SH", "PN", "ST", "LT", "UT", "UC", "UR", "TM", "DT"),
    FactType.CODE: ("CS", "UI", "AE"),
    FactType.NUMBER: ("DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "UV", "SV", "US or SS", "AS"),
    FactType.DATE: ("DA",),
}
"""VRs a rule can compare (PS3.5 section 6.2); the others hold sequences, bytes or tags."""
_TYPE_OF_VR = {vr: fact_type for fact_type, vrs in _ONE_VALUE.items() for vr in vrs}

_PATIENT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "TypeOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientSex",
    "QualityControlSubject",
    "OtherPatientIDs",
    "OtherPatientNames",
    "EthnicGroup",
    "PatientComments",
    "PatientSpeciesDescription",
    "PatientBreedDescription",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
)
"""Patient module, PS3.3 C.7.1.1, with two retired attributes that are still sent (OtherPatientIDs, EthnicGroup)."""
_GENERAL_STUDY = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "ConsultingPhysicianName",
    "StudyID",
    "AccessionNumber",
    "StudyDescription",
    "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy",
    "RequestingService",
)
"""General Study module, PS3.3 C.7.2.1."""
_PATIENT_STUDY = (
    "AdmittingDiagnosesDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientBodyMassIndex",
    "MedicalAlerts",
    "Allergies",
    "SmokingStatus",
    "PregnancyStatus",
    "LastMenstrualDate",
    "PatientState",
    "Occupation",
    "AdditionalPatientHistory",
    "AdmissionID",
    "ServiceEpisodeID",
    "ServiceEpisodeDescription",
    "PatientSexNeutered",
    "ReasonForVisit",
)
"""Patient Study module, PS3.3 C.7.2.2."""

_DERIVED_OF_STUDY = (
    FactField(
        name="NumberOfSeries",
        type=FactType.NUMBER,
        description="how many series the study has, without outputs of this node that came back",
    ),
    FactField(
        name="Modalities",
        type=FactType.TEXT_LIST,
        description="the modalities in the study, without outputs of this node that came back",
    ),
)
_DERIVED_OF_SERIES = (
    FactField(
        name="Weighting",
        type=FactType.CODE,
        description="what an MR series is weighted by, concluded from its acquisition; OTHER for other modalities",
        values=tuple(weighting.value for weighting in Weighting),
    ),
    FactField(
        name="ContrastEnhanced",
        type=FactType.CODE,
        description="whether a contrast agent was given; UNKNOWN where only the description speaks of one",
        values=tuple(contrast.value for contrast in ContrastEnhanced),
    ),
    FactField(
        name="NumberOfInstances",
        type=FactType.NUMBER,
        description="how many images the series has: instances, or frames of multi-frame instances",
    ),
    FactField(
        name="Orientation",
        type=FactType.CODE,
        description="the body plane nearest to the slices; OBLIQUE from 30 degrees off, MIXED when slices cross",
        values=tuple(orientation.value for orientation in Orientation),
    ),
)


@cache
def fact_catalogue() -> FactCatalogue:
    """List all facts of a study and of a series, by name."""
    attributes = _by_name(_attributes())
    of_study = (attributes[keyword] for keyword in (*_PATIENT, *_GENERAL_STUDY, *_PATIENT_STUDY))
    return FactCatalogue(
        study=_by_name([*of_study, *_DERIVED_OF_STUDY]),
        series={**attributes, **_by_name(_DERIVED_OF_SERIES)},
    )


def _attributes() -> Iterable[FactField]:
    for tag, (vr, multiplicity, name, _retired, keyword) in sorted(DicomDictionary.items()):
        fact_type = _fact_type(vr, multiplicity)
        if fact_type is None or not keyword or not name or tag >> 16 < _FIRST_DATA_SET_GROUP:
            continue
        description = f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
        yield FactField(name=keyword, type=fact_type, description=description)


def _fact_type(vr: str, multiplicity: str) -> FactType | None:
    """Choose the type of an attribute; None for what a rule cannot compare."""
    one_value = _TYPE_OF_VR.get(vr)
    if one_value is None or multiplicity == "1":
        return one_value
    return FactType.NUMBER_LIST if one_value is FactType.NUMBER else FactType.TEXT_LIST


def _by_name(fields: Iterable[FactField]) -> Mapping[str, FactField]:
    return {field.name: field for field in fields}
