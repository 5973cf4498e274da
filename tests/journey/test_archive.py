"""The archive over ledger and spool: scopes, caches and what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from dicomnode.domain.archive import DicomJson, Query
from dicomnode.domain.errors import InvalidValue, NotInLedger
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from dicomnode.imaging.attributes import quiet_pydicom
from dicomnode.imaging.dicom_json import tag_of
from dicomnode.imaging.matching import matches
from dicomnode.journey.archive import LedgerArchive
from tests.builders import a_series, uid
from tests.conftest import FakeClock
from tests.ledger.test_search import counted_statements
from tests.web.holdings import Holdings, a_whole_study, empty_holdings, encode

STUDY, SERIES = StudyInstanceUID(uid("study")), SeriesInstanceUID(uid("study", "series"))
INSTANCE = SOPInstanceUID(uid("study", "series", "0"))
ALL = Query(limit=100)


def test_the_first_content_of_a_uid_is_what_is_looked_at(holdings: Holdings) -> None:
    (first,) = holdings.receive(a_series(slices=1))
    holdings.receive(a_series(slices=1, SeriesDescription="another content of the same UID"))
    assert holdings.archive.file(STUDY, SERIES, INSTANCE).read_bytes() == encode(first)
    assert len(holdings.archive.metadata(STUDY)) == 1


def test_a_header_is_read_once(holdings: Holdings) -> None:
    holdings.receive(a_series(slices=1))
    before = holdings.archive.metadata(STUDY, SERIES, INSTANCE)[0]
    holdings.archive.file(STUDY, SERIES, INSTANCE).unlink()
    assert LedgerArchive(holdings.ledger, holdings.spool).metadata(STUDY, SERIES, INSTANCE)[0] == before


@pytest.mark.parametrize(
    ("study", "series", "instance"),
    [
        ("1.2", None, None),
        (STUDY, "1.2", None),
        (STUDY, "1.2", INSTANCE),
        ("1.2", SERIES, INSTANCE),
        (STUDY, SERIES, "1.2"),
    ],
)
def test_nothing_is_found_outside_of_its_place(
    holdings: Holdings, study: str, series: str | None, instance: str | None
) -> None:
    holdings.receive(a_series(slices=1))
    with pytest.raises(NotInLedger):
        holdings.archive.instances(
            StudyInstanceUID(study),
            None if series is None else SeriesInstanceUID(series),
            None if instance is None else SOPInstanceUID(instance),
        )


def test_an_instance_without_pixels_has_no_frames(holdings: Holdings) -> None:
    (dataset,) = a_series(slices=1)
    del dataset.PixelData
    holdings.receive([dataset])
    with pytest.raises(NotInLedger, match="no pixel data"):
        holdings.archive.frame(STUDY, SERIES, INSTANCE, 1, as_stored=False)


def test_a_condition_is_refused_rather_than_left_out(holdings: Holdings) -> None:
    holdings.receive(a_series(slices=1))
    for matching in ({"SeriesDescription": "x"}, {"PatientAge": "040Y"}):
        with pytest.raises(InvalidValue):
            holdings.archive.search_studies(Query(limit=10, matching=matching))


def test_a_query_for_a_name_does_not_look_at_every_study(holdings: Holdings) -> None:
    for number in range(5):
        holdings.receive(a_series(study=f"study {number}", slices=1, PatientName=f"Person^{number}"))
    for instance in holdings.archive.instances(StudyInstanceUID(uid("study 0"))):
        holdings.spool.locate(instance.path).unlink()
    (found,) = holdings.archive.search_studies(Query(limit=10, matching={"PatientName": "Person^3"}))
    assert found["0020000D"]["Value"] == [uid("study 3")]


def test_the_path_wins_over_the_query(holdings: Holdings) -> None:
    holdings.receive(a_series(slices=1))
    holdings.receive(a_series(study="other", slices=1))
    query = Query(limit=10, matching={"StudyInstanceUID": uid("other")})
    (found,) = holdings.archive.search_series(query, STUDY)
    assert found["0020000D"]["Value"] == [STUDY]


def test_more_studies_than_are_read_at_a_time_are_all_found(holdings: Holdings) -> None:
    for number in range(105):
        holdings.receive(a_series(study=f"study {number}", slices=1, shape=(2, 2)))
    found = {header["0020000D"]["Value"][0] for header in holdings.archive.search_studies(Query(limit=1000))}
    assert found == {uid(f"study {number}") for number in range(105)}


def test_a_derived_series_counts_in_its_study(holdings: Holdings) -> None:
    study, _target, derived = a_whole_study(holdings)
    (found,) = holdings.archive.search_studies(ALL)
    assert found["00201208"]["Value"] == [24]
    assert {
        header["0020000E"]["Value"][0] for header in holdings.archive.search_series(ALL, StudyInstanceUID(study))
    } >= {derived}


def test_a_study_of_which_nothing_is_in_use_breaks_no_list(holdings: Holdings) -> None:
    holdings.receive(a_series(slices=2))
    moved = a_series(slices=2, StudyInstanceUID=uid("moved"), SeriesInstanceUID=uid("moved", "series"))
    holdings.receive(moved)
    (found,) = holdings.archive.search_studies(ALL)
    assert found["0020000D"]["Value"] == [STUDY]
    assert len(holdings.archive.search_series(ALL)) == 1
    assert len(holdings.archive.search_instances(ALL)) == 2


def test_one_series_uid_in_two_studies_is_listed_in_both(holdings: Holdings) -> None:
    holdings.receive(a_series(slices=2))
    holdings.receive(a_series(study="other", slices=3, SeriesInstanceUID=SERIES))
    other = StudyInstanceUID(uid("other"))
    assert {_value(one, "0020000D"): _value(one, "00201208") for one in holdings.archive.search_studies(ALL)} == {
        STUDY: 2,
        other: 3,
    }
    assert {_value(one, "0020000D"): _value(one, "00201209") for one in holdings.archive.search_series(ALL)} == {
        STUDY: 2,
        other: 3,
    }
    assert [_value(one, "0020000E") for one in holdings.archive.search_series(ALL, other)] == [SERIES]
    assert len(holdings.archive.search_instances(ALL, other, SERIES)) == 3
    assert len(holdings.archive.search_instances(ALL)) == 5


def test_a_list_takes_as_many_statements_however_long_it_is(holdings: Holdings) -> None:
    asked = []
    for number in range(1, 31):
        holdings.receive(a_series(study=f"study {number}", slices=2, shape=(2, 2)))
        if number in (5, 30):
            search = (holdings.archive.search_studies, holdings.archive.search_series)
            counts = []
            for one in (*search, *search):
                with counted_statements(holdings.ledger) as statements:
                    assert len(one(ALL)) == number
                counts.append(len(statements))
            asked.append(counts[2:])
    assert asked == [[2, 2], [2, 2]]


def test_what_is_included_belongs_to_the_level(holdings: Holdings) -> None:
    attributes: dict[str, Any] = {
        "PatientAge": "040Y",
        "ProtocolName": "head",
        "InstitutionName": "Clinic",
        "SliceLocation": 7,
    }
    item = Dataset()
    item.ScheduledProcedureStepID = "step"
    holdings.receive(a_series(slices=1, RequestAttributesSequence=[item], **attributes))
    names = (*attributes, "00400275.00400009", "StudyDescription", "NoSuchAttribute", "PixelData")
    query = Query(limit=10, include=names)
    age, protocol, institution, location, requests = map(tag_of, (*attributes, "RequestAttributesSequence"))

    (study,) = holdings.archive.search_studies(query)
    assert study[age]["Value"] == ["040Y"]
    assert {protocol, institution, location, requests}.isdisjoint(study)
    (series,) = holdings.archive.search_series(query, STUDY)
    assert series[protocol]["Value"] == ["head"]
    assert series[requests]["Value"][0]["00400009"]["Value"] == ["step"]
    assert "00081030" in series
    assert location not in series
    (instance,) = holdings.archive.search_instances(query, STUDY, SERIES)
    assert instance[location]["Value"] == [7]
    assert "7FE00010" not in instance
    (everything,) = holdings.archive.search_instances(Query(limit=10, include=("all",)))
    header = holdings.archive.metadata(STUDY)[0]
    assert everything.keys() >= header.keys() - {"7FE00010", "00080005"}
    (all_of_study,) = holdings.archive.search_studies(Query(limit=10, include=("all",)))
    assert age in all_of_study
    assert location not in all_of_study


def test_the_usual_attributes_cost_no_whole_header(holdings: Holdings) -> None:
    holdings.receive(a_series(slices=1))
    holdings.archive.search_studies(ALL)
    with counted_statements(holdings.ledger) as statements:
        holdings.archive.search_studies(Query(limit=10, include=("StudyDescription", "Modality", "00100030")))
    assert not any("document" in statement for statement in statements)


PATIENTS = [
    ("Müller^Åsa", "A-1", "20260101"),
    ("MUSTER^Max=山田", "A-12", "20260201"),
    ("", "", ""),
    ("muster^anna", "a-1", "2026.02.01"),
    ("x*y^?", "%_", "20251231"),
]
"""Name, ID and date of study of each; one date has a form from before the standard."""


@pytest.fixture(scope="module")
def searched(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerArchive]:
    """Some studies that differ in what can be looked for; tests only read them."""
    clock = FakeClock(datetime(2026, 3, 1, 10, 15, tzinfo=UTC))
    with empty_holdings(sqlite_template, tmp_path_factory.mktemp("searched"), clock) as holdings:
        for number, (name, patient, date) in enumerate(PATIENTS):
            who: dict[str, Any] = {
                "PatientName": name,
                "PatientID": patient,
                "StudyDate": date,
                "AccessionNumber": f"{number}",
            }
            with quiet_pydicom():
                holdings.receive(a_series(study=f"{number}", slices=2, shape=(2, 2), **who))
                holdings.receive(a_series(study=f"{number}", series="sr", slices=1, shape=(2, 2), Modality="SR", **who))
            clock.advance(1)
        yield holdings.archive


UIDS = st.sampled_from(["", "*", uid("0"), uid("3"), f"{uid('0')},{uid('4')}", f"{uid('1')}\\{uid('2')}", "1.9"])
CONDITIONS = {
    "StudyInstanceUID": UIDS,
    "PatientName": st.sampled_from(
        ["", "*", "muster*", "MUSTER^MAX", "*ü*", "Müller^Åsa", "山*", "M?ller*", "x*", "^"]
    ),
    "PatientID": st.sampled_from(["", "A-1", "a-1", "A-1*", "*-1*", "A-?", "%_", "%", " A-1"]),
    "AccessionNumber": st.sampled_from(["0", "3", "?", "*4", "9"]),
    "StudyDate": st.sampled_from(
        ["20260101", "20260102-", "-20260131", "20260101-20260201", "2026.02.01", "2026*", "-"]
    ),
    "ModalitiesInStudy": st.sampled_from(["MR", "SR", "CT"]),
}


@settings(deadline=None, max_examples=60)
@given(
    st.fixed_dictionaries({}, optional=CONDITIONS),
    st.integers(min_value=1, max_value=6),
    st.integers(min_value=0, max_value=3),
)
def test_looking_in_the_ledger_first_changes_no_answer(
    searched: LedgerArchive, matching: dict[str, str], limit: int, offset: int
) -> None:
    wanted = {tag_of(name): value for name, value in matching.items()}
    for search in (searched.search_studies, searched.search_series, searched.search_instances):
        expected = [one for one in search(ALL) if matches(one, wanted)]
        assert list(search(Query(limit=100, matching=matching))) == expected
        assert list(search(Query(limit=limit, offset=offset, matching=matching))) == expected[offset : offset + limit]


def _value(answer: DicomJson, tag: str) -> object:
    return answer[tag]["Value"][0]
