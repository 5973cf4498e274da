from datetime import UTC, date, datetime

from dicomnode.domain.association import Association
from dicomnode.domain.study import Arrival, FactValue, StudySource
from dicomnode.domain.uids import AETitle, SeriesInstanceUID
from dicomnode.imaging.series_facts import study_facts
from tests.builders import T1, T2, a_series, uid

STUDY = [*a_series(series="t1", slices=1, **T1), *a_series(series="t2", slices=1, SeriesNumber=2, **T2)]


def _arrival(series: str, calling: str, hour: int) -> Arrival:
    return Arrival(
        series_instance_uid=SeriesInstanceUID(uid("study", series)),
        association=Association(calling_ae=AETitle(calling), called_ae=AETitle("NODE"), peer_address="192.0.2.7"),
        first_received_at=datetime(2026, 3, 1, hour, 59, tzinfo=UTC),
        last_received_at=datetime(2026, 3, 1, hour, 59, 30, tzinfo=UTC),
    )


def test_a_series_tells_who_sent_it_and_the_study_who_sent_any_of_it() -> None:
    source = StudySource(arrivals=(_arrival("t2", "SCANNER2", 9), _arrival("t1", "SCANNER1", 7)))
    study = study_facts(STUDY, source)
    names = ("SourceAE", "CalledAE", "SourceAddress", "ReceivedDate", "ReceivedHour")
    every = [study.values, *(series.values for series in study.series)]
    found: list[list[FactValue]] = [[values[name] for name in names] for values in every]
    rest = [("NODE",), ("192.0.2.7",), date(2026, 3, 1)]
    assert found == [
        [("SCANNER1", "SCANNER2"), *rest, 7],
        [("SCANNER1",), *rest, 7],
        [("SCANNER2",), *rest, 9],
    ]


def test_without_a_source_those_facts_are_absent() -> None:
    study = study_facts(STUDY)
    assert study.values.get("SourceAE") is None
    assert study.series[0].values.get("ReceivedHour") is None
