"""Who may not see names gets headers, searches and pixels without an identity, and no whole file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomnode.domain.archive import Query
from dicomnode.domain.errors import InvalidValue, NotAllowed
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.journey.discreet import DiscreetArchive, says_who
from tests.builders import a_series, uid
from tests.web.holdings import Holdings

STUDY, SERIES, INSTANCE = (
    StudyInstanceUID(uid("study")),
    SeriesInstanceUID(uid("study", "series")),
    SOPInstanceUID(uid("study", "series", "0")),
)
PRIVATE = ("Testperson", "Tilda", "T-0001", "Elsewhere", "SECRET")


@pytest.fixture
def discreet(holdings: Holdings) -> DiscreetArchive:
    other = Dataset()
    other.PatientID = "Elsewhere-1"
    datasets = a_series(slices=2, OtherPatientIDsSequence=[other], PatientSex="F", PatientAge="040Y")
    for dataset in datasets:
        request = Dataset()
        request.PatientName = "Testperson^Tilda"
        request.ScheduledProcedureStepID = "STEP"
        dataset.RequestAttributesSequence = [request]
        block = dataset.private_block(0x0011, "SOMEBODY", create=True)
        block.add_new(0x01, "LO", "SECRET Testperson")
    holdings.receive(datasets)
    return DiscreetArchive(holdings.archive)


def test_headers_and_searches_name_nobody_and_keep_the_rest(discreet: DiscreetArchive) -> None:
    query = Query(limit=10, include=("all",))
    for told in (
        discreet.metadata(STUDY),
        discreet.metadata(STUDY, SERIES, INSTANCE),
        discreet.search_studies(query),
        discreet.search_series(query, STUDY),
        discreet.search_instances(query, STUDY, SERIES),
    ):
        assert told
        text = json.dumps(list(told))
        assert not any(private in text for private in PRIVATE)
    (header, _second) = discreet.metadata(STUDY, SERIES)
    assert header["00100040"]["Value"] == ["F"]
    assert header["00101010"]["Value"] == ["040Y"]
    assert header["00400275"]["Value"] == [{"00400009": {"vr": "SH", "Value": ["STEP"]}}]
    assert header["0020000D"]["Value"] == [STUDY]


def test_pixels_are_given_and_files_are_not(discreet: DiscreetArchive) -> None:
    assert discreet.frame(STUDY, SERIES, INSTANCE, 1, False).data
    assert len(discreet.instances(STUDY)) == 2
    assert discreet.find(INSTANCE).series_instance_uid == SERIES
    for read in (discreet.file, discreet.explicit):
        with pytest.raises(NotAllowed):
            read(STUDY, SERIES, INSTANCE)
    with pytest.raises(NotAllowed):
        discreet.bulk_data(STUDY, SERIES, INSTANCE, "00420011")


@pytest.mark.parametrize(
    "name",
    ["PatientName", "PatientID", "00100010", "00100020", "OtherPatientIDs", "RequestAttributesSequence.PatientID"],
)
def test_nobody_is_searched_for(discreet: DiscreetArchive, name: str) -> None:
    query = Query(limit=10, matching={name: "T*"})
    for search in (discreet.search_studies, discreet.search_series, discreet.search_instances):
        with pytest.raises(NotAllowed):
            search(query)


def test_what_says_nothing_of_a_patient_is_searched_by(discreet: DiscreetArchive) -> None:
    assert len(discreet.search_studies(Query(limit=10, matching={"AccessionNumber": "ACC-1"}))) == 1
    with pytest.raises(InvalidValue):
        discreet.search_studies(Query(limit=10, matching={"NoSuchThing": "1"}))


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_private_groups_and_the_patient_group_say_who(group: int, element: int) -> None:
    tag = f"{group:04X}{element:04X}"
    known = {"00100040", "00101010", "00101020", "00101030"}
    assert says_who(tag) == (group % 2 == 1 or (group == 0x0010 and tag not in known))
