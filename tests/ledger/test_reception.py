"""What the receive step writes: each instance once, each study once, and nothing of a conflict is lost."""

import threading
from collections.abc import Callable, Sequence

import pytest
import sqlalchemy as sa

from dicomnode.domain.errors import DicomnodeError
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.ledger.reception import record_quarantined, record_received, record_refusal
from dicomnode.ledger.studies import find_instance, find_study, list_instances, list_series
from dicomnode.ledger.tables import InstanceRow, QuarantineRow, RefusalRow
from dicomnode.ledger.timeline import timeline
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, SENDER, SERIES, STUDY, later, received


def _together(verbs: Sequence[Callable[[], None]]) -> list[DicomnodeError]:
    """Run the verbs at the same moment in threads of their own, and give the errors they raised."""
    errors: list[DicomnodeError] = []
    barrier = threading.Barrier(len(verbs))

    def run(verb: Callable[[], None]) -> None:
        barrier.wait()
        try:
            verb()
        except DicomnodeError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_the_first_instance_opens_study_and_series_and_the_timeline(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert record_received(tx, received(1))

    with ledger.transaction() as tx:
        study = find_study(tx, STUDY)
        (series,) = list_series(tx, STUDY)
        (event,) = timeline(tx, STUDY)
    assert (study.instances, study.revision, study.is_complete) == (1, 0, False)
    assert (study.patient_id, study.accession_number, study.description) == ("T-0001", "ACC-1", "MR head")
    assert (study.first_received_at, study.last_received_at) == (NOW, NOW)
    assert (series.modality, series.series_number, series.description, series.instances) == ("MR", 1, "t1 se tra", 1)
    assert (event.step, event.state, event.at) == ("receive", "running", NOW)
    assert "SCANNER (10.1.2.3)" in event.text


def test_each_further_instance_is_counted_and_moves_the_time(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        for number in range(1, 4):
            assert record_received(tx, received(number, at=later(number)))

    with ledger.transaction() as tx:
        study = find_study(tx, STUDY)
        assert (study.instances, study.first_received_at, study.last_received_at) == (3, later(1), later(3))
        assert len(timeline(tx, STUDY)) == 1


def test_the_same_content_again_changes_nothing(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert record_received(tx, received(1))
        assert not record_received(tx, received(1, at=later(60)))

    with ledger.transaction() as tx:
        study = find_study(tx, STUDY)
        assert (study.instances, study.last_received_at) == (1, NOW)
        assert len(timeline(tx, STUDY)) == 1


def test_other_content_of_a_known_instance_is_kept_beside_the_first(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        assert not record_received(tx, received(1, digest="f" * 64, at=later(5)))
        assert not record_received(tx, received(1, digest="e" * 64, at=later(6)))

    with ledger.transaction() as tx:
        assert find_instance(tx, f"{SERIES}.1").digest == f"{1:064x}"
        held = tx.session.execute(sa.select(InstanceRow.digest, InstanceRow.in_use).order_by(InstanceRow.id)).all()
        study, events = find_study(tx, STUDY), timeline(tx, STUDY)
    assert [tuple(row) for row in held] == [(f"{1:064x}", True), ("f" * 64, False), ("e" * 64, False)]
    assert study.instances == 1
    assert [event.state for event in events] == ["running", "conflict", "conflict"]
    assert f"{SERIES}.1" in events[1].text


def test_the_conflicting_content_again_is_no_new_conflict(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1))
        record_received(tx, received(1, digest="f" * 64))
        assert not record_received(tx, received(1, digest="f" * 64))
        assert len(timeline(tx, STUDY)) == 2


@pytest.mark.parametrize(
    "odd",
    [
        {"modality": "MAGNETIC RESONANCE IMAGING"},
        {"study_date": "2026-03-01 10:15:00 CET"},
        {"instance_number": 999_999_999_999},
        {"series_number": -999_999_999_999},
        {"instance_number": None, "series_number": None},
        {"patient_name": "Ⅻ=山田^太郎=やまだ^たろう" * 20},
    ],
    ids=str,
)
def test_values_beyond_the_standards_lengths_are_no_reason_to_refuse(ledger: Ledger, odd: dict[str, object]) -> None:
    with ledger.transaction() as tx:
        assert record_received(tx, received(1, header=odd))
    with ledger.transaction() as tx:
        (instance,), (series,), study = list_instances(tx, STUDY), list_series(tx, STUDY), find_study(tx, STUDY)
    known = {
        "instance_number": instance.instance_number,
        "series_number": series.series_number,
        "modality": series.modality,
        "study_date": study.study_date,
        "patient_name": study.patient_name,
    }
    assert {name: known[name] for name in odd} == odd


def test_two_associations_of_a_new_study_make_one_study(ledger: Ledger) -> None:
    def receive(first: int) -> None:
        for number in range(first, first + 10):
            with ledger.transaction() as tx:
                record_received(tx, received(number, series=f"{SERIES}.{first}"))

    assert _together([lambda first=first: receive(first) for first in (100, 200, 300, 400)]) == []  # type: ignore[misc]

    with ledger.transaction() as tx:
        assert find_study(tx, STUDY).instances == 40
        assert len(list_series(tx, STUDY)) == 4
        assert [event.state for event in timeline(tx, STUDY)] == ["running"]


def test_the_same_instance_over_two_associations_at_once_is_one(ledger: Ledger) -> None:
    said: list[bool] = []

    def receive(digest: str) -> None:
        with ledger.transaction() as tx:
            is_new = record_received(tx, received(1, digest=digest))
        said.append(is_new)

    assert _together([lambda: receive("a" * 64)] * 4) == []
    assert sorted(said) == [False, False, False, True]
    with ledger.transaction() as tx:
        assert find_study(tx, STUDY).instances == 1
        assert len(timeline(tx, STUDY)) == 1


def test_two_contents_of_one_instance_at_once_are_both_kept_and_one_is_in_use(ledger: Ledger) -> None:
    said: list[bool] = []

    def receive(digest: str) -> None:
        with ledger.transaction() as tx:
            is_new = record_received(tx, received(1, digest=digest))
        said.append(is_new)

    assert _together([lambda: receive("a" * 64), lambda: receive("b" * 64)]) == []
    assert sorted(said) == [False, True]
    with ledger.transaction() as tx:
        in_use = tx.session.execute(sa.select(InstanceRow.in_use)).scalars().all()
        assert sorted(in_use) == [False, True]
        assert find_study(tx, STUDY).instances == 1
        assert [event.state for event in timeline(tx, STUDY)] == ["running", "conflict"]


def test_a_refusal_is_recorded_with_the_peer(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_refusal(tx, SENDER, "called AE title X is not one of this node's", NOW)
    with ledger.transaction() as tx:
        row = tx.session.execute(sa.select(RefusalRow)).scalar_one()
        assert (row.calling_ae, row.called_ae, row.peer_address, row.at) == ("SCANNER", "NODE", "10.1.2.3", NOW)
        assert "called AE title" in row.reason


def test_quarantined_bytes_are_recorded_with_their_place_and_reason(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_quarantined(tx, SENDER, SOPInstanceUID("1.2.3"), ("quarantine/ab/ab.dcm", 17), "no Study UID", NOW)
    with ledger.transaction() as tx:
        row = tx.session.execute(sa.select(QuarantineRow)).scalar_one()
        assert (row.path, row.size, row.sop_instance_uid, row.reason) == (
            "quarantine/ab/ab.dcm",
            17,
            "1.2.3",
            "no Study UID",
        )
