"""Which facts a rule may ask for: the attributes of the DICOM dictionary (PS3.6), and what the node concludes."""

from collections.abc import Iterable, Mapping
from functools import cache

from pydicom._dicom_dict import DicomDictionary

from dicomnode.domain.facts import FactCatalogue, FactField
from dicomnode.imaging.derived_facts import DERIVED_OF_SERIES, DERIVED_OF_STUDY
from dicomnode.imaging.fact_paths import FactsWithPaths
from dicomnode.imaging.fact_types import fact_type

_FIRST_DATA_SET_GROUP = 0x0008
"""The groups before are not part of a data set: commands, file meta information, directories (PS3.7, PS3.10)."""

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

_SEQUENCES_OF_STUDY = frozenset(
    {
        "AdmittingDiagnosesCodeSequence",
        "IssuerOfAccessionNumberSequence",
        "IssuerOfPatientIDQualifiersSequence",
        "OtherPatientIDsSequence",
        "PatientBreedCodeSequence",
        "PatientSpeciesCodeSequence",
        "ProcedureCodeSequence",
        "ReasonForPerformedProcedureCodeSequence",
        "ReasonForVisitCodeSequence",
        "ReferencedStudySequence",
        "ReferringPhysicianIdentificationSequence",
        "RequestingServiceCodeSequence",
    }
)
"""Sequences of the same modules, in which a path of a study may begin."""


@cache
def fact_catalogue() -> FactCatalogue:
    """List all facts of a study and of a series, by name; paths and summaries are found, but not listed."""
    attributes = attribute_fields()
    of_study = [attributes[keyword] for keyword in (*_PATIENT, *_GENERAL_STUDY, *_PATIENT_STUDY)]
    return FactCatalogue(
        study=FactsWithPaths(
            _by_name([*of_study, *DERIVED_OF_STUDY]), summarised=frozenset(), sequences=_SEQUENCES_OF_STUDY
        ),
        series=FactsWithPaths({**attributes, **_by_name(DERIVED_OF_SERIES)}, summarised=frozenset(attributes)),
    )


@cache
def attribute_fields() -> Mapping[str, FactField]:
    """List the facts that are attributes, by keyword; two keywords of the dictionary name derived facts instead."""
    derived = {field.name for field in (*DERIVED_OF_STUDY, *DERIVED_OF_SERIES)}
    return _by_name(field for field in _attributes() if field.name not in derived)


def keywords_of_study() -> frozenset[str]:
    """List the attributes and sequences that are facts of a study."""
    return frozenset((*_PATIENT, *_GENERAL_STUDY, *_PATIENT_STUDY)) | _SEQUENCES_OF_STUDY


def _attributes() -> Iterable[FactField]:
    for tag, (vr, multiplicity, name, _retired, keyword) in sorted(DicomDictionary.items()):
        kind = fact_type(vr, multiplicity)
        if kind is None or not keyword or not name or tag >> 16 < _FIRST_DATA_SET_GROUP:
            continue
        description = f"{name} ({tag >> 16:04X},{tag & 0xFFFF:04X})"
        yield FactField(name=keyword, type=kind, description=description)


def _by_name(fields: Iterable[FactField]) -> Mapping[str, FactField]:
    return {field.name: field for field in fields}
