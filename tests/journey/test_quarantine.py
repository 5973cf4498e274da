"""What a person does with an instance in quarantine happens whole or not at all, and leaves its line."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset

from dicomnode.domain.errors import DataSetMismatch, LedgerUnavailable, MalformedInstance, NotInLedger
from dicomnode.domain.uids import AETitle, SOPInstanceUID
from dicomnode.journey.quarantine import Quarantine
from dicomnode.journey.reconcile import Reconciling
from dicomnode.ledger.quarantine import Quarantined
from dicomnode.ledger.reception import record_quarantined
from dicomnode.ledger.studies import find_study
from dicomnode.ledger.tables import EventRow, InstanceRow
from dicomnode.spool.inventory import INSTANCES, QUARANTINE, kept_files, move
from tests.builders import PATIENT_NAME, a_series, uid
from tests.conftest import FakeClock
from tests.journey.bench import SENDER, STUDY, Bench, data_set, offered, sqlite_only, without_table

(ONE,) = a_series(slices=1, shape=(8, 6))
INSTANCE = SOPInstanceUID(uid("study", "series", "0"))
WHY = "refused by an earlier version"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that begins with the clock of the files: their age counts here."""
    return FakeClock(datetime.now(UTC) + timedelta(minutes=1))


@pytest.fixture
def quarantine(bench: Bench) -> Quarantine:
    return Quarantine(bench.ledger, bench.spool, bench.clock, AETitle("DICOMNODE"))


def refuse_wrongly(bench: Bench, dataset: Dataset = ONE) -> int:
    """Put a whole instance into quarantine, as a version of the node with a defect would; gives its number."""
    file = bench.receiving.open(offered(dataset))
    file.write(data_set(dataset))
    kept = file.file.keep("quarantine")
    with bench.ledger.transaction() as tx:
        record_quarantined(
            tx, SENDER, SOPInstanceUID(dataset.SOPInstanceUID), (kept.path, kept.size), WHY, bench.clock.now()
        )
    return max(entry.id for entry in Quarantine(bench.ledger, bench.spool, bench.clock, SENDER.called_ae).entries())


def refuse(bench: Bench, **announced: object) -> None:
    """Let the receive step itself refuse bytes: no data set, or that of another instance than announced."""
    sink = bench.receiving.open(offered(ONE, **announced))
    sink.write(data_set(ONE) if announced else b"no data set at all")
    with pytest.raises(MalformedInstance):
        sink.accept()


def files(bench: Bench, room: str) -> list[str]:
    return list(kept_files(bench.spool, room))


def test_release_records_it_as_if_its_sender_had_sent_it_now(bench: Bench, quarantine: Quarantine) -> None:
    number = refuse_wrongly(bench)
    bench.clock.advance(3600)
    (entry,) = quarantine.entries()
    assert quarantine.obstacle(entry) is None
    said = quarantine.release(number)

    with bench.ledger.transaction() as tx:
        (row,) = tx.session.execute(sa.select(InstanceRow)).scalars()
        study = find_study(tx, STUDY)
    assert (row.sop_instance_uid, row.in_use, row.received_at) == (INSTANCE, True, bench.clock.now())
    assert (row.calling_ae, row.called_ae, row.peer_address) == ("SCANNER", "DICOMNODE", "10.1.2.3")
    assert (study.instances, study.last_received_at) == (1, bench.clock.now())
    assert files(bench, INSTANCES) == [row.path]
    assert files(bench, QUARANTINE) == []
    assert bench.spool.locate(row.path).stat().st_size == row.size
    assert quarantine.entries() == ()
    assert [event.state for event in bench.events()] == ["running", "done"]
    assert bench.events("quarantine")[0].text == said
    assert WHY in said


@sqlite_only
def test_what_was_released_is_completed_and_can_be_sent_again(bench: Bench, quarantine: Quarantine) -> None:
    number = refuse_wrongly(bench)
    quarantine.release(number)
    assert bench.complete().instances == 1
    bench.receive([ONE])
    assert len(files(bench, INSTANCES)) == len(bench.instances()) == 1


def test_what_still_cannot_be_read_stays(bench: Bench, quarantine: Quarantine) -> None:
    refuse(bench)
    refuse(bench, sop_instance_uid=SOPInstanceUID(uid("another")))
    unreadable, mismatch = before = quarantine.entries()
    with pytest.raises(MalformedInstance):
        quarantine.release(unreadable.id)
    with pytest.raises(DataSetMismatch):
        quarantine.release(mismatch.id)
    assert quarantine.obstacle(mismatch) == mismatch.reason
    assert quarantine.entries() == before
    assert files(bench, QUARANTINE) == sorted(entry.path for entry in before)
    assert bench.events() == ()


@sqlite_only
def test_a_release_that_the_ledger_does_not_take_changes_nothing(bench: Bench, quarantine: Quarantine) -> None:
    number = refuse_wrongly(bench)
    before = quarantine.entries()
    with without_table(bench.ledger, "instance"), pytest.raises(LedgerUnavailable):
        quarantine.release(number)
    assert quarantine.entries() == before
    assert files(bench, QUARANTINE) == [before[0].path]
    assert files(bench, INSTANCES) == []
    quarantine.release(number)
    assert len(bench.instances()) == 1


def test_a_release_that_a_crash_cuts_off_leaves_the_one_entry(bench: Bench, quarantine: Quarantine) -> None:
    """The file was moved, the row was not yet written."""
    number = refuse_wrongly(bench)
    before = quarantine.entries()
    move(bench.spool, before[0].path, INSTANCES)
    Reconciling(bench.ledger, bench.spool, bench.clock).reconcile(timedelta(0))
    assert quarantine.entries() == before
    quarantine.release(number)
    assert len(bench.instances()) == 1


def test_releasing_what_is_known_already_is_no_news(bench: Bench, quarantine: Quarantine) -> None:
    bench.receive([ONE])
    number = refuse_wrongly(bench)
    said = quarantine.release(number)
    assert "known already" in said
    with bench.ledger.transaction() as tx:
        assert find_study(tx, STUDY).instances == 1
    assert len(files(bench, INSTANCES)) == 1


def test_bytes_that_were_refused_twice_are_released_once(bench: Bench, quarantine: Quarantine) -> None:
    first, second = refuse_wrongly(bench), refuse_wrongly(bench)
    quarantine.release(first)
    assert quarantine.entries() == ()
    with pytest.raises(NotInLedger):
        quarantine.release(second)


def test_discard_keeps_a_line_in_the_study_and_deletes_the_file(
    bench: Bench, quarantine: Quarantine, caplog: pytest.LogCaptureFixture
) -> None:
    number = refuse_wrongly(bench)
    (entry,) = quarantine.entries()
    said = quarantine.discard(number, "a phantom measurement")
    assert "a phantom measurement" in said
    assert quarantine.entries() == ()
    assert files(bench, QUARANTINE) == files(bench, INSTANCES) == []
    (event,) = bench.events("quarantine")
    assert (event.state, event.text, event.at) == ("discarded", said, bench.clock.now())
    assert event.detail is not None
    assert {"by": "operator", "reason": "a phantom measurement", "sender": "SCANNER"}.items() <= event.detail.items()
    assert event.detail["quarantined_because"] == entry.reason
    assert PATIENT_NAME not in caplog.text + said + str(event.detail)


def test_what_names_no_study_leaves_its_line_as_well(bench: Bench, quarantine: Quarantine) -> None:
    refuse(bench)
    (entry,) = quarantine.entries()
    said = quarantine.discard(entry.id, "noise")
    with bench.ledger.transaction() as tx:
        (row,) = tx.session.execute(sa.select(EventRow)).scalars()
    assert (row.study_instance_uid, row.step, row.state, row.text) == ("", "quarantine", "discarded", said)


@sqlite_only
def test_a_file_is_not_deleted_without_its_line(bench: Bench, quarantine: Quarantine) -> None:
    number = refuse_wrongly(bench)
    before = quarantine.entries()
    with without_table(bench.ledger, "event"), pytest.raises(LedgerUnavailable):
        quarantine.discard(number, "noise")
    assert quarantine.entries() == before
    assert files(bench, QUARANTINE) == [before[0].path]


@sqlite_only
def test_an_entry_whose_file_is_gone_can_only_be_discarded(bench: Bench, quarantine: Quarantine) -> None:
    number = refuse_wrongly(bench)
    (entry,) = quarantine.entries()
    bench.spool.locate(entry.path).unlink()
    assert quarantine.obstacle(entry) == "the file is no longer in the spool"
    with pytest.raises(NotInLedger):
        quarantine.release(number)
    quarantine.discard(number, "its file is gone")
    assert quarantine.entries() == ()


@sqlite_only
def test_a_sender_that_nobody_knows_is_named_so(bench: Bench, quarantine: Quarantine) -> None:
    file = bench.receiving.open(offered(ONE))
    file.write(data_set(ONE))
    file.file.keep()
    Reconciling(bench.ledger, bench.spool, bench.clock).reconcile(timedelta(0))
    (entry,) = quarantine.entries()
    quarantine.release(entry.id)
    with bench.ledger.transaction() as tx:
        (row,) = tx.session.execute(sa.select(InstanceRow)).scalars()
    assert (row.calling_ae, row.peer_address) == ("UNKNOWN", "unknown")


def test_nothing_can_be_done_with_what_is_not_there(quarantine: Quarantine) -> None:
    for verb in (quarantine.find, quarantine.release, lambda number: quarantine.discard(number, "noise")):
        with pytest.raises(NotInLedger, match="number 7"):
            verb(7)


def test_entries_are_listed_oldest_first(bench: Bench, quarantine: Quarantine) -> None:
    refuse(bench)
    bench.clock.advance(5)
    number = refuse_wrongly(bench)
    first, second = quarantine.entries()
    assert (first.at < second.at, second.id) == (True, number)
    assert isinstance(quarantine.find(number), Quarantined)
    assert quarantine.find(number) == second
