"""A study is closed once for each time it had news and went quiet, and its decision is asked for in the same moment."""

import threading

import pytest

from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.domain.study import StudyRevision
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.spool.store import Spool
from tests.builders import a_series, uid
from tests.journey.bench import QUIET, STUDY, Bench, InterruptingClock, sqlite_only, without_table

SECONDS = QUIET.total_seconds()


@pytest.fixture(scope="module")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    """One spool for all tests of this module: files are named by their content and not in each other's way."""
    return Spool(tmp_path_factory.mktemp("module") / "spool")


def _sweep_at_once(bench: Bench, times: int) -> list[StudyRevision]:
    """Sweep in several threads at the same moment, and give all that they began."""
    begun: list[StudyRevision] = []
    barrier = threading.Barrier(times)

    def sweep() -> None:
        barrier.wait()
        begun.extend(bench.completion().sweep())

    threads = [threading.Thread(target=sweep) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return begun


def test_a_study_is_closed_when_it_has_been_quiet_and_not_before(bench: Bench) -> None:
    bench.receive(a_series(slices=3, shape=(4, 4)))
    bench.clock.advance(SECONDS - 0.001)
    assert bench.completion().sweep() == ()
    assert (bench.jobs(), bench.events("complete")) == ([], ())

    bench.clock.advance(0.001)
    (revision,) = bench.completion().sweep()
    assert (revision.study_instance_uid, revision.number, revision.instances) == (STUDY, 1, 3)
    assert bench.revisions() == (revision,)
    assert bench.jobs() == [f"study:{STUDY}:1:1"]
    (event,) = bench.events("complete")
    assert (event.state, event.at) == ("done", bench.clock.now())
    assert event.text == "Complete with 3 instances as revision 1, because nothing received for 10 s."
    assert event.detail == {"revision": 1, "evidence": ["nothing received for 10 s"]}


@sqlite_only
def test_every_instance_begins_the_quiet_time_anew(bench: Bench) -> None:
    for dataset in a_series(slices=4, shape=(4, 4)):
        bench.receive([dataset])
        bench.clock.advance(SECONDS - 1)
        assert bench.completion().sweep() == ()
    bench.clock.advance(1)
    assert len(bench.completion().sweep()) == 1


@sqlite_only
def test_a_study_without_news_is_left_alone(bench: Bench) -> None:
    series = a_series(slices=2, shape=(4, 4))
    bench.receive(series)
    bench.complete()
    bench.receive(series)
    bench.clock.advance(3600)
    assert bench.completion().sweep() == ()
    assert len(bench.jobs()) == 1


def test_sweeps_at_once_close_each_study_once(bench: Bench) -> None:
    studies = [f"study {number}" for number in range(4)]
    bench.receive(*(a_series(study=study, slices=1, shape=(4, 4)) for study in studies))
    bench.clock.advance(SECONDS)
    begun = _sweep_at_once(bench, times=2)
    assert sorted(one.study_instance_uid for one in begun) == sorted(uid(study) for study in studies)
    assert bench.jobs() == sorted(f"study:{uid(study)}:1:1" for study in studies)
    assert all(len(bench.events("complete", StudyInstanceUID(uid(study)))) == 1 for study in studies)


def test_a_late_instance_makes_the_next_revision(bench: Bench) -> None:
    series = a_series(slices=3, shape=(4, 4))
    bench.receive(series[:2])
    bench.complete()
    bench.receive(series[2:])
    assert bench.completion().sweep() == ()
    second = bench.complete()
    assert (second.number, second.instances) == (2, 3)
    assert bench.jobs() == [f"study:{STUDY}:1:1", f"study:{STUDY}:2:1"]
    assert [one.number for one in bench.revisions()] == [1, 2]


@sqlite_only
def test_a_study_that_receives_between_the_look_and_the_closing_stays_open(bench: Bench) -> None:
    series = a_series(slices=2, shape=(4, 4))
    bench.receive(series[:1])
    bench.clock.advance(SECONDS)
    clock = InterruptingClock(bench.clock, lambda: bench.receive(series[1:]))
    assert bench.completion(clock).sweep() == ()
    assert bench.complete().instances == 2


@sqlite_only
@pytest.mark.parametrize("table", ["workflow_status", "event", "revision"])
def test_revision_event_and_job_become_true_together_or_not_at_all(bench: Bench, table: str) -> None:
    bench.receive(a_series(slices=1, shape=(4, 4)))
    bench.clock.advance(SECONDS)
    with without_table(bench.ledger, table), pytest.raises(LedgerUnavailable):
        bench.completion().sweep()
    assert (bench.revisions(), bench.events("complete"), bench.jobs()) == ((), (), [])
    assert len(bench.completion().sweep()) == 1
    assert (len(bench.revisions()), len(bench.events("complete")), len(bench.jobs())) == (1, 1, 1)
