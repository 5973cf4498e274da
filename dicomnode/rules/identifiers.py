"""Which facts name a person or a visit, so that their values stay out of texts."""

from functools import lru_cache

from dicomnode.domain.facts import FactField, FactType

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


@lru_cache(maxsize=4096)
def is_identifying(name: str) -> bool:
    """Tell whether a value of this fact could name a person or a visit (after PS3.15 Table E.1-1, all VRs PN).

    It hides too much rather than too little: a keyword counts by its words, unless it is known to describe only the
    body or its position. A path into a sequence is what its parts are.
    """
    return any(_names_somebody(keyword) for keyword in name.split("."))


def is_hidden(fact: FactField) -> bool:
    """Tell whether values of a fact stay out of texts: also what a vendor wrote in words (PS3.15 E.3.10)."""
    is_private = fact.name.startswith("[")
    return is_identifying(fact.name) or (is_private and fact.type not in (FactType.NUMBER, FactType.NUMBER_LIST))


def _names_somebody(keyword: str) -> bool:
    return keyword in _OTHERS or (keyword not in _ABOUT_THE_BODY and any(word in keyword for word in _WORDS))
