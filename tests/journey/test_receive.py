"""Success is only answered for what lies in the spool and stands in the ledger; nothing is ever lost or half there."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import ImplicitVRLittleEndian

from dicomnode.domain.errors import (
    DataSetMismatch,
    InstanceTooLarge,
    LedgerUnavailable,
    MalformedInstance,
    NotInLedger,
    SpoolFull,
)
from dicomnode.domain.study import Origin
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID
from dicomnode.imaging.headers import encode_file_meta
from dicomnode.journey.receive import Receiving
from dicomnode.ledger.completion import studies_with_news
from dicomnode.ledger.studies import find_instance, find_study
from dicomnode.ledger.tables import InstanceRow, QuarantineRow
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.digest import Digest
from dicomnode.spool.store import Spool
from tests.builders import PATIENT_NAME, a_series, uid, with_file_meta
from tests.conftest import FakeClock
from tests.journey.bench import STUDY, Bench, data_set, offered, sqlite_only, without_table
from tests.postgresql import PostgresqlServer
from tests.web.holdings import Holdings, a_synthetic_series

INSTANCE = SOPInstanceUID(uid("study", "series", "0"))
(ONE,) = a_series(slices=1, shape=(8, 6))


def _files(spool: Spool, room: str = "") -> list[Path]:
    return sorted(path for path in (spool.root / room).rglob("*") if path.is_file())


def _quarantined(ledger: Ledger) -> Sequence[QuarantineRow]:
    with ledger.transaction() as tx:
        return tx.session.execute(sa.select(QuarantineRow)).scalars().all()


def _contents(ledger: Ledger) -> Sequence[InstanceRow]:
    with ledger.transaction() as tx:
        return tx.session.execute(sa.select(InstanceRow).order_by(InstanceRow.id)).scalars().all()


def test_when_accept_returns_the_file_is_durable_and_the_row_is_there(bench: Bench) -> None:
    sink = bench.offer(ONE)
    assert _files(bench.spool, "instances") == []
    assert _contents(bench.ledger) == []

    sink.accept()
    sink.discard()

    with bench.ledger.transaction() as tx:
        stored, study = find_instance(tx, INSTANCE), find_study(tx, STUDY)
    (file,) = _files(bench.spool)
    assert file == bench.spool.locate(stored.path)
    assert file.stem == stored.digest == Digest(file.read_bytes()).hex()
    assert (stored.origin, stored.size) == (Origin.RECEIVED, file.stat().st_size)
    assert (study.instances, study.last_received_at) == (1, bench.clock.now())
    (row,) = _contents(bench.ledger)
    assert (row.calling_ae, row.called_ae, row.peer_address) == ("SCANNER", "DICOMNODE", "10.1.2.3")


@sqlite_only
def test_the_file_holds_what_came(bench: Bench) -> None:
    bench.receive([ONE])
    kept = pydicom.dcmread(_files(bench.spool)[0])
    assert kept == ONE
    assert kept.file_meta.MediaStorageSOPInstanceUID == ONE.SOPInstanceUID
    assert kept.file_meta.TransferSyntaxUID == ONE.file_meta.TransferSyntaxUID


@sqlite_only
def test_the_same_instance_from_another_system_is_nothing_new(bench: Bench) -> None:
    bench.receive([ONE])
    announced = offered(ONE)
    other = replace(announced, association=replace(announced.association, calling_ae=AETitle("ARCHIVE")))
    sink = bench.receiving.open(other)
    sink.write(data_set(ONE))
    sink.accept()
    (row,) = _contents(bench.ledger)
    assert row.calling_ae == "SCANNER"
    assert [event for event in bench.events("receive") if event.state == "conflict"] == []


def test_instances_that_end_together_are_each_answered_for_themselves(bench: Bench) -> None:
    series = a_series(slices=4, shape=(8, 6))
    sinks = []
    for index, dataset in enumerate(series):
        sink = bench.receiving.open(offered(dataset))
        sink.write(b"no data set" if index == 1 else data_set(dataset))
        sinks.append(sink)
    first, second, third, fourth = bench.receiving.accept(sinks)
    assert (first, third, fourth) == (None, None, None)
    assert isinstance(second, MalformedInstance)
    assert [row.sop_instance_uid for row in _contents(bench.ledger)] == [
        str(series[index].SOPInstanceUID) for index in (0, 2, 3)
    ]
    assert len(_quarantined(bench.ledger)) == 1
    assert len(_files(bench.spool, "instances")) == 3


@sqlite_only
def test_when_the_ledger_takes_none_of_a_group_nobody_is_told_success(bench: Bench) -> None:
    sinks = []
    for dataset in a_series(slices=3, shape=(8, 6)):
        sink = bench.receiving.open(offered(dataset))
        sink.write(data_set(dataset))
        sinks.append(sink)
    with without_table(bench.ledger, "instance"):
        assert [type(outcome) for outcome in bench.receiving.accept(sinks)] == [LedgerUnavailable] * 3
    assert _contents(bench.ledger) == []


@sqlite_only
@pytest.mark.parametrize("element", [b"\x02\0\0\0UL\x04\0\x02\0\0\0", b"\x02\0\x10\0UI\x02\0001\0"])
def test_a_data_set_that_begins_with_file_meta_information_is_quarantined(bench: Bench, element: bytes) -> None:
    sink = bench.receiving.open(offered(ONE))
    sink.write(element + data_set(ONE))
    with pytest.raises(MalformedInstance, match="begins with file meta information"):
        sink.accept()
    assert len(_quarantined(bench.ledger)) == 1
    assert _contents(bench.ledger) == []


@sqlite_only
def test_what_is_larger_than_the_largest_is_refused_and_leaves_nothing(bench: Bench) -> None:
    receiving = Receiving(bench.ledger, bench.spool, bench.clock, largest=len(data_set(ONE)))
    fits = receiving.open(offered(ONE))
    fits.write(data_set(ONE))
    fits.accept()
    sink = receiving.open(offered(ONE))
    sink.write(data_set(ONE))
    with pytest.raises(InstanceTooLarge):
        sink.write(b"x")
    sink.discard()
    assert len(_files(bench.spool)) == 1


def test_what_cannot_be_placed_is_kept_in_quarantine_and_nowhere_else(bench: Bench) -> None:
    sink = bench.receiving.open(offered(ONE))
    sink.write(b"no data set at all")
    with pytest.raises(MalformedInstance) as raised:
        sink.accept()
    sink.discard()

    assert raised.value.dimse_status == 0xC001
    (row,) = _quarantined(bench.ledger)
    (file,) = _files(bench.spool)
    assert file == bench.spool.locate(row.path)
    assert row.path.startswith("quarantine/")
    assert file.read_bytes().endswith(b"no data set at all")
    assert (row.size, row.at) == (file.stat().st_size, bench.clock.now())
    assert (row.calling_ae, row.peer_address, row.sop_instance_uid) == ("SCANNER", "10.1.2.3", INSTANCE)
    assert row.reason == raised.value.reason
    assert _contents(bench.ledger) == []
    with bench.ledger.transaction() as tx, pytest.raises(NotInLedger):
        find_study(tx, STUDY)


@sqlite_only
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_an_instance_without_one_of_its_identifiers_is_quarantined(bench: Bench, keyword: str) -> None:
    (dataset,) = a_series(slices=1)
    announced = offered(dataset)
    delattr(dataset, keyword)
    sink = bench.receiving.open(announced)
    sink.write(data_set(dataset))
    with pytest.raises(MalformedInstance, match=keyword):
        sink.accept()
    assert [keyword in row.reason for row in _quarantined(bench.ledger)] == [True]
    assert bench.events() == ()


@sqlite_only
@pytest.mark.parametrize(
    "announced",
    [
        {"sop_instance_uid": SOPInstanceUID(uid("another instance"))},
        {"sop_class_uid": SOPClassUID("1.2.840.10008.5.1.4.1.1.2")},
    ],
)
def test_an_instance_that_is_not_the_announced_one_is_quarantined(
    bench: Bench, announced: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    sink = bench.receiving.open(offered(ONE, **announced))
    sink.write(data_set(ONE))
    with caplog.at_level(logging.DEBUG), pytest.raises(DataSetMismatch) as raised:
        sink.accept()
    assert raised.value.dimse_status == 0xA900
    (row,) = _quarantined(bench.ledger)
    assert row.sop_instance_uid == announced.get("sop_instance_uid", INSTANCE)
    assert _files(bench.spool, "instances") == []
    assert bench.events() == ()
    assert "quarantine" in caplog.text
    assert PATIENT_NAME not in caplog.text


@sqlite_only
def test_what_is_discarded_was_never_there(bench: Bench) -> None:
    sink = bench.offer(ONE)
    sink.discard()
    sink.discard()
    assert _files(bench.spool) == []
    assert _contents(bench.ledger) == []
    assert bench.events() == ()


def test_the_same_content_again_changes_nothing(bench: Bench) -> None:
    bench.receive([ONE])
    received_at = bench.clock.now()
    bench.clock.advance(60)
    bench.receive([ONE])
    with bench.ledger.transaction() as tx:
        study = find_study(tx, STUDY)
    assert (study.instances, study.last_received_at) == (1, received_at)
    assert len(_files(bench.spool)) == len(_contents(bench.ledger)) == len(bench.events()) == 1


def test_other_content_of_a_known_uid_is_kept_beside_and_told(bench: Bench) -> None:
    (other,) = a_series(slices=1, shape=(8, 6), SeriesDescription="another content of the same UID")
    bench.receive([ONE], [other])
    first, second = _contents(bench.ledger)
    assert (first.in_use, second.in_use) == (True, False)
    assert _files(bench.spool) == sorted(bench.spool.locate(row.path) for row in (first, second))
    assert [event.state for event in bench.events("receive")] == ["running", "conflict"]
    with bench.ledger.transaction() as tx:
        assert find_study(tx, STUDY).instances == 1


def test_an_own_output_that_comes_back_reencoded_is_kept_and_is_no_news(bench: Bench) -> None:
    made = Holdings(bench.ledger, bench.spool, bench.clock)
    source = made.receive(a_series(slices=3))
    derived = a_synthetic_series("study", "derived", slices=3)
    made.derive(made.ask(source), derived)
    bench.complete()
    events = bench.events()

    bench.clock.advance(3600)
    bench.receive([with_file_meta(dataset, ImplicitVRLittleEndian) for dataset in derived])

    assert bench.events() == events
    assert len(_contents(bench.ledger)) == 9
    assert {one.origin for one in bench.instances(uid("study", "derived"))} == {Origin.DERIVED}
    with bench.ledger.transaction() as tx:
        assert find_study(tx, STUDY).instances == 3
        assert studies_with_news(tx) == ()


@pytest.fixture(params=["a folder that is gone", "a read-only file", "no such database", "a standby server"])
def deaf_ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger whose database takes nothing."""
    ledger = Ledger(_deaf_url(request, tmp_path))
    yield ledger
    ledger.close()


def _deaf_url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "a folder that is gone":
        return f"sqlite:///{folder / 'gone' / 'node.db'}"
    if request.param == "a read-only file":
        shutil.copyfile(request.getfixturevalue("sqlite_template"), folder / "read-only.db")
        return f"sqlite:///file:{folder / 'read-only.db'}?mode=ro&uri=true"
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    if request.param == "no such database":
        return server.url("nowhere")
    name = request.getfixturevalue("postgresql_node")
    return f"{server.url(name)}&options=-c%20default_transaction_read_only%3Don"


def test_nothing_is_acknowledged_that_the_ledger_does_not_take(
    deaf_ledger: Ledger, spool: Spool, clock: FakeClock
) -> None:
    receiving = Receiving(deaf_ledger, spool, clock)
    sink = receiving.open(offered(ONE))
    sink.write(data_set(ONE))
    with pytest.raises(LedgerUnavailable) as raised:
        sink.accept()
    assert (raised.value.dimse_status, raised.value.retryable) == (0xA700, True)
    assert PATIENT_NAME not in f"{raised.value} {raised.value.__cause__}"
    sink.discard()

    sink = receiving.open(offered(ONE))
    sink.write(b"no data set at all")
    with pytest.raises(LedgerUnavailable):
        sink.accept()
    assert _files(spool, "incoming") == []


@sqlite_only
def test_an_instance_that_was_refused_once_is_taken_when_it_is_offered_again(bench: Bench) -> None:
    with without_table(bench.ledger, "instance"), pytest.raises(LedgerUnavailable):
        bench.offer(ONE).accept()
    assert bench.events() == ()
    bench.receive([ONE])
    assert [one.sop_instance_uid for one in bench.instances()] == [INSTANCE]
    assert len(_files(bench.spool)) == 1


@sqlite_only
def test_without_room_in_the_spool_nothing_is_begun(bench: Bench) -> None:
    (bench.spool.root / "incoming").rmdir()
    with pytest.raises(SpoolFull) as raised:
        bench.receiving.open(offered(ONE))
    assert raised.value.dimse_status == 0xA700


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """The bytes of an instance with some of them overwritten, cut out or lost at the end."""
    whole = bytearray(data_set(ONE))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(whole) - 1))
        whole[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(whole[: draw(st.just(len(whole)) | st.integers(0, len(whole)))])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(data=st.binary(max_size=200) | _damaged())
def test_whatever_bytes_come_they_are_kept_and_recorded_on_one_side(bench: Bench, data: bytes) -> None:
    sink = bench.receiving.open(offered(ONE))
    sink.write(data)
    digest = Digest(encode_file_meta(offered(ONE)) + data).hex()
    before = len(_quarantined(bench.ledger))
    try:
        sink.accept()
    except MalformedInstance:
        assert len(_quarantined(bench.ledger)) == before + 1
        assert (bench.spool.root / "quarantine" / digest[:2] / f"{digest}.dcm").is_file()
        assert digest not in {row.digest for row in _contents(bench.ledger)}
    else:
        assert len(_quarantined(bench.ledger)) == before
        assert bench.spool.locate({row.digest: row.path for row in _contents(bench.ledger)}[digest]).is_file()
    sink.discard()
    assert _files(bench.spool, "incoming") == []
