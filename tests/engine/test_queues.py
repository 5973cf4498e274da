"""Jobs as rows: named once, read back as they were, and forgotten only when they have long ended."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import APPLICATION_VERSION, Job, Queues, enqueue_options
from dicomnode.ledger.transaction import Ledger
from tests.engine.conftest import Site, job, sqlite_only
from tests.waiting import wait_for

_JOBS = st.builds(
    Job,
    step=st.sampled_from(["decide", "derive", "deliver"]),
    id=st.text(min_size=1, max_size=30),
    queue=st.sampled_from(["orchestrate", "gpu"]),
    arguments=st.lists(st.text(max_size=10) | st.integers(-(2**53), 2**53), max_size=3).map(tuple),
    priority=st.integers(1, 10),
    attempt=st.integers(1, 10**6),
    delay_seconds=st.floats(0, 10**6),
)


@given(_JOBS)
def test_a_job_comes_back_from_the_engine_as_it_was(given_job: Job) -> None:
    assert Job.from_json(json.loads(json.dumps(asdict(given_job)))) == given_job


@given(_JOBS)
def test_the_next_attempt_is_a_job_of_its_own(given_job: Job) -> None:
    after = given_job.next_attempt(30)
    assert after.workflow_id != given_job.workflow_id
    assert (after.id, after.attempt, after.delay_seconds) == (given_job.id, given_job.attempt + 1, 30)


def test_a_job_is_described_with_its_priority_and_the_pinned_version() -> None:
    options = enqueue_options(job("derive", "x", priority=1))
    assert options["workflow_id"] == "derive:x:1"
    assert options["priority"] == 1
    assert options["app_version"] == APPLICATION_VERSION == "1"
    assert "delay_seconds" not in options
    assert enqueue_options(job("derive", "x", delay_seconds=5))["delay_seconds"] == 5


def test_what_waits_is_listed_whether_now_or_later(ledger: Ledger) -> None:
    queues = Queues(ledger)
    with ledger.transaction() as tx:
        queues.enqueue(tx, job("quick", "now"))
        queues.enqueue(tx, job("quick", "later", delay_seconds=3600))
    assert sorted(queues.unfinished()) == ["quick:later:1", "quick:now:1"]
    queues.close()


def test_a_uid_is_an_argument_like_any_text(ledger: Ledger) -> None:
    queues = Queues(ledger)
    with ledger.transaction() as tx:
        queues.enqueue(tx, Job(step="decide", id="study", queue="many", arguments=(StudyInstanceUID("1.2.3"), 1)))
    assert queues.unfinished() == ["study:1"]
    queues.close()


def test_what_has_not_ended_is_never_forgotten(ledger: Ledger) -> None:
    queues = Queues(ledger)
    with ledger.transaction() as tx:
        queues.enqueue(tx, job("quick", "now"))
        queues.enqueue(tx, job("quick", "later", delay_seconds=3600))
    assert queues.forget_finished(datetime.now(UTC) + timedelta(days=1)) == 0
    assert len(queues.unfinished()) == 2
    queues.close()


@sqlite_only
def test_jobs_are_forgotten_by_when_they_ended_not_by_when_they_began(site: Site) -> None:
    site.worker("worker")
    site.enqueue(job("slow", "long"), job("broken", "broken"))
    wait_for(lambda: site.notes("begun", "long") and site.notes("broken"))
    wait_for(lambda: not site.unfinished("broken"))
    next_second = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    wait_for(lambda: datetime.now(UTC) >= next_second)
    between = next_second - timedelta(milliseconds=1)  # on SQLite the engine notes whole seconds
    site.let_go("long")
    wait_for(lambda: not site.unfinished("long"))

    assert site.queues.forget_finished(between) == 1
    assert site.queues.forget_finished(between) == 0
    assert site.queues.forget_finished(datetime.now(UTC) + timedelta(seconds=1)) == 1
    site.enqueue(job("quick", "next"))
    wait_for(lambda: site.notes("quick", "next"))


@sqlite_only
def test_a_large_history_is_forgotten_in_parts(site: Site) -> None:
    site.worker("worker")
    site.enqueue(*(job("quick", f"job-{number}") for number in range(5)))
    wait_for(lambda: not site.queues.unfinished())
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert [site.queues.forget_finished(tomorrow, limit=2) for _ in range(4)] == [2, 2, 1, 0]
