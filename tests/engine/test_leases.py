"""Who is alive, and who takes over the jobs of the dead."""

import signal
import threading
import time
from datetime import timedelta

import sqlalchemy as sa

from dicomnode.engine.leases import claim_dead, dead_executors, declare_all_dead, end_lease, renew_lease
from dicomnode.ledger.tables import ExecutorRow, TakeOverRow
from dicomnode.ledger.transaction import Ledger
from tests.engine.conftest import Site, job, sqlite_only
from tests.ledger.values import later
from tests.waiting import wait_for

LEASE = timedelta(seconds=30)
LONG = 60.0
"""A lease in seconds that no test outlives: who has it is dead only when the test says so."""


def _beats(ledger: Ledger, **beats: float) -> None:
    with ledger.transaction() as tx:
        for executor_id, at in beats.items():
            renew_lease(tx, executor_id, later(at))


def _dead(ledger: Ledger, at: float) -> set[str]:
    with ledger.transaction() as tx:
        return set(dead_executors(tx, later(at), LEASE))


def _say_dead(site: Site, executor_id: str) -> None:
    with site.ledger.transaction() as tx:
        end_lease(tx, executor_id)


def _take_overs(site: Site, job_id: str) -> int:
    with site.ledger.transaction() as tx:
        return tx.session.execute(
            sa.select(TakeOverRow.times).where(TakeOverRow.workflow_id == job_id)
        ).scalar_one_or_none() or 0  # fmt: skip


def test_a_worker_is_dead_when_its_lease_ran_out(ledger: Ledger) -> None:
    _beats(ledger, one=0, two=10)
    assert _dead(ledger, 30) == set()
    assert _dead(ledger, 30.1) == {"one"}

    _beats(ledger, one=31)
    assert _dead(ledger, 41) == {"two"}


def test_a_lease_can_be_ended_at_once(ledger: Ledger) -> None:
    _beats(ledger, one=0, two=0)
    with ledger.transaction() as tx:
        end_lease(tx, "one")
    assert _dead(ledger, 1) == {"one"}


def test_an_exclusive_lock_lets_all_others_be_declared_dead(ledger: Ledger) -> None:
    _beats(ledger, one=0, two=0, me=0)
    with ledger.transaction() as tx:
        assert declare_all_dead(tx, survivor="me") == 2
    assert _dead(ledger, 1) == {"one", "two"}


def test_of_many_reapers_one_claims_the_dead(ledger: Ledger) -> None:
    _beats(ledger, gone=0)
    claims: list[bool] = []
    barrier = threading.Barrier(5)

    def claim() -> None:
        barrier.wait()
        with ledger.transaction() as tx:
            is_mine = claim_dead(tx, "gone", later(60), LEASE)
        claims.append(is_mine)

    threads = [threading.Thread(target=claim) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False, False, False, False, True]


def test_a_claim_runs_out_like_a_lease_when_its_reaper_dies(ledger: Ledger) -> None:
    _beats(ledger, gone=0)
    with ledger.transaction() as tx:
        assert claim_dead(tx, "gone", later(60), LEASE)
    assert _dead(ledger, 90) == set()
    assert _dead(ledger, 91) == {"gone"}


def test_the_living_cannot_be_claimed(ledger: Ledger) -> None:
    _beats(ledger, alive=50)
    with ledger.transaction() as tx:
        assert not claim_dead(tx, "alive", later(60), LEASE)
        assert not claim_dead(tx, "never seen", later(60), LEASE)


def test_a_job_whose_worker_was_killed_in_the_middle_is_done_by_another(site: Site) -> None:
    first = site.worker("first")
    site.enqueue(job("quick", "finished"), job("slow", "halfway"))
    wait_for(lambda: site.notes("begun", "halfway"))
    wait_for(lambda: not site.unfinished("finished"))
    first.kill()
    site.let_go("halfway")

    site.worker("second", lease=LONG)
    _say_dead(site, "first")
    wait_for(lambda: not site.unfinished("halfway"))

    assert [note["by"] for note in site.notes("begun", "halfway")] == ["first", "second"]
    assert [note["by"] for note in site.notes("ended", "halfway")] == ["second"]
    assert len(site.notes("quick", "finished")) == 1
    with site.ledger.transaction() as tx:
        assert tx.session.execute(sa.select(ExecutorRow.executor_id)).scalars().all() == ["second"]


@sqlite_only
def test_a_dead_worker_is_found_by_its_lease_alone(site: Site) -> None:
    first = site.worker("first", lease=2)
    site.enqueue(job("slow", "silent"))
    wait_for(lambda: site.notes("begun", "silent"))
    first.kill()
    site.let_go("silent")

    site.worker("second", lease=2)
    wait_for(lambda: site.notes("ended", "silent"))
    assert [note["name"] for note in site.notes("resumed")] == ["slow:silent:1"]


def test_a_job_that_kills_its_workers_is_parked_the_third_time(site: Site) -> None:
    site.enqueue(job("poison", "deadly"))
    for number in (1, 2, 3):
        worker = site.worker(f"victim-{number}", lease=LONG)
        if number > 1:
            _say_dead(site, f"victim-{number - 1}")
        assert worker.wait() == 9

    site.worker("survivor", lease=LONG)
    _say_dead(site, "victim-3")
    (parked,) = wait_for(lambda: site.notes("parked"))
    site.enqueue(job("quick", "goes-on"))
    wait_for(lambda: site.notes("quick", "goes-on"))

    assert (parked["name"], parked["step"], parked["why"]) == (
        "deadly",
        "poison",
        "its worker died 3 times while it ran",
    )
    assert [note["by"] for note in site.notes("poison")] == ["victim-1", "victim-2", "victim-3"]
    assert site.unfinished("deadly") == []
    assert len(site.notes("parked")) == 1


def test_several_reapers_take_a_job_over_once(site: Site) -> None:
    first = site.worker("first")
    site.enqueue(job("slow", "contested"))
    wait_for(lambda: site.notes("begun", "contested"))
    first.kill()
    for name in ("second", "third"):
        site.worker(name, lease=LONG)
    _say_dead(site, "first")

    wait_for(lambda: len(site.notes("begun", "contested")) == 2)
    time.sleep(0.5)
    assert len(site.notes("begun", "contested")) == 2
    assert _take_overs(site, "slow:contested:1") == 1


@sqlite_only
def test_a_worker_does_not_take_over_from_itself(site: Site) -> None:
    """A laptop that slept wakes with its own lease run out, and its reaper may look first."""
    site.worker("sleeper", lease=LONG)
    site.enqueue(job("slow", "own"))
    wait_for(lambda: site.notes("begun", "own"))
    _say_dead(site, "sleeper")
    time.sleep(0.5)
    site.let_go("own")

    wait_for(lambda: not site.unfinished("own"))
    assert len(site.notes("begun", "own")) == 1
    assert site.notes("resumed") == []


def test_a_frozen_worker_that_comes_back_changes_nothing(site: Site) -> None:
    frozen = site.worker("frozen")
    site.enqueue(job("slow", "stolen"))
    wait_for(lambda: site.notes("begun", "stolen"))
    frozen.send_signal(signal.SIGSTOP)
    site.worker("heir", lease=LONG)
    _say_dead(site, "frozen")
    wait_for(lambda: len(site.notes("begun", "stolen")) == 2)
    site.let_go("stolen")
    wait_for(lambda: not site.unfinished("stolen"))
    frozen.send_signal(signal.SIGCONT)

    wait_for(lambda: {note["by"] for note in site.notes("ended", "stolen")} == {"frozen", "heir"})
    for number in range(8):
        site.enqueue(job("quick", f"after-{number}"))
    wait_for(lambda: len(site.notes("quick")) == 8)
    assert len(site.notes("begun", "stolen")) == 2
    assert site.unfinished("stolen") == []
    assert frozen.process.is_alive()


@sqlite_only
def test_a_job_that_broke_is_told_once_also_when_it_was_taken_over_before(site: Site) -> None:
    first = site.worker("first")
    site.enqueue(job("slow", "breaks-later"), job("broken", "breaks"))
    wait_for(lambda: site.notes("broken", "breaks") and not site.unfinished("breaks"))
    with site.ledger.transaction() as tx:
        tx.session.add(TakeOverRow(workflow_id="broken:breaks:1", times=1, parked=False, at=later(0)))
    first.kill()
    second = site.worker("second", lease=LONG)
    wait_for(lambda: site.notes("parked", "breaks") and _is_noted(site, "broken:breaks:1"))
    second.kill()

    site.worker("third", lease=LONG)
    site.enqueue(job("broken", "breaks-too"))
    wait_for(lambda: site.notes("parked", "breaks-too"))
    (told,) = site.notes("parked", "breaks")
    assert told["step"] == "broken"
    assert told["why"].startswith("the step broke with ")


def _is_noted(site: Site, workflow_id: str) -> bool:
    """Whether the ledger knows that a job was parked; it is told first, so a kill in between tells it twice."""
    with site.ledger.transaction() as tx:
        row = tx.session.get(TakeOverRow, workflow_id)
        return row is not None and row.parked
