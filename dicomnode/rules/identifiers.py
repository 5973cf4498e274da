"""Which facts name a person or a visit, so that their values stay out of texts."""

_ABOUT_THE_BODY = frozenset(
    {
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "PatientAge",
        "PatientOrientation",
        "PatientPosition",
        "PatientSex",
        "PatientSize",
        "PatientWeight",
    }
)
_WORDS = (
    "Accession",
    "Address",
    "Admission",
    "Admitting",
    "Comment",
    "FillerOrder",
    "Interpret",
    "Observer",
    "OrderEnter",
    "Patient",
    "Performer",
    "Person",
    "Phone",
    "Physician",
    "PlacerOrder",
    "Resid",
    "Reviewer",
    "Telecom",
    "Telephone",
    "Visit",
)
"""Keywords with one of these name a person, a visit, or hold what somebody wrote about them."""
_OTHERS = frozenset(
    {
        "Allergies",
        "BranchOfService",
        "CameraOwnerName",
        "ContentCreatorName",
        "DistributionName",
        "DocumentAuthorTrial",
        "EthnicGroup",
        "EvaluatorName",
        "LastMenstrualDate",
        "MedicalAlerts",
        "MedicalRecordLocator",
        "MilitaryRank",
        "NamesOfIntendedRecipientsOfResults",
        "Occupation",
        "OperatorsName",
        "PregnancyStatus",
        "ResponsibleOrganization",
        "SelectorPNValue",
        "ServiceEpisodeDescription",
        "ServiceEpisodeID",
        "SmokingStatus",
        "SpecialNeeds",
        "StudyID",
        "VerbalSourceTrial",
    }
)


def is_identifying(name: str) -> bool:
    """Tell whether a value of this fact could name a person or a visit (after PS3.15 Table E.1-1, all VRs PN).

    It hides too much rather than too little: a keyword counts by its words, unless it is known to describe only the
    body or its position.
    """
    return name in _OTHERS or (name not in _ABOUT_THE_BODY and any(word in name for word in _WORDS))
