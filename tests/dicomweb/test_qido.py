"""QIDO-RS over a real ledger and spool (PS3.18 section 10.6)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dicomnode.dicomweb.service import dicomweb_service
from tests.builders import a_series, uid
from tests.conftest import FakeClock
from tests.web.holdings import Browser, Holdings, a_whole_study, empty_holdings

STUDY_UID, SERIES_UID, INSTANCE_UID, NAME = "0020000D", "0020000E", "00080018", "00100010"
OHIF_LIST = "limit=101&offset=0&fuzzymatching=false&includefield=00081030%2C00080060%2C00080090%2C00100030"


@pytest.fixture(scope="module")
def browser(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser before two studies; the tests only read."""
    clock = FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    with empty_holdings(sqlite_template, tmp_path_factory.mktemp("qido"), clock) as holdings:
        a_whole_study(holdings)
        receive_another(holdings)
        yield Browser(dicomweb_service(holdings.archive))


def receive_another(holdings: Holdings) -> None:
    holdings.receive(
        a_series(
            study="other",
            series="only",
            slices=2,
            PatientName="Yamada^Tarou=山田^太郎",
            PatientID="T-0002",
            AccessionNumber="ACC-2",
            StudyDate="20260401",
            StudyDescription="CT thorax",
            Modality="CT",
        )
    )


def found(browser: Browser, path: str) -> list[dict[str, Any]]:
    response = browser.get(path, headers={"Accept": "application/dicom+json"})
    if response.status_code == 204:
        return []
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/dicom+json"
    assert response.headers["cache-control"].startswith("private")
    return list(response.json())


def uids(answers: list[dict[str, Any]], tag: str) -> list[str]:
    return [answer[tag]["Value"][0] for answer in answers]


def test_a_study_is_told_with_what_a_viewer_lists(browser: Browser) -> None:
    (study,) = found(browser, f"/studies?StudyInstanceUID={uid('study')}")
    told = {tag: element.get("Value") for tag, element in study.items()}
    assert told["00080020"] == ["20260301"]
    assert told["00080050"] == ["ACC-1"]
    assert told["00080061"] == ["MR"]
    assert told[NAME] == [{"Alphabetic": "Testperson^Tilda"}]
    assert told["00100020"] == ["T-0001"]
    assert told["00100030"] == ["19700102"]
    assert told["00201206"] == [3]
    assert told["00201208"] == [24]
    assert told["00081190"] == [f"http://127.0.0.1:8080/studies/{uid('study')}"]


def test_the_list_of_ohif_is_answered_latest_first(browser: Browser) -> None:
    assert set(uids(found(browser, f"/studies?{OHIF_LIST}"), STUDY_UID)) == {uid("study"), uid("other")}


@pytest.mark.parametrize(
    "query",
    [
        "PatientName=Yamada*",
        "PatientName=%2Ayamada%2A",
        "PatientName=Yamada%5ETarou",
        "PatientName=%E5%B1%B1%E7%94%B0*",
        "00100020=T-0002",
        "PatientID=T-000?&AccessionNumber=*2",
        "AccessionNumber=ACC-2",
        "StudyDate=20260315-",
        "StudyDate=20260401",
        "StudyDescription=*thorax*",
        "ModalitiesInStudy=CT",
        "PatientName=&ModalitiesInStudy=CT",
    ],
)
def test_each_key_finds_its_study(browser: Browser, query: str) -> None:
    assert uids(found(browser, f"/studies?{query}"), STUDY_UID) == [uid("other")]


@pytest.mark.parametrize("query", ["PatientID=T-9", "PatientName=Yamada", "StudyInstanceUID=1.2.3", "limit=0"])
def test_nothing_found_is_no_content(browser: Browser, query: str) -> None:
    assert browser.get(f"/studies?{query}").status_code == 204


def test_a_list_of_uids_finds_each_of_them(browser: Browser) -> None:
    both = {uid("study"), uid("other")}
    for query in ("%2C".join(both), "&StudyInstanceUID=".join(both), "%5C".join(both)):
        assert set(uids(found(browser, f"/studies?StudyInstanceUID={query}"), STUDY_UID)) == both


def test_limit_and_offset_cut_the_answer_and_say_that_there_is_more(browser: Browser) -> None:
    first = browser.get("/studies?limit=1")
    second = browser.get("/studies?limit=1&offset=1")
    assert uids(first.json(), STUDY_UID) != uids(second.json(), STUDY_UID)
    assert "additional results" in first.headers["warning"]
    assert "warning" not in second.headers


def test_fuzzy_matching_is_not_silently_ignored(browser: Browser) -> None:
    assert "Only literal matching" in browser.get("/studies?fuzzymatching=true").headers["warning"]


@pytest.mark.parametrize("query", ["limit=-1", "offset=x", "PatientNam=x", "SliceThickness=3", "00100020.00100010=x"])
def test_a_query_that_cannot_be_answered_as_asked_is_refused(browser: Browser, query: str) -> None:
    response = browser.get(f"/studies?{query}")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["help"]


def test_only_json_is_given(browser: Browser) -> None:
    response = browser.get("/studies", headers={"Accept": 'multipart/related; type="application/dicom+xml"'})
    assert response.status_code == 406
    assert response.json()["title"] == "NotAcceptable"


def test_the_series_of_a_study_and_which_of_them_are_synthetic(browser: Browser) -> None:
    series = found(browser, f"/studies/{uid('study')}/series?includefield=0008103E%2C00080021")
    assert uids(series, SERIES_UID) == [uid("study", "t1"), uid("study", "t2"), uid("study", "derived")]
    assert [answer["00201209"]["Value"] for answer in series] == [[8], [8], [8]]
    assert [answer.get("0008001C", {}).get("Value") for answer in series] == [None, None, ["YES"]]
    assert NAME not in series[0]
    assert series[2]["00081190"]["Value"][0].endswith(f"/studies/{uid('study')}/series/{uid('study', 'derived')}")
    assert uids(found(browser, f"/studies/{uid('study')}/series?SeriesNumber=3"), SERIES_UID) == [uid("study", "t2")]
    assert found(browser, "/studies/1.2.3/series") == []


def test_further_attributes_come_where_they_are_asked_for(browser: Browser) -> None:
    path = f"/studies/{uid('study')}/series"
    asked = found(browser, f"{path}?includefield=Manufacturer&includefield=00080020,SliceThickness,nonsense")
    assert [(answer["00080070"]["Value"], answer["00080020"]["Value"]) for answer in asked[:2]] == [
        (["Maker"], ["20260301"])
    ] * 2
    assert "00180050" not in asked[0]
    everything = found(browser, f"{path}/{uid('study', 't1')}/instances?includefield=all&limit=1")
    assert everything[0]["00180050"]["Value"] == [3]
    assert "7FE00010" not in everything[0]


def test_series_of_all_studies_come_with_their_study(browser: Browser) -> None:
    series = found(browser, "/series?Modality=CT")
    assert uids(series, SERIES_UID) == [uid("other", "only")]
    assert series[0][NAME]["Value"][0]["Ideographic"] == "山田^太郎"


def test_the_instances_of_a_series(browser: Browser) -> None:
    path = f"/studies/{uid('study')}/series/{uid('study', 'derived')}/instances"
    instances = found(browser, path)
    assert uids(instances, INSTANCE_UID) == [uid("study", "derived", str(index)) for index in range(8)]
    assert {answer["00083002"]["Value"][0] for answer in instances} == {"1.2.840.10008.1.2.1"}
    assert [answer["00280010"]["Value"] for answer in instances] == [[32]] * 8
    assert uids(found(browser, f"{path}?InstanceNumber=3"), INSTANCE_UID) == [uid("study", "derived", "2")]
    assert uids(found(browser, f"{path}?limit=2&offset=6"), INSTANCE_UID) == [
        uid("study", "derived", "6"),
        uid("study", "derived", "7"),
    ]


def test_the_instances_of_a_study_and_of_all(browser: Browser) -> None:
    assert len(found(browser, f"/studies/{uid('study')}/instances")) == 24
    assert len(found(browser, "/instances?PatientID=T-0002")) == 2
    assert len(found(browser, f"/instances?SOPInstanceUID={uid('study', 't1', '4')}")) == 1


def test_a_path_that_is_no_uid_is_refused(browser: Browser) -> None:
    assert browser.get("/studies/abc/series").status_code == 400


def test_a_study_whose_file_is_damaged_is_still_listed(holdings: Holdings) -> None:
    receive_another(holdings)
    browser = Browser(dicomweb_service(holdings.archive))
    for instance in holdings.archive.instances(uid("other")):  # type: ignore[arg-type]
        holdings.spool.locate(instance.path).unlink()
    (study,) = found(browser, f"/studies?StudyInstanceUID={uid('other')}")
    assert study["00201208"]["Value"] == [2]
