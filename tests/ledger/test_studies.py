"""What the pages and steps read: in an order that is the same on every database, and nothing that is not in use."""

import pytest

from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.study import Origin
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.ledger.derivations import finish_derivation, request_derivation, start_derivation
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.studies import (
    find_derived_series,
    find_instance,
    find_instances,
    find_study,
    list_derivations,
    list_instances,
    list_series,
    list_studies,
)
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import DERIVED_SERIES, REPORT, SERIES, STUDY, a_derivation, derived, later, received


def _receive_studies(ledger: Ledger, *headers: dict[str, object]) -> None:
    with ledger.transaction() as tx:
        for number, header in enumerate(headers, start=1):
            study = f"1.2.826.{number}"
            record_received(tx, received(1, study=study, series=f"{study}.1", header=header, at=later(number)))


def _found(ledger: Ledger, search: str = "", **page: int) -> list[str]:
    with ledger.transaction() as tx:
        return [study.patient_id for study in list_studies(tx, search=search, **page)]


def test_studies_are_listed_latest_first(ledger: Ledger) -> None:
    _receive_studies(ledger, {"patient_id": "A"}, {"patient_id": "B"}, {"patient_id": "C"})
    assert _found(ledger) == ["C", "B", "A"]
    assert _found(ledger, limit=2) == ["C", "B"]
    assert _found(ledger, limit=2, offset=2) == ["A"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("acc-7", ["A"]),
        ("testPERSON^t", ["B", "A"]),
        ("p_1", ["B"]),
        ("50%", ["C"]),
        ("%", ["C"]),
        ("_", ["B"]),
        ("\\", []),
        ("1.2.826.3", ["C"]),
        ("1.2.826", []),
        ("nobody", []),
    ],
)
def test_a_search_finds_numbers_names_and_the_exact_uid_and_knows_no_wildcards(
    ledger: Ledger, search: str, found: list[str]
) -> None:
    _receive_studies(
        ledger,
        {"patient_id": "A", "accession_number": "ACC-7"},
        {"patient_id": "B", "accession_number": "P_1"},
        {"patient_id": "C", "patient_name": "Growth^50%", "accession_number": "PX1"},
    )
    assert _found(ledger, search) == found


def test_an_unknown_study_is_not_in_the_ledger(ledger: Ledger) -> None:
    with ledger.transaction() as tx, pytest.raises(NotInLedger):
        find_study(tx, STUDY)


def test_series_are_listed_by_number_and_those_without_one_last(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for series, number in (("1.5", None), ("1.3", 10), ("1.4", 2)):
            record_received(tx, received(1, series=series, header={"series_number": number}))
            record_received(tx, received(2, series=series, header={"series_number": number}))
    with ledger.transaction() as tx:
        listed = list_series(tx, STUDY)
    assert [(series.series_number, series.series_instance_uid, series.instances) for series in listed] == [
        (2, "1.4", 2),
        (10, "1.3", 2),
        (None, "1.5", 2),
    ]
    assert {series.origin for series in listed} == {Origin.RECEIVED}


def test_instances_are_listed_by_number_and_those_without_one_last(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for number, instance_number in ((1, None), (2, 10), (3, 9)):
            record_received(tx, received(number, header={"instance_number": instance_number}))
        record_received(tx, received(1, series="1.9", header={"instance_number": 1}))
    with ledger.transaction() as tx:
        in_series, in_study = list_instances(tx, STUDY, SERIES), list_instances(tx, STUDY)
    assert [instance.sop_instance_uid for instance in in_series] == [f"{SERIES}.3", f"{SERIES}.2", f"{SERIES}.1"]
    assert {instance.series_instance_uid for instance in in_study} == {SERIES, "1.9"}
    assert len(in_study) == 4


def test_content_that_is_not_in_use_is_not_listed_or_counted(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        record_received(tx, received(1, digest="f" * 64))
    with ledger.transaction() as tx:
        (instance,) = list_instances(tx, STUDY)
        (series,) = list_series(tx, STUDY)
        assert find_instance(tx, f"{SERIES}.1") == instance
    assert instance.digest == f"{1:064x}"
    assert series.instances == 1


def test_an_instance_is_read_as_it_was_received(ledger: Ledger) -> None:
    receipt = received(1)
    with ledger.transaction() as tx:
        record_received(tx, receipt)
    with ledger.transaction() as tx:
        instance = find_instance(tx, SOPInstanceUID(f"{SERIES}.1"))
    assert (instance.digest, instance.path, instance.size) == (receipt.digest, receipt.path, receipt.size)
    assert (instance.sop_class_uid, instance.transfer_syntax_uid) == (
        receipt.header.sop_class_uid,
        receipt.transfer_syntax_uid,
    )
    assert (instance.origin, instance.instance_number) == (Origin.RECEIVED, 1)


def test_an_unknown_instance_is_not_in_the_ledger(ledger: Ledger) -> None:
    with ledger.transaction() as tx, pytest.raises(NotInLedger):
        find_instance(tx, "1.2.3")


def test_many_instances_are_found_at_once_and_unknown_ones_left_out(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for number in range(1, 602):
            record_received(tx, received(number))
        record_received(tx, received(1, digest="f" * 64))
    asked = [SOPInstanceUID(f"{SERIES}.{number}") for number in range(1, 701)]
    with ledger.transaction() as tx:
        found = find_instances(tx, asked)
        assert find_instances(tx, []) == {}
        assert found[asked[0]] == find_instance(tx, asked[0])
    assert set(found) == set(asked[:601])
    assert found[asked[0]].digest == f"{1:064x}"


def test_the_series_of_a_derivation_is_known_once_it_is_made(ledger: Ledger) -> None:
    derivation = a_derivation()
    with ledger.transaction() as tx:
        request_derivation(tx, derivation)
        with pytest.raises(NotInLedger):
            find_derived_series(tx, derivation.key)
        finish_derivation(tx, derivation, derived(), REPORT, later(9))
        assert find_derived_series(tx, derivation.key) == DERIVED_SERIES
        with pytest.raises(NotInLedger):
            find_derived_series(tx, "derive:unknown")


def test_a_study_shows_the_states_of_its_derivations(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        request_derivation(tx, a_derivation("derive:one"))
        request_derivation(tx, a_derivation("derive:two", rule="T2"))
        start_derivation(tx, "derive:two", later(1))
    with ledger.transaction() as tx:
        assert sorted(find_study(tx, STUDY).derivation_states) == ["running", "waiting"]


def test_a_derivation_is_listed_with_its_inputs_and_report(ledger: Ledger) -> None:
    derivation = a_derivation()
    with ledger.transaction() as tx:
        request_derivation(tx, derivation)
        start_derivation(tx, derivation.key, later(1))
        finish_derivation(tx, derivation, derived(), REPORT, later(9))
    with ledger.transaction() as tx:
        (record,) = list_derivations(tx, STUDY)
    assert record.inputs == {"t1": SERIES, "t2": "1.2.826.1.2"}
    assert (record.target_role, record.target_series_uid) == ("t1", SERIES)
    assert (record.state, record.round, record.error, record.reason) == ("derived", 1, "", "")
    assert (record.decided_at, record.started_at, record.finished_at) == (later(0), later(1), later(9))
    assert record.report is not None
    assert record.report["durations"] == {"model": 2.5, "write": 0.5}
    assert record.report["alignment"] == {"t2": {"method": "rigid", "shift_mm": 0.4}}
    assert record.deliveries == {}
