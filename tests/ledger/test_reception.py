"""What the receive step writes: each instance once, each study once, and nothing of a conflict is lost."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomnode.domain.errors import DicomnodeError, LedgerUnavailable
from dicomnode.domain.study import Origin, ReceivedInstance
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.ledger.reception import ReceptionLog, record_quarantined, record_received
from dicomnode.ledger.studies import find_instance, find_study, list_instances, list_series
from dicomnode.ledger.tables import EventRow, InstanceRow, QuarantineRow, SeriesRow, StudyRow
from dicomnode.ledger.timeline import timeline, write_event
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


@pytest.fixture
def log(ledger: Ledger) -> Iterator[ReceptionLog]:
    log = ReceptionLog(ledger)
    yield log
    log.close()


def test_a_batch_is_recorded_as_a_whole(ledger: Ledger, log: ReceptionLog) -> None:
    other = "1.2.826.2"
    log.record(
        [
            received(1, at=later(1)),
            received(2, series=f"{SERIES}.9", at=later(2)),
            received(1, study=other, series=f"{other}.1", at=later(3)),
            received(3, at=later(4)),
        ]
    )
    with ledger.transaction() as tx:
        study, second = find_study(tx, STUDY), find_study(tx, other)
        held = {row.sop_instance_uid: row for row in tx.session.execute(sa.select(InstanceRow)).scalars()}
        series = {one.series_instance_uid: one.instances for one in list_series(tx, STUDY)}
        assert [event.state for event in timeline(tx, STUDY)] == ["running"]
        assert [event.state for event in timeline(tx, other)] == ["running"]
    assert (study.instances, study.first_received_at, study.last_received_at) == (3, later(1), later(4))
    assert (second.instances, second.first_received_at, second.last_received_at) == (1, later(3), later(3))
    assert series == {SERIES: 2, f"{SERIES}.9": 1}
    row = held[f"{SERIES}.3"]
    assert (row.origin, row.in_use, row.digest, row.path) == (
        "received",
        True,
        f"{3:064x}",
        f"instances/00/{3:064x}.dcm",
    )
    assert (row.size, row.calling_ae, row.called_ae, row.peer_address) == (1003, "SCANNER", "NODE", "10.1.2.3")
    assert (row.instance_number, row.received_at) == (3, later(4))


def test_an_empty_batch_asks_nothing_of_the_database(ledger: Ledger, log: ReceptionLog) -> None:
    log.record([])
    assert ledger.engine.pool.status().endswith("connections: 0")


def test_what_a_transaction_told_before_stays_in_front_of_what_a_reception_tells(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        write_event(tx, STUDY, at=NOW, step="quarantine", state="done", text="before")
        record_received(tx, received(1))
        write_event(tx, STUDY, at=NOW, step="quarantine", state="done", text="after")
    with ledger.transaction() as tx:
        assert [event.step for event in timeline(tx, STUDY)] == ["quarantine", "receive", "quarantine"]


@dataclass
class _Book:
    """What the ledger must say of receptions, by the policy alone: the first content of a UID is the one in use."""

    studies: dict[str, tuple[int, str, datetime, datetime]] = field(default_factory=dict)
    series: dict[str, tuple[str, str]] = field(default_factory=dict)
    contents: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)
    told: list[tuple[str, str, datetime]] = field(default_factory=list)
    own: frozenset[str] = frozenset()

    def record(self, one: ReceivedInstance) -> None:
        header, at = one.header, one.received_at
        study = header.study_instance_uid
        if study not in self.studies:
            self.studies[study] = (0, header.patient_name, at, at)
            self.told.append((study, "running", at))
        self.series.setdefault(header.series_instance_uid, (study, header.modality))
        known = self.contents.setdefault(header.sop_instance_uid, [])
        if one.digest in [digest for digest, _ in known]:
            return
        if not known:
            count, name, first, _ = self.studies[study]
            self.studies[study] = (count + 1, name, first, at)
        elif header.sop_instance_uid not in self.own:
            self.told.append((study, "conflict", at))
        known.append((one.digest, not known))


def _book_of(ledger: Ledger) -> _Book:
    """Read from the ledger what the policy speaks of."""
    book = _Book()
    with ledger.transaction() as tx:
        for study in tx.session.execute(sa.select(StudyRow)).scalars():
            of_study = (study.instances, study.patient_name, study.first_received_at, study.last_received_at)
            book.studies[study.study_instance_uid] = of_study
        for series in tx.session.execute(sa.select(SeriesRow)).scalars():
            book.series[series.series_instance_uid] = (series.study_instance_uid, series.modality)
        for row in tx.session.execute(sa.select(InstanceRow).order_by(InstanceRow.id)).scalars():
            book.contents.setdefault(row.sop_instance_uid, []).append((row.digest, row.in_use))
        for event in tx.session.execute(sa.select(EventRow).order_by(EventRow.id)).scalars():
            book.told.append((event.study_instance_uid, event.state, event.at))
    return book


_OWN = "1.4.1"
"""The instance that this node made itself, before anything was received."""


def _with_an_own_output(ledger: Ledger) -> _Book:
    """Empty the ledger but for one derived instance, and say what it then holds."""
    made = received(1, digest="0" * 64, header={"sop_instance_uid": SOPInstanceUID(_OWN)})
    with ledger.transaction() as tx:
        for table in (EventRow, InstanceRow, SeriesRow, StudyRow):
            tx.session.execute(sa.delete(table))
        record_received(tx, made)
        tx.session.execute(sa.update(InstanceRow).values(origin=Origin.DERIVED))
    book = _Book(own=frozenset({_OWN}))
    book.record(made)
    return book


def _receptions() -> st.SearchStrategy[ReceivedInstance]:
    """Few studies, series, instances and contents, in every combination a confused sender may send."""
    return st.builds(
        lambda study, series, instance, digest, seconds: received(
            study=f"1.2.{study}",
            series=f"1.3.{series}",
            digest=digest * 64,
            at=later(seconds),
            header={
                "sop_instance_uid": SOPInstanceUID(f"1.4.{instance}"),
                "patient_name": f"Testperson^{seconds}",
                "modality": "MR" if seconds % 2 else "CT",
            },
        ),
        st.sampled_from("12"),
        st.sampled_from("123"),
        st.sampled_from("1234"),
        st.sampled_from("abc"),
        st.integers(0, 50),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(_receptions(), max_size=8), max_size=5), again=st.booleans())
def test_batches_are_recorded_as_if_their_instances_had_come_one_by_one(
    ledger: Ledger, log: ReceptionLog, batches: list[list[ReceivedInstance]], again: bool
) -> None:
    expected = _with_an_own_output(ledger)
    for one in itertools.chain(*batches):
        expected.record(one)
    for batch in batches:
        log.record(batch)
    if again:
        log.record(list(itertools.chain(*batches)))

    found = _book_of(ledger)
    assert (found.studies, found.series) == (expected.studies, expected.series)
    assert (found.contents, found.told) == (expected.contents, expected.told)


def test_receivers_of_the_same_instances_in_other_orders_count_each_once(ledger: Ledger) -> None:
    studies = ("1.2.1", "1.2.2", "1.2.3")
    sent = [received(number, study=study, series=f"{study}.1") for study in studies for number in range(8)]

    def receive(turn: int) -> None:
        log = ReceptionLog(ledger)
        try:
            order = sent[turn * 7 :] + sent[: turn * 7]
            for start in range(0, len(order), 5):
                log.record(order[start : start + 5])
                log.record([received(turn + 100, study=studies[turn % 3], series=f"{studies[turn % 3]}.{turn + 2}")])
        finally:
            log.close()

    assert _together([lambda turn=turn: receive(turn) for turn in range(4)]) == []  # type: ignore[misc]
    with ledger.transaction() as tx:
        counts = {study: find_study(tx, study).instances for study in studies}
        told = {study: [event.state for event in timeline(tx, study)] for study in studies}
        in_use = tx.session.execute(sa.select(InstanceRow.sop_instance_uid).where(InstanceRow.in_use)).scalars().all()
    assert counts == {"1.2.1": 10, "1.2.2": 9, "1.2.3": 9}
    assert told == {study: ["running"] for study in studies}
    assert len(in_use) == len(set(in_use)) == 28


def test_receivers_of_other_contents_of_the_same_instances_keep_all_and_use_one(ledger: Ledger) -> None:
    def receive(digest: str) -> None:
        log = ReceptionLog(ledger)
        try:
            # One of them places the instances in another study: no lock of a study is then between them.
            study = "1.2.9" if digest == "d" else STUDY
            log.record([received(number, study=study, digest=digest * 64) for number in range(6)])
        finally:
            log.close()

    assert _together([lambda digest=digest: receive(digest) for digest in "abcd"]) == []  # type: ignore[misc]
    with ledger.transaction() as tx:
        rows = tx.session.execute(sa.select(InstanceRow.sop_instance_uid, InstanceRow.in_use)).all()
        counts = find_study(tx, STUDY).instances, find_study(tx, "1.2.9").instances
        told = [event.state for study in (STUDY, "1.2.9") for event in timeline(tx, study)]
    assert len(rows) == 24
    assert sorted(uid for uid, in_use in rows if in_use) == [f"{SERIES}.{number}" for number in range(6)]
    assert sum(counts) == 6
    assert (told.count("running"), told.count("conflict")) == (2, 18)


@contextmanager
def _without_the_timeline(ledger: Ledger) -> Iterator[None]:
    """Take away the table that a batch writes to after its instances."""
    with ledger.transaction() as tx:
        tx.session.execute(sa.text("ALTER TABLE event RENAME TO event_elsewhere"))
    try:
        yield
    finally:
        with ledger.transaction() as tx:
            tx.session.execute(sa.text("ALTER TABLE event_elsewhere RENAME TO event"))


def test_a_batch_that_the_database_does_not_take_leaves_nothing_and_can_be_offered_again(
    ledger: Ledger, log: ReceptionLog
) -> None:
    log.record([received(1)])
    batch = [received(2), received(3, study="1.2.7", series="1.2.7.1")]
    with _without_the_timeline(ledger), pytest.raises(LedgerUnavailable):
        log.record(batch)
    with ledger.transaction() as tx:
        assert find_study(tx, STUDY).instances == 1
        assert tx.session.execute(sa.select(sa.func.count(InstanceRow.id))).scalar_one() == 1
    log.record(batch)
    with ledger.transaction() as tx:
        assert (find_study(tx, STUDY).instances, find_study(tx, "1.2.7").instances) == (2, 1)
