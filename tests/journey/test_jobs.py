"""Jobs are named so that the same work is one job, and queued so that nothing slow holds up anything else."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.study import StudyRevision
from dicomnode.engine.queues import ROUTINE
from dicomnode.journey.jobs import (
    DECIDE,
    DELIVER,
    DERIVE,
    GPU_QUEUE,
    ORCHESTRATE_QUEUE,
    decide_job,
    deliver_job,
    deliver_queue,
    derive_job,
    pause,
)
from tests.ledger.values import NOW, STUDY, a_derivation

DERIVATION = replace(a_derivation(), priority=3)


def _revision(number: int) -> StudyRevision:
    return StudyRevision(study_instance_uid=STUDY, number=number, instances=5, evidence=("quiet",), at=NOW)


def test_each_revision_is_decided_by_one_routine_job() -> None:
    job = decide_job(_revision(2))
    assert (job.step, job.queue, job.priority) == (DECIDE, ORCHESTRATE_QUEUE, ROUTINE)
    assert (job.workflow_id, job.arguments) == (f"study:{STUDY}:2:1", (STUDY, 2))
    assert decide_job(_revision(3)).id != job.id


def test_a_derivation_is_one_job_under_its_key_with_the_priority_of_its_rule() -> None:
    job = derive_job(DERIVATION)
    assert (job.step, job.queue, job.priority) == (DERIVE, GPU_QUEUE, 3)
    assert (job.id, job.arguments, job.attempt) == (DERIVATION.key, (DERIVATION.key,), 1)
    assert derive_job(replace(DERIVATION, revision=7)).workflow_id == job.workflow_id


def test_each_destination_has_its_job_and_its_queue() -> None:
    pacs, archive = (deliver_job(DERIVATION, name) for name in ("pacs", "archive"))
    assert (pacs.step, pacs.queue, pacs.priority) == (DELIVER, "deliver.pacs", 3)
    assert (pacs.id, pacs.arguments) == (f"deliver:{DERIVATION.key}:pacs", (DERIVATION.key, "pacs"))
    assert archive.queue == deliver_queue("archive") != pacs.queue
    assert archive.id != pacs.id


def test_what_a_person_asked_for_again_is_another_job_of_the_same_work() -> None:
    rounds = [derive_job(DERIVATION, round_) for round_ in (1, 2, 3)]
    assert len({job.workflow_id for job in rounds}) == 3
    assert {job.arguments for job in rounds} == {(DERIVATION.key,)}
    deliveries = [deliver_job(DERIVATION, "pacs", round_) for round_ in (1, 2, 3)]
    assert len({job.workflow_id for job in (*rounds, *deliveries)}) == 6


def test_no_attempt_of_one_round_is_called_like_one_of_another() -> None:
    names = []
    for round_ in range(1, 13):
        job = derive_job(DERIVATION, round_)
        for _ in range(12):
            names.append(job.workflow_id)
            job = job.next_attempt(1)
    assert len(set(names)) == len(names)


@given(attempt=st.integers(1, 10**9), longest=st.floats(1, 2**16))
def test_a_pause_doubles_up_to_the_longest(attempt: int, longest: float) -> None:
    assert pause(attempt, longest) == min(2 ** min(attempt, 64), longest)
    assert pause(attempt, longest) <= pause(attempt + 1, longest) <= longest
