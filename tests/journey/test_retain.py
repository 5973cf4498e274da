"""A study leaves when all is done with it and it is old enough: first its rows, then slowly its files."""

import logging
import re
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomnode.domain.archive import Query
from dicomnode.domain.capacity import DiskLevel
from dicomnode.domain.commitment import FailureReason
from dicomnode.domain.errors import NotInLedger, SpoolFull
from dicomnode.domain.steps import Done
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.children import Children
from dicomnode.journey import retain
from dicomnode.journey.archive import LedgerArchive
from dicomnode.journey.reconcile import SETTLED, Reconciliation, Reconciling
from dicomnode.journey.retain import Retention
from dicomnode.ledger.commitments import find_commitment
from dicomnode.ledger.deliveries import delivery_counts, outstanding
from dicomnode.ledger.studies import find_study
from dicomnode.ledger.tables import HeaderRow
from dicomnode.node.clock import SystemClock
from tests.builders import PATIENT_NAME, a_series, uid
from tests.conftest import ROOT, FakeClock
from tests.dimse.commitment_peer import Modality
from tests.journey.bench import STUDY, Bench, sqlite_only, t2
from tests.journey.retaining import KEEP, Disk, a_delivered_study, deliver, files, pending, retention
from tests.journey.test_commit import TRANSACTION, _accept, _committing, _request

HOUR = 3600.0


@pytest.fixture
def clock() -> FakeClock:
    """A clock that begins with the clock of the files: their age counts here."""
    return FakeClock(datetime.now(UTC) + timedelta(minutes=1))


def _wait(bench: Bench, time: timedelta = KEEP) -> None:
    bench.clock.advance(time.total_seconds() + HOUR)


def _run(retaining: Retention, bench: Bench, steps: int = 10) -> None:
    """Call it every second, as the node does."""
    for _ in range(steps):
        retaining.step()
        bench.clock.advance(1)


def _obstacles(retaining: Retention) -> str:
    (verdict,) = retaining.verdicts()
    assert verdict.may_go == (not verdict.obstacles)
    return " / ".join(verdict.obstacles)


def test_what_is_delivered_and_old_enough_leaves_first_the_ledger_then_the_spool(bench: Bench) -> None:
    a_delivered_study(bench)
    _wait(bench)
    retaining = retention(bench)
    assert _obstacles(retaining) == ""
    assert len(files(bench)) == 6
    size = sum(one.size for one in bench.instances())

    retaining.step()
    assert bench.instances() == ()
    assert sorted(pending(bench)) == files(bench)
    assert len(files(bench)) == 6
    (event,) = bench.events("retain")
    assert event.state == "removed"
    assert event.text == (
        f"Removed by retention: 6 instances, {size / 1e6:.1f} MB, because nothing of it was received for 30 days "
        "and everything made of it was delivered."
    )

    _run(retaining, bench)
    assert (files(bench), pending(bench)) == ([], ())
    assert list((bench.spool.root / "removed").iterdir()) == []
    assert list(retaining.verdicts()) == []
    assert Reconciling(bench.ledger, bench.spool, bench.clock).reconcile(timedelta(0)) == Reconciliation(
        files=0, rows=0
    )


def test_the_record_of_a_removed_study_stays(bench: Bench) -> None:
    derivation, _received = a_delivered_study(bench)
    _wait(bench)
    before = bench.events()
    _run(retention(bench), bench)
    with bench.ledger.transaction() as tx:
        summary = find_study(tx, STUDY)
    assert (summary.instances, summary.revision, summary.patient_name) == (0, 1, PATIENT_NAME)
    assert bench.events()[:-1] == before
    assert [one.derivation_key for one in bench.decisions()] == [derivation.key]
    (record,) = bench.derivations()
    assert record.state == "removed"
    assert record.deliveries == {"pacs": {"stored": 3}}


def test_nobody_is_shown_or_promised_what_was_removed(bench: Bench) -> None:
    derivation, received = a_delivered_study(bench)
    archive = LedgerArchive(bench.ledger, bench.spool)
    assert len(archive.search_instances(Query(limit=100))) == 6
    _wait(bench)
    _run(retention(bench), bench)
    for search in (archive.search_studies, archive.search_series, archive.search_instances):
        assert search(Query(limit=100)) == ()
    with pytest.raises(NotInLedger):
        archive.metadata(STUDY)
    with bench.ledger.transaction() as tx:
        assert tx.session.execute(sa.select(HeaderRow.instance_id)).all() == []
    with pytest.raises(NotInLedger, match="removed from this node by retention"):
        bench.operator.resend(derivation.key, "pacs")
    with pytest.raises(NotInLedger):
        bench.operator.retry(derivation.key)

    with Modality().listening() as modality:
        _accept(bench, _request(list(received)))
        assert isinstance(_committing(bench, modality.port)(TRANSACTION, attempt=1), Done)
    with bench.ledger.transaction() as tx:
        record = find_commitment(tx, TRANSACTION)
    assert [one.reason for one in record.failed] == [FailureReason.NO_SUCH_INSTANCE] * 3


@sqlite_only
def test_before_its_age_a_study_stays_and_is_told_until_when(bench: Bench) -> None:
    a_delivered_study(bench)
    until = bench.clock.now() + KEEP
    bench.clock.advance(KEEP.total_seconds() - HOUR)
    retaining = retention(bench)
    assert _obstacles(retaining) == f"it is kept until {until:%Y-%m-%d %H:%M} UTC"
    _run(retaining, bench)
    assert len(bench.instances()) == 6


@sqlite_only
def test_nothing_goes_by_age_unless_the_administrator_says_after_how_long(bench: Bench) -> None:
    a_delivered_study(bench)
    _wait(bench, timedelta(days=5000))
    retaining = retention(bench, Disk(DiskLevel.FULL), keep=None)
    assert _obstacles(retaining) == "keep_days is not set: nothing is removed by age"
    _run(retaining, bench)
    assert len(bench.instances()) == 6


@sqlite_only
def test_where_it_is_allowed_studies_make_room_while_the_disk_lacks_it(bench: Bench) -> None:
    a_delivered_study(bench)
    disk = Disk()
    retaining = retention(bench, disk, keep=None, make_room=True)
    _wait(bench, timedelta(hours=2))
    assert _obstacles(retaining) == "there is room"
    _run(retaining, bench)
    assert len(bench.instances()) == 6
    disk.level = DiskLevel.LOW
    assert _obstacles(retaining) == ""
    bench.clock.advance(HOUR)
    _run(retaining, bench)
    assert files(bench) == []
    assert "because the disk of the spool lacked room" in bench.events("retain")[0].text


@sqlite_only
def test_even_then_no_study_goes_within_its_first_hour(bench: Bench) -> None:
    a_delivered_study(bench)
    bench.clock.advance(HOUR - 60)
    retaining = retention(bench, Disk(DiskLevel.FULL), make_room=True)
    assert "it is kept until" in _obstacles(retaining)
    _run(retaining, bench)
    assert len(bench.instances()) == 6


@sqlite_only
def test_the_oldest_goes_first_and_only_as_long_as_room_is_lacking(bench: Bench) -> None:
    for study in ("second", "first"):
        bench.receive(a_series(study=study, slices=1, shape=(4, 4)))
        bench.complete()
        bench.deciding()(uid(study), 1, attempt=1)
    bench.clock.advance(2 * HOUR)
    disk = Disk(DiskLevel.LOW)
    retaining = retention(bench, disk, make_room=True)
    assert [verdict.holding.study_instance_uid for verdict in retaining.verdicts()] == [uid("second"), uid("first")]
    retaining.step()
    disk.level = DiskLevel.OK
    _run(retaining, bench)
    assert [verdict.holding.study_instance_uid for verdict in retaining.verdicts()] == [uid("first")]
    assert len(files(bench)) == 1


def test_a_delivery_that_is_asked_for_again_keeps_the_study(bench: Bench) -> None:
    derivation, _received = a_delivered_study(bench)
    _wait(bench)
    bench.operator.resend(derivation.key, "pacs")
    retaining = retention(bench)
    _run(retaining, bench)
    assert len(bench.instances()) == 6
    assert _obstacles(retaining) == "3 instances wait for pacs"
    deliver(bench, derivation)
    assert _obstacles(retaining) == ""
    assert _obstacles(retention(bench, asked=frozenset({"pacs"}))) == "pacs does not list 3 instances yet"


@sqlite_only
def test_a_study_that_nobody_decided_stays(bench: Bench) -> None:
    bench.receive(t2())
    _wait(bench)
    assert _obstacles(retention(bench)) == "it has received instances since it was last complete"
    bench.complete()
    assert _obstacles(retention(bench)) == "the rules have not decided its revision 1"


@sqlite_only
def test_where_there_is_no_rule_a_study_is_decided_as_well(bench: Bench) -> None:
    bench.receive(t2())
    bench.complete()
    bench.deciding("rules: []")(STUDY, 1, attempt=1)
    _wait(bench)
    assert _obstacles(retention(bench)) == ""


@sqlite_only
def test_what_a_person_holds_stays_until_it_is_given_free(bench: Bench) -> None:
    a_delivered_study(bench)
    retaining = retention(bench)
    assert retaining.hold(STUDY, "a teaching case") == "An operator holds this study: a teaching case"
    _wait(bench)
    _run(retaining, bench)
    assert _obstacles(retaining) == "a person holds it: a teaching case"
    retaining.release(STUDY)
    assert [event.state for event in bench.events("retain")] == ["held", "done"]
    bench.clock.advance(HOUR)
    _run(retaining, bench)
    assert files(bench) == []
    with pytest.raises(NotInLedger, match="no instances"):
        retaining.hold(STUDY, "too late")


@sqlite_only
def test_the_same_bytes_that_come_again_begin_the_age_anew(bench: Bench) -> None:
    """They change no row, and yet their sender was told that they are kept."""
    now = bench.clock.now()
    bench.clock.advance(-40 * 24 * HOUR)
    a_delivered_study(bench)
    bench.clock.advance((now - bench.clock.now()).total_seconds())
    # The rows are 40 days old; the files have just got their names.
    until = now + KEEP - timedelta(minutes=1)
    told = _obstacles(retention(bench))
    assert abs(datetime.strptime(told, "it is kept until %Y-%m-%d %H:%M UTC").replace(tzinfo=UTC) - until) < timedelta(
        minutes=3
    )


def test_files_go_slowly(bench: Bench) -> None:
    bench.receive(a_series(slices=50, shape=(2, 2)))
    bench.complete()
    bench.deciding()(STUDY, 1, attempt=1)
    _wait(bench)
    retaining, left = retention(bench), []
    for _ in range(5):
        retaining.step()
        left.append(len(files(bench)))
    assert left == [50, 30, 10, 0, 0]


@sqlite_only
def test_while_the_node_receives_nothing_is_unlinked_unless_room_is_lacking(bench: Bench) -> None:
    a_delivered_study(bench)
    _wait(bench)
    disk = Disk()
    retaining = retention(bench, disk)
    retaining.step()
    bench.receive(a_series(study="other", slices=1, shape=(4, 4)))
    for _ in range(5):
        retaining.step()
        bench.clock.advance(0.9)
    assert len(files(bench)) == 7
    disk.level = DiskLevel.LOW
    retaining.step()
    assert len(files(bench)) == 1


@sqlite_only
def test_where_nothing_may_go_all_studies_are_looked_at_only_now_and_then(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_delivered_study(bench)
    bench.clock.advance(HOUR)
    retaining, looks = retention(bench), []
    monkeypatch.setattr(retaining, "remove_next", lambda: looks.append(bench.clock.now()))
    _run(retaining, bench, 1300)
    assert len(looks) == 3
    assert looks[1] - looks[0] >= timedelta(minutes=10)


def test_a_study_that_comes_again_before_its_files_are_unlinked_keeps_them(bench: Bench) -> None:
    _derivation, received = a_delivered_study(bench)
    _wait(bench)
    retaining = retention(bench)
    retaining.step()
    bench.receive(received)
    bench.clock.advance(HOUR)
    assert len(pending(bench)) == 6
    _run(retaining, bench)
    assert pending(bench) == ()
    assert len(bench.instances()) == 3
    assert sorted(one.path for one in bench.instances()) == files(bench)
    assert bench.complete().number == 2


@sqlite_only
def test_a_file_that_is_just_being_received_is_left_until_that_has_ended(bench: Bench) -> None:
    """Its row is about to be committed: between the two, only its age tells."""
    _derivation, received = a_delivered_study(bench)
    retaining = retention(bench, keep=timedelta(0))
    bench.clock.advance(30)
    retaining.step()
    assert len(pending(bench)) == 6
    _run(retaining, bench, 60)
    assert len(files(bench)) == 6
    bench.receive(received[:1])
    bench.clock.advance(SETTLED.total_seconds())
    _run(retention(bench, keep=None), bench)
    assert [one.path for one in bench.instances()] == files(bench)
    assert pending(bench) == ()


def test_a_study_that_comes_again_after_it_was_removed_is_made_and_delivered_again(
    bench: Bench, children: Children
) -> None:
    derivation, received = a_delivered_study(bench)
    bench.operator.resend(derivation.key, "pacs")
    deliver(bench, derivation)
    _wait(bench)
    _run(retention(bench), bench)
    assert files(bench) == []

    again = bench.ask(received)
    assert (again.key, again.revision) == (derivation.key, 2)
    assert f"{derivation.key}:round2:1" in bench.jobs("derive")
    assert isinstance(bench.deriving(children)(again.key, attempt=1), Done)
    with bench.ledger.transaction() as tx:
        assert len(outstanding(tx, again.key, "pacs")) == 3
    assert bench.jobs("deliver")[-1].endswith(":pacs:round3:1")
    assert len(bench.instances()) == 6
    assert "wait for pacs" in _obstacles(retention(bench))


@sqlite_only
def test_a_study_that_comes_again_without_having_been_removed_makes_no_new_work(bench: Bench) -> None:
    _derivation, received = a_delivered_study(bench)
    bench.receive(received, a_series(series="more", slices=1, shape=(4, 4)))
    bench.complete()
    bench.deciding()(STUDY, 2, attempt=1)
    assert [one.round for one in bench.derivations()] == [1]
    with bench.ledger.transaction() as tx:
        assert delivery_counts(tx, bench.derivations()[0].key, "pacs") == {"stored": 3}


@sqlite_only
def test_files_that_the_disk_does_not_let_go_stay_on_the_list(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    a_delivered_study(bench)
    _wait(bench)
    retaining = retention(bench)
    retaining.step()
    aside = bench.spool.root / "removed"
    aside.rmdir()
    aside.touch()
    with caplog.at_level(logging.WARNING):
        retaining.step()
    with pytest.raises(SpoolFull):
        retaining.step()
    assert len(pending(bench)) == len(files(bench)) == 6
    assert f"file {pending(bench)[0]} stays" in caplog.text
    assert PATIENT_NAME not in caplog.text
    aside.unlink()
    aside.mkdir()
    _run(retaining, bench)
    assert (files(bench), pending(bench)) == ([], ())


_KILLED = """
import os, signal, sys
from pathlib import Path
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.removal import RemovalRoom
from dicomnode.spool.store import Spool
from dicomnode.engine.queues import Queues
from tests.conftest import FakeClock
from tests.journey.bench import Bench
from tests.journey.retaining import retention
from datetime import datetime

def power_cut(*_arguments, **_named):
    os.kill(os.getpid(), signal.SIGKILL)

ledger = Ledger(sys.argv[1])
bench = Bench(ledger, Spool(Path(sys.argv[2])), Queues(ledger), FakeClock(datetime.fromisoformat(sys.argv[3])))
retaining = retention(bench)
{cut} = power_cut
while True:
    retaining.step()
"""


def _kill(bench: Bench, cut: str) -> None:
    program = _KILLED.format(cut=cut)
    arguments = [bench.ledger.url, str(bench.spool.root), bench.clock.now().isoformat()]
    ended = subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("cut", "left"),
    [("RemovalRoom.remove", (6, 0)), ("Path.unlink", (5, 1)), ("RemovalRoom.sync", (0, 0))],
)
def test_after_a_kill_between_rows_and_files_the_rest_goes_and_nothing_is_taken_for_lost(
    bench: Bench, cut: str, left: tuple[int, int]
) -> None:
    a_delivered_study(bench)
    other = a_series(study="other", slices=1, shape=(4, 4))
    bench.receive(other)
    _wait(bench)
    _kill(bench, cut)
    assert bench.instances() == ()
    assert len(pending(bench)) == 6
    assert (len(files(bench)) - 1, len(list((bench.spool.root / "removed").iterdir()))) == left

    done = Reconciling(bench.ledger, bench.spool, bench.clock).reconcile(timedelta(0))
    assert (done.set_aside, done.recorded, done.missing) == ((), 0, ())
    _run(retention(bench), bench)
    assert (len(files(bench)), pending(bench)) == (1, ())
    assert list((bench.spool.root / "removed").iterdir()) == []


@sqlite_only
def test_a_file_that_a_kill_left_aside_is_put_back_where_a_row_names_it(bench: Bench) -> None:
    bench.receive(t2())
    one = bench.instances()[0]
    aside = bench.spool.root / "removed"
    aside.mkdir()
    bench.spool.locate(one.path).rename(aside / f"00-{Path(one.path).name}")
    _wait(bench)
    _run(retention(bench), bench)
    assert bench.spool.locate(one.path).is_file()
    assert list(aside.iterdir()) == []


def test_what_is_acknowledged_while_its_study_is_removed_is_in_ledger_and_spool(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes come again, in real time, while retention is at its rows and at its files."""
    age = timedelta(seconds=1.5)
    monkeypatch.setattr(retain, "SETTLED", age)
    now = Bench(bench.ledger, bench.spool, bench.queues, SystemClock())  # type: ignore[arg-type]
    names = [f"study {number}" for number in range(12)]
    series = {name: a_series(study=name, slices=3, shape=(4, 4)) for name in names}
    now.receive(*series.values())
    now.completion(FakeClock(now.clock.now() + timedelta(minutes=1))).sweep()
    for name in names:
        now.deciding()(uid(name), 1, attempt=1)
    threading.Event().wait(age.total_seconds())

    retaining, has_ended = retention(now, keep=age), threading.Event()

    def unlink_all() -> None:
        retaining._place = ""
        while retaining.unlink_some():
            pass

    def remove() -> None:
        for name in names:
            retaining._remove(StudyInstanceUID(uid(name)))
            unlink_all()
        while not has_ended.is_set():
            unlink_all()

    removing = threading.Thread(target=remove)
    removing.start()
    now.receive(*reversed(series.values()))
    has_ended.set()
    removing.join()
    threading.Event().wait(age.total_seconds())
    unlink_all()
    with now.ledger.transaction() as tx:
        assert [find_study(tx, uid(name)).instances for name in names] == [3] * len(names)
    assert len(files(now)) == 36


def test_no_line_of_a_removal_names_the_patient(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    a_delivered_study(bench)
    _wait(bench)
    with caplog.at_level(logging.DEBUG):
        _run(retention(bench), bench)
    assert re.search(f"study {re.escape(STUDY)} removed by retention: 6 instances", caplog.text)
    assert PATIENT_NAME not in caplog.text + bench.events("retain")[0].text
