"""What the ledger finds for a search: all that can be meant, and a page of it in few statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from dicomnode.ledger.reception import record_received
from dicomnode.ledger.search import Criteria, ListedSeries, list_instances_of, list_series_of, search_studies
from dicomnode.ledger.transaction import Ledger, Transaction
from tests.ledger.values import SERIES, STUDY, later, received

PATIENTS: tuple[dict[str, object], ...] = (
    {"patient_id": "A-1", "patient_name": "Müller^Åsa", "accession_number": "X1", "study_date": "20260101"},
    {"patient_id": "A-12", "patient_name": "Muster^Max", "accession_number": "x1", "study_date": "20260201"},
    {"patient_id": "", "patient_name": "", "accession_number": "", "study_date": ""},
)


@contextmanager
def counted_statements(ledger: Ledger) -> Iterator[list[str]]:
    """Note every statement that the ledger is asked."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    sa.event.listen(ledger.engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(ledger.engine, "before_cursor_execute", note)


def _receive_patients(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for number, header in enumerate(PATIENTS, start=1):
            study = f"1.2.826.{number}"
            record_received(tx, received(1, study=study, series=f"{study}.1", header=header, at=later(number)))


def _series(tx: Transaction, *studies: str) -> tuple[ListedSeries, ...]:
    return list_series_of(tx, search_studies(tx, Criteria(study_instance_uids=studies), limit=9, offset=0))


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        ({}, [3, 2, 1]),
        ({"study_instance_uids": ("1.2.826.2", "1.9")}, [2]),
        ({"series_instance_uids": ("1.2.826.1.1", "1.2.826.3.1")}, [3, 1]),
        ({"sop_instance_uids": ("1.2.826.3.1.1",)}, [3]),
        ({"sop_instance_uids": ("1.2.826.3.1.2",)}, []),
        ({"patient_id": "A-1"}, [1]),
        ({"part_of_patient_id": "a-1"}, [2, 1]),
        ({"accession_number": "X1"}, [1]),
        ({"part_of_accession_number": "X1"}, [2, 1]),
        ({"part_of_patient_name": "MUSTER"}, [2]),
        ({"part_of_patient_name": "%"}, []),
        ({"first_date": "20260115"}, [3, 2]),
        ({"last_date": "20260115"}, [3, 1]),
        ({"first_date": "20260201", "last_date": "20260201"}, [3, 2]),
        ({"patient_id": "A-1", "part_of_patient_name": "MUSTER"}, []),
    ],
)
def test_each_criterion_finds_its_studies_latest_first(
    ledger: Ledger, criteria: dict[str, Any], found: list[int]
) -> None:
    _receive_patients(ledger)
    with ledger.transaction() as tx:
        uids = search_studies(tx, Criteria(**criteria), limit=10, offset=0)
    assert uids == tuple(f"1.2.826.{number}" for number in found)


def test_studies_come_in_pages(ledger: Ledger) -> None:
    _receive_patients(ledger)
    with ledger.transaction() as tx:
        pages = [search_studies(tx, Criteria(), limit=2, offset=offset) for offset in (0, 2, 4)]
    assert pages == [("1.2.826.3", "1.2.826.2"), ("1.2.826.1",), ()]


def test_a_series_is_told_with_its_count_and_its_first_instance(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for number in (3, 1, 2):
            record_received(tx, received(number))
        record_received(tx, received(1, digest="f" * 64))
        record_received(tx, received(1, series="1.2.826.1.9", header={"series_number": 0, "modality": "SR"}))
        low, high = _series(tx, STUDY)
        assert (low.modality, low.instances, low.first.instance.series_instance_uid) == ("SR", 1, "1.2.826.1.9")
        assert (high.instances, high.first.instance.sop_instance_uid) == (3, f"{SERIES}.3")
        assert high.first.summary is None
        numbers = [one.instance.instance_number for one in list_instances_of(tx, [high])]
        named = list_instances_of(tx, [low, high], [f"{SERIES}.2", "1.9"])
    assert numbers == [1, 2, 3]
    assert [one.instance.sop_instance_uid for one in named] == [f"{SERIES}.2"]


def test_one_series_uid_in_two_studies_is_a_series_of_each(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        record_received(tx, received(2, study="1.2.826.2"))
        series = {one.first.instance.study_instance_uid: one for one in _series(tx, STUDY, "1.2.826.2")}
        assert {study: one.instances for study, one in series.items()} == {STUDY: 1, "1.2.826.2": 1}
        (only,) = list_instances_of(tx, [series[STUDY]])
    assert only.instance.sop_instance_uid == f"{SERIES}.1"


def test_a_page_of_studies_takes_as_many_statements_as_one_study(ledger: Ledger) -> None:
    counts = []
    for number in range(1, 31):
        study = f"1.2.826.{number}"
        with ledger.transaction() as tx:
            record_received(tx, received(1, study=study, series=f"{study}.1", at=later(number)))
        if number in (1, 30):
            with counted_statements(ledger) as asked, ledger.transaction() as tx:
                listed = list_series_of(tx, search_studies(tx, Criteria(), limit=100, offset=0))
                list_instances_of(tx, listed)
            assert len(listed) == number
            counts.append(len(asked))
    assert counts == [3, 3]
