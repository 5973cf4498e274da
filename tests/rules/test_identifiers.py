import pytest
from pydicom._dicom_dict import DicomDictionary

from dicomnode.domain.facts import FactField, FactType
from dicomnode.rules.identifiers import is_hidden, is_identifying


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


def test_a_path_is_what_its_parts_are() -> None:
    assert is_identifying("RequestAttributesSequence.AccessionNumber")
    assert is_identifying("PatientID.all")
    assert not is_identifying("PatientAge.max")
    assert not is_identifying("ProcedureCodeSequence.CodeValue")


def test_what_a_vendor_wrote_in_words_is_hidden_and_its_numbers_are_not() -> None:
    def of(kind: FactType, name: str = "[SIEMENS MR HEADER]0019,0C") -> FactField:
        return FactField(name=name, type=kind, description="")

    assert is_hidden(of(FactType.TEXT))
    assert not is_hidden(of(FactType.NUMBER))
    assert is_hidden(of(FactType.NUMBER, "PatientID"))
    assert not is_hidden(of(FactType.TEXT, "SeriesDescription"))
