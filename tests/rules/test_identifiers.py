import pytest
from pydicom._dicom_dict import DicomDictionary

from dicomnode.rules.identifiers import is_identifying


@pytest.mark.parametrize(
    "name",
    [
        "AccessionNumber",
        "IssuerOfPatientID",
        "OperatorsName",
        "OtherPatientIDs",
        "PatientComments",
        "PersonTelephoneNumbers",
        "PlacerOrderNumberImagingServiceRequest",
        "ReasonForVisit",
        "PatientAddress",
        "PatientBirthDate",
        "PatientID",
        "PatientName",
        "ReferringPhysicianName",
        "StudyID",
    ],
)
def test_what_names_a_person_or_a_visit_is_an_identifier(name: str) -> None:
    assert is_identifying(name)


@pytest.mark.parametrize(
    "name", ["BodyPartExamined", "ImagePositionPatient", "PatientAge", "PatientSex", "StudyDate", "Weighting"]
)
def test_what_describes_the_body_or_the_image_is_none(name: str) -> None:
    assert not is_identifying(name)


def test_every_name_of_a_person_in_the_dictionary_is_an_identifier() -> None:
    people = [keyword for vr, *_, keyword in DicomDictionary.values() if vr == "PN"]
    assert len(people) > 20
    assert [keyword for keyword in people if not is_identifying(keyword)] == []
