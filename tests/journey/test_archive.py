"""The archive over ledger and spool: scopes, caches and what is refused."""

import pytest

from dicomnode.domain.archive import Query
from dicomnode.domain.errors import InvalidValue, NotInLedger
from dicomnode.domain.uids import SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID
from tests.builders import a_series, uid
from tests.web.holdings import Holdings, a_whole_study, encode

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
    assert holdings.archive.metadata(STUDY, SERIES, INSTANCE)[0] is before


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


def test_one_series_uid_in_two_studies_breaks_no_list(holdings: Holdings) -> None:
    holdings.receive(a_series(slices=2))
    holdings.receive(a_series(study="other", slices=2, SeriesInstanceUID=SERIES))
    found = {header["0020000D"]["Value"][0] for header in holdings.archive.search_studies(ALL)}
    assert STUDY in found
