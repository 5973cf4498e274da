"""Spool and ledger agree after every crash: nothing is lost, nothing is taken from who is about to be acknowledged."""

import logging
import random
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from dicomnode.domain.study import ReceivedInstance
from dicomnode.journey.quarantine import Quarantine
from dicomnode.journey.reconcile import NEVER_RECORDED, SETTLED, Reconciliation, Reconciling
from dicomnode.ledger.quarantine import Quarantined, list_quarantined
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Kept, Spool
from tests.builders import PATIENT_NAME, a_series, uid
from tests.conftest import ROOT, FakeClock
from tests.journey.bench import SENDER, STUDY, Bench, data_set, offered, sqlite_only, without_table
from tests.ledger.values import received
from tests.web.holdings import Holdings, a_synthetic_series, encode

AT_ONCE = timedelta(0)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that begins with the clock of the files: their age counts here."""
    return FakeClock(datetime.now(UTC) + timedelta(minutes=1))


def reconcile(bench: Bench, settled: timedelta = AT_ONCE, *, deep: bool = False) -> Reconciliation:
    return Reconciling(bench.ledger, bench.spool, bench.clock).reconcile(settled, deep=deep)


def entries(bench: Bench) -> tuple[Quarantined, ...]:
    with bench.ledger.transaction() as tx:
        return list_quarantined(tx)


def a_file_without_a_row(bench: Bench, number: int = 0) -> Kept:
    """Leave what a crash between the rename and the commit leaves."""
    (dataset,) = a_series(slices=1, series=f"unrecorded {number}", shape=(8, 6))
    file = bench.receiving.open(offered(dataset))
    file.write(data_set(dataset))
    return file.file.keep()


def states(bench: Bench, study: str = STUDY) -> list[str]:
    return [event.state for event in bench.events("reconcile", study)]


def test_where_both_sides_agree_nothing_changes(bench: Bench) -> None:
    bench.receive(a_series(slices=4, shape=(8, 6)))
    done = reconcile(bench, deep=True)
    assert done == Reconciliation(files=4, rows=4)
    assert done.agrees
    assert states(bench) == []
    assert len(bench.instances()) == 4


def test_a_file_that_no_row_names_goes_into_quarantine_with_what_it_says_of_itself(bench: Bench) -> None:
    bench.receive(a_series(slices=2, shape=(8, 6)))
    stray = a_file_without_a_row(bench)
    done = reconcile(bench)

    (entry,) = entries(bench)
    assert done.agrees
    assert (done.files, done.rows, done.set_aside, done.recorded) == (3, 2, (entry.path,), 0)
    assert entry.path == f"quarantine/{stray.digest[:2]}/{stray.digest}.dcm"
    assert (entry.reason, entry.size, entry.at) == (NEVER_RECORDED, stray.size, bench.clock.now())
    assert (entry.calling_ae, entry.sop_instance_uid) == ("", uid("study", "unrecorded 0", "0"))
    assert bench.spool.locate(entry.path).stat().st_size == stray.size
    assert not bench.spool.locate(stray.path).exists()
    assert all(bench.spool.locate(one.path).is_file() for one in bench.instances())
    assert reconcile(bench) == Reconciliation(files=2, rows=2)


def test_beside_a_running_node_a_young_file_is_left_alone(bench: Bench) -> None:
    stray = a_file_without_a_row(bench)
    assert reconcile(bench, SETTLED).set_aside == ()
    assert bench.spool.locate(stray.path).is_file()
    bench.clock.advance(SETTLED.total_seconds())
    assert len(reconcile(bench, SETTLED).set_aside) == 1


def test_a_row_that_comes_while_both_sides_are_compared_keeps_its_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison reads the rows as they were when it began."""
    (dataset,) = a_series(slices=1, shape=(8, 6))
    kept = bench.spool.keep(encode(dataset))
    reconciling = Reconciling(bench.ledger, bench.spool, bench.clock)
    compare = reconciling._compare

    def compare_and_commit() -> object:
        found = compare()
        with bench.ledger.transaction() as tx:
            record_received(tx, _receipt(kept))
        return found

    monkeypatch.setattr(reconciling, "_compare", compare_and_commit)
    assert reconciling.reconcile(AT_ONCE).set_aside == ()
    assert bench.spool.locate(kept.path).is_file()


def _receipt(kept: Kept) -> ReceivedInstance:
    return received(1, study=STUDY, digest=kept.digest)


@sqlite_only
def test_a_file_that_says_nothing_of_itself_is_kept_as_well(bench: Bench) -> None:
    bench.spool.keep(b"\0" * 500)
    reconcile(bench)
    (entry,) = entries(bench)
    assert (entry.size, entry.calling_ae, entry.sop_instance_uid) == (500, "", "")


def test_a_refused_file_whose_row_was_never_written_is_put_on_the_list(bench: Bench) -> None:
    file = bench.spool.begin()
    file.write(b"no data set at all")
    kept = file.keep("quarantine")
    assert reconcile(bench, SETTLED).recorded == 0
    done = reconcile(bench)
    assert (done.set_aside, done.recorded) == ((), 1)
    assert [(entry.path, entry.reason) for entry in entries(bench)] == [(kept.path, NEVER_RECORDED)]
    assert reconcile(bench).recorded == 0


def test_a_missing_file_is_told_once_in_its_study_and_reported_each_time(bench: Bench) -> None:
    bench.receive(a_series(slices=3, shape=(8, 6)), a_series(study="other", slices=1, shape=(8, 6)))
    lost, later, _third = bench.instances()
    bench.spool.locate(lost.path).unlink()

    for _ in range(2):
        done = reconcile(bench)
        assert not done.agrees
        assert [file.sop_instance_uid for file in done.missing] == [lost.sop_instance_uid]
        assert (done.files, done.rows) == (3, 4)
    (event,) = bench.events("reconcile")
    assert (event.state, event.detail) == ("missing", {"digests": [lost.digest]})
    assert "missing from the spool: 1." in event.text

    bench.spool.locate(later.path).unlink()
    assert len(reconcile(bench).missing) == 2
    assert [event.detail for event in bench.events("reconcile")] == [
        {"digests": [lost.digest]},
        {"digests": [later.digest]},
    ]
    assert states(bench, uid("other")) == []


def test_what_is_missing_is_back_when_it_is_sent_again(bench: Bench) -> None:
    series = a_series(slices=2, shape=(8, 6))
    bench.receive(series)
    for one in bench.instances():
        bench.spool.locate(one.path).unlink()
    assert len(reconcile(bench).missing) == 2
    bench.receive(series)
    assert reconcile(bench, deep=True) == Reconciliation(files=2, rows=2)


def test_only_a_deep_look_finds_a_damaged_file_and_tells_it_once(bench: Bench) -> None:
    bench.receive(a_series(slices=2, shape=(8, 6)))
    broken, _whole = bench.instances()
    with bench.spool.locate(broken.path).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xaa")

    assert reconcile(bench).agrees
    for _ in range(2):
        done = reconcile(bench, deep=True)
        assert [file.sop_instance_uid for file in done.damaged] == [broken.sop_instance_uid]
        assert not done.agrees
    assert states(bench) == ["damaged"]
    assert bench.spool.locate(broken.path).is_file()


def test_random_differences_are_found_whatever_the_language_of_the_database(bench: Bench) -> None:
    """The two sides meet in the order of their paths, so both must have the same order."""
    chance = random.Random(7)
    digests = [chance.randbytes(32).hex() for _ in range(300)]
    with_file, with_row = set(chance.sample(digests, 200)), set(chance.sample(digests, 200))
    for digest in with_file:
        (bench.spool.root / "instances" / digest[:2] / f"{digest}.dcm").write_bytes(b"x")
    with bench.ledger.transaction() as tx:
        for number, digest in enumerate(sorted(with_row)):
            record_received(tx, received(number, digest=digest))

    done = reconcile(bench)
    assert (done.files, done.rows) == (200, 200)
    assert {Path(path).stem for path in done.set_aside} == with_file - with_row
    assert {file.digest for file in done.missing} == with_row - with_file
    assert {Path(entry.path).stem for entry in entries(bench)} == with_file - with_row


@sqlite_only
def test_many_differences_cost_few_transactions(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(150):
        a_file_without_a_row(bench, number)
    bench.receive(a_series(slices=150, shape=(2, 2)))
    for one in bench.instances():
        bench.spool.locate(one.path).unlink()

    commits: list[object] = []
    sa.event.listen(bench.ledger.engine, "commit", commits.append)
    with caplog.at_level(logging.INFO):
        done = reconcile(bench)
    assert (len(done.set_aside), len(done.missing)) == (150, 150)
    assert len(commits) <= 6
    assert (
        "spool and ledger reconciled: 150 files, 150 rows; 150 files set aside, 150 missing, 0 damaged" in caplog.text
    )
    assert PATIENT_NAME not in caplog.text


_KILLED_BEFORE_THE_COMMIT = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from dicomnode.journey import receive
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.clock import SystemClock
from dicomnode.spool.store import Spool
from tests.builders import a_series
from tests.journey.bench import data_set, offered

def power_cut(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)

receive.ReceptionLog.record = power_cut
(dataset,) = a_series(slices=1, shape=(8, 6))
sink = receive.Receiving(Ledger(sys.argv[1]), Spool(Path(sys.argv[2])), SystemClock()).open(offered(dataset))
sink.write(data_set(dataset))
sink.accept()
"""


def _kill_between_rename_and_commit(ledger: Ledger, spool: Spool) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", _KILLED_BEFORE_THE_COMMIT, ledger.url, str(spool.root)], cwd=ROOT, check=False
    )
    assert ended.returncode == -signal.SIGKILL


def test_after_a_kill_between_rename_and_commit_the_instance_can_still_be_released(bench: Bench) -> None:
    _kill_between_rename_and_commit(bench.ledger, bench.spool)
    bench.clock.advance(60)
    assert bench.instances() == ()
    assert len(reconcile(bench).set_aside) == 1
    (entry,) = entries(bench)
    Quarantine(bench.ledger, bench.spool, bench.clock, SENDER.called_ae).release(entry.id)
    assert len(bench.instances()) == 1
    assert reconcile(bench, deep=True) == Reconciliation(files=1, rows=1)


def test_what_a_derivation_left_before_its_commit_is_set_aside_and_made_again(bench: Bench) -> None:
    made = Holdings(bench.ledger, bench.spool, bench.clock)
    derivation = made.ask(made.receive(a_series(slices=2)))
    derived = a_synthetic_series("study", "derived", slices=2)
    for dataset in derived:
        bench.spool.keep(encode(dataset))

    assert len(reconcile(bench).set_aside) == 2
    assert {entry.sop_instance_uid for entry in entries(bench)} == {str(one.SOPInstanceUID) for one in derived}
    made.derive(derivation, derived)
    assert reconcile(bench, deep=True) == Reconciliation(files=4, rows=4)

    Quarantine(bench.ledger, bench.spool, bench.clock, SENDER.called_ae).release(entries(bench)[0].id)
    assert reconcile(bench, deep=True) == Reconciliation(files=4, rows=4)
    assert len(bench.instances()) == 4


@sqlite_only
def test_a_reconciliation_that_breaks_off_is_finished_by_the_next(bench: Bench) -> None:
    a_file_without_a_row(bench)
    with without_table(bench.ledger, "quarantine"), pytest.raises(Exception, match="did not take the change"):
        reconcile(bench)
    assert entries(bench) == ()
    done = reconcile(bench)
    assert (done.set_aside, done.recorded) == ((), 1)
    assert [entry.reason for entry in entries(bench)] == [NEVER_RECORDED]
