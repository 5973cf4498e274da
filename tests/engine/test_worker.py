"""A worker runs each job once, in order of priority, and tries again by a row of its own."""

import pytest

from tests.engine.conftest import Site, job, sqlite_only
from tests.waiting import wait_for


def test_a_job_runs_once_with_its_arguments(running: Site) -> None:
    running.enqueue(job("quick", "once", "1.2.3", 7))
    wait_for(lambda: running.notes("quick", "once"))
    wait_for(lambda: not running.unfinished("once"))

    (note,) = running.notes("quick", "once")
    assert (note["arguments"], note["attempt"], note["by"]) == (["once", "1.2.3", 7], 1, "host:work:1")


def test_the_same_job_id_again_is_the_same_job(running: Site) -> None:
    running.enqueue(job("quick", "same"), job("quick", "same"))
    wait_for(lambda: running.notes("quick", "same"))
    wait_for(lambda: not running.unfinished("same"))
    running.enqueue(job("quick", "same"), job("quick", "later"))

    wait_for(lambda: running.notes("quick", "later"))
    assert len(running.notes("quick", "same")) == 1


def test_a_job_of_a_transaction_that_failed_never_was(running: Site) -> None:
    def enqueue_and_fail() -> None:
        with running.ledger.transaction() as tx:
            running.queues.enqueue(tx, job("quick", "rolled-back"))
            raise RuntimeError("something else went wrong")

    with pytest.raises(RuntimeError, match="something else"):
        enqueue_and_fail()
    running.enqueue(job("quick", "after"))

    wait_for(lambda: running.notes("quick", "after"))
    assert running.notes("quick", "rolled-back") == []
    assert running.unfinished("rolled-back") == []


def test_a_job_starts_only_after_its_transaction(running: Site) -> None:
    with running.ledger.transaction() as tx:
        running.queues.enqueue(tx, job("quick", "uncommitted"))
        tx.session.flush()
        with running.ledger.engine.connect():
            assert running.notes("quick", "uncommitted") == []
    wait_for(lambda: running.notes("quick", "uncommitted"))


def test_a_step_that_asks_for_it_is_tried_again_after_its_delay(running: Site) -> None:
    running.enqueue(job("flaky", "again", 2, 1))
    wait_for(lambda: len(running.notes("flaky", "again")) == 2)
    wait_for(lambda: not running.unfinished("again"))

    first, second = running.notes("flaky", "again")
    assert (first["attempt"], second["attempt"]) == (1, 2)
    assert second["at"] - first["at"] >= 1


def test_a_job_that_waits_for_its_next_attempt_holds_up_no_other(running: Site) -> None:
    running.enqueue(job("flaky", "waits", 2, 3600, queue="one"))
    wait_for(lambda: running.unfinished("waits") == ["flaky:waits:2"])

    running.enqueue(job("quick", "passes", queue="one"))
    wait_for(lambda: running.notes("quick", "passes"))


def test_a_job_left_to_a_person_is_not_tried_again(running: Site) -> None:
    running.enqueue(job("operator", "person"))
    wait_for(lambda: running.notes("operator", "person"))
    wait_for(lambda: not running.unfinished("person"))
    assert len(running.notes("operator", "person")) == 1


def test_a_step_that_breaks_takes_nobody_with_it(running: Site) -> None:
    running.enqueue(job("broken", "breaks", queue="one"))
    wait_for(lambda: running.notes("broken", "breaks"))
    running.enqueue(job("quick", "survives", queue="one"))

    wait_for(lambda: running.notes("quick", "survives"))
    assert len(running.notes("broken", "breaks")) == 1


def test_stat_is_served_before_routine(running: Site) -> None:
    running.enqueue(job("slow", "holds", queue="one"))
    wait_for(lambda: running.notes("begun", "holds"))
    running.enqueue(
        job("quick", "routine-1", queue="one"),
        job("quick", "routine-2", queue="one"),
        job("quick", "stat", queue="one", priority=1),
    )
    running.let_go("holds")

    names = ("routine-1", "routine-2", "stat")
    served = wait_for(lambda: (seen := [n["name"] for n in running.notes("quick") if n["name"] in names])[2:] and seen)
    assert served == ["stat", "routine-1", "routine-2"]


def test_a_queue_runs_no_more_jobs_at_once_than_it_may(running: Site) -> None:
    running.enqueue(job("slow", "first", queue="one"), job("slow", "second", queue="one"), job("slow", "beside"))
    wait_for(lambda: running.notes("begun", "first") and running.notes("begun", "beside"))
    running.enqueue(job("quick", "proof"))
    wait_for(lambda: running.notes("quick", "proof"))
    assert running.notes("begun", "second") == []

    running.let_go("first")
    wait_for(lambda: running.notes("begun", "second"))
    running.let_go("second")
    running.let_go("beside")
    wait_for(lambda: running.notes("ended", "second") and running.notes("ended", "beside"))


@sqlite_only
def test_jobs_wait_for_a_worker_that_starts_later(site: Site) -> None:
    site.enqueue(job("quick", "early"))
    assert site.unfinished("early") == ["quick:early:1"]

    worker = site.worker("late")
    wait_for(lambda: site.notes("quick", "early"))
    assert worker.stop() == 0


@sqlite_only
def test_the_next_attempt_survives_the_death_of_the_worker(site: Site) -> None:
    first = site.worker("first")
    site.enqueue(job("flaky", "survives", 2, 1))
    wait_for(lambda: site.unfinished("survives") == ["flaky:survives:2"])
    first.kill()

    site.worker("second")
    wait_for(lambda: not site.unfinished("survives"))
    assert [(note["attempt"], note["by"]) for note in site.notes("flaky")] == [(1, "first"), (2, "second")]


@sqlite_only
def test_a_worker_with_other_steps_finishes_what_an_earlier_version_left(site: Site) -> None:
    """Rows of another application version would never be picked up; the version is pinned."""
    old = site.worker("old")
    old.kill()
    site.enqueue(job("quick", "left"))

    site.worker("new", further_steps=("a_step_of_the_next_release",))
    wait_for(lambda: site.notes("quick", "left"))
