"""Completion: evidence shortens the wait, what is missing lengthens it, a person ends it, none waits for ever."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicomnode.domain.completion import (
    Complete,
    CompletionPolicies,
    CompletionPolicy,
    Evidence,
    EvidenceKind,
    Missing,
    MissingKind,
    SeriesSigns,
    StudySigns,
    Waiting,
    judge,
)

LAST = datetime(2026, 3, 1, 10, 15, tzinfo=UTC)
POLICY = CompletionPolicy(study_quiet=timedelta(seconds=60), series_quiet=timedelta(seconds=90))
KNOWN = tuple(kind for kind in EvidenceKind if kind not in (EvidenceKind.QUIET, EvidenceKind.WAITED))

seconds = st.integers(0, 1000).map(lambda number: timedelta(seconds=number))
policies = st.builds(
    CompletionPolicy,
    study_quiet=seconds,
    series_quiet=seconds,
    after_release=seconds,
    after_counts=seconds,
    settled=seconds,
    missing=seconds,
    archive=st.sampled_from([None, "pacs"]),
)
instants = seconds.map(lambda age: LAST - age) | seconds.map(lambda age: LAST + age)
evidence = st.builds(
    Evidence, kind=st.sampled_from(KNOWN), text=st.sampled_from(["one", "two"]), since=st.none() | instants
)
missing = st.builds(Missing, kind=st.sampled_from(MissingKind), text=st.sampled_from(["three", "four"]))
series = st.builds(SeriesSigns, last_received_at=seconds.map(lambda age: LAST - age), is_counted=st.booleans())


@st.composite
def signs(draw: st.DrawFn) -> StudySigns:
    """What may be known of a study whose last instance came at LAST, in one of its series."""
    others = draw(st.lists(series, max_size=3))
    last = SeriesSigns(last_received_at=LAST, is_counted=draw(st.booleans()))
    return StudySigns(
        last_received_at=LAST,
        series=(last, *others),
        evidence=tuple(draw(st.lists(evidence, max_size=4))),
        missing=tuple(draw(st.lists(missing, max_size=3))),
    )


def _complete_at(found: StudySigns, policy: CompletionPolicy) -> datetime:
    """Say when a study is complete if nothing changes."""
    verdict = judge(found, policy, LAST - timedelta(days=1))
    return LAST - timedelta(days=1) if isinstance(verdict, Complete) else verdict.until


def _signs(*found: Evidence | Missing, counted: bool = False) -> StudySigns:
    return StudySigns(
        last_received_at=LAST,
        series=(SeriesSigns(last_received_at=LAST, is_counted=counted),),
        evidence=tuple(one for one in found if isinstance(one, Evidence)),
        missing=tuple(one for one in found if isinstance(one, Missing)),
    )


def _texts(found: StudySigns, after: float, policy: CompletionPolicy = POLICY) -> Sequence[str]:
    verdict = judge(found, policy, LAST + timedelta(seconds=after))
    assert isinstance(verdict, Complete)
    return [one.text for one in verdict.evidence]


def _kind(kind: EvidenceKind) -> Evidence:
    return Evidence(kind=kind, text=kind)


@given(signs(), policies)
def test_a_study_is_complete_exactly_when_the_wait_that_was_named_is_over(
    found: StudySigns, policy: CompletionPolicy
) -> None:
    at = _complete_at(found, policy)
    moments = [at - timedelta(microseconds=1), at, at + timedelta(seconds=1), at + timedelta(days=1)]
    verdicts = [judge(found, policy, moment) for moment in moments]
    assert [isinstance(one, Complete) for one in verdicts[1:]] == [True, True, True]
    if isinstance(verdicts[0], Waiting):
        assert verdicts[0].until == at
        assert verdicts[0].why


@given(signs(), policies, evidence)
def test_more_evidence_never_makes_the_wait_longer(found: StudySigns, policy: CompletionPolicy, more: Evidence) -> None:
    assert _complete_at(replace(found, evidence=(*found.evidence, more)), policy) <= _complete_at(found, policy)


@given(signs(), policies, missing)
def test_what_is_missing_never_makes_the_wait_shorter(
    found: StudySigns, policy: CompletionPolicy, more: Missing
) -> None:
    assert _complete_at(replace(found, missing=(*found.missing, more)), policy) >= _complete_at(found, policy)


@given(signs(), policies)
def test_no_study_waits_longer_than_for_the_longest_of_its_waits(found: StudySigns, policy: CompletionPolicy) -> None:
    assert _complete_at(found, policy) <= LAST + max(policy.missing, policy.study_quiet, policy.series_quiet)


@given(signs(), policies, instants)
def test_the_word_of_a_person_ends_every_wait_and_is_named_first(
    found: StudySigns, policy: CompletionPolicy, now: datetime
) -> None:
    verdict = judge(replace(found, evidence=(*found.evidence, _kind(EvidenceKind.ASKED))), policy, now)
    assert isinstance(verdict, Complete)
    assert verdict.evidence[0].kind is EvidenceKind.ASKED


@given(signs(), policies, instants)
def test_the_order_of_what_is_known_changes_nothing(found: StudySigns, policy: CompletionPolicy, now: datetime) -> None:
    turned = replace(found, evidence=found.evidence[::-1], missing=found.missing[::-1], series=found.series[::-1])
    assert _complete_at(turned, policy) == _complete_at(found, policy)
    assert isinstance(judge(turned, policy, now), Complete) == isinstance(judge(found, policy, now), Complete)


@given(signs(), policies, seconds)
def test_what_is_missing_is_told_whenever_a_study_is_complete_all_the_same(
    found: StudySigns, policy: CompletionPolicy, after: timedelta
) -> None:
    assume(found.missing)
    verdict = judge(found, policy, LAST + after)
    if isinstance(verdict, Complete):
        told = " ".join(one.text for one in verdict.evidence)
        assert all(one.text in told for one in found.missing if one.kind is not MissingKind.UNREAD)


@given(policies, seconds)
def test_without_evidence_only_quiet_counts(policy: CompletionPolicy, after: timedelta) -> None:
    verdict = judge(_signs(), policy, LAST + after)
    assert isinstance(verdict, Complete) == (after >= max(policy.study_quiet, policy.series_quiet))


@pytest.mark.parametrize("kind", [EvidenceKind.PERFORMED, EvidenceKind.COMMITMENT, EvidenceKind.ARCHIVE])
def test_proof_waits_only_until_the_study_has_settled(kind: EvidenceKind) -> None:
    assert _complete_at(_signs(_kind(kind)), POLICY) == LAST + POLICY.settled
    assert _texts(_signs(_kind(kind)), 0.3) == [kind]


@pytest.mark.parametrize("kind", MissingKind)
def test_only_another_step_speaks_against_a_completed_one(kind: MissingKind) -> None:
    gap = Missing(kind=kind, text="something is missing")
    at = _complete_at(_signs(_kind(EvidenceKind.PERFORMED), gap), POLICY)
    assert at == LAST + (POLICY.missing if kind is MissingKind.STEP else POLICY.settled)
    assert _complete_at(_signs(_kind(EvidenceKind.COMMITMENT), gap), POLICY) == LAST + POLICY.missing


def test_a_release_shortens_the_wait_from_the_moment_it_came() -> None:
    released = Evidence(
        kind=EvidenceKind.RELEASED, text="MR1 released its association", since=LAST + timedelta(seconds=2)
    )
    assert _complete_at(_signs(released), POLICY) == LAST + timedelta(seconds=7)
    assert _texts(_signs(released), 7) == ["MR1 released its association"]
    assert _texts(_signs(released, counted=True), 60) == [
        "MR1 released its association",
        "nothing received for 60 s",
    ]


def test_a_series_that_is_counted_needs_no_quiet_time_of_its_own() -> None:
    assert _complete_at(_signs(), POLICY) == LAST + timedelta(seconds=90)
    assert _complete_at(_signs(counted=True), POLICY) == LAST + timedelta(seconds=60)


def test_what_is_still_missing_after_the_longest_wait_is_said_plainly() -> None:
    gap = Missing(kind=MissingKind.COUNTED, text="16 of 176 images by ImagesInAcquisition are missing (series 5)")
    verdict = judge(_signs(gap), POLICY, LAST + timedelta(seconds=599))
    assert verdict == Waiting(until=LAST + timedelta(seconds=600), why=(gap.text,))
    assert _texts(_signs(gap), 600) == [
        "waited 600 s; 16 of 176 images by ImagesInAcquisition are missing (series 5)",
        "nothing received for 60 s",
    ]


def test_of_several_senders_the_most_patient_policy_holds() -> None:
    slow = replace(POLICY, study_quiet=timedelta(seconds=300), after_release=timedelta(0), archive="pacs")
    book = CompletionPolicies(default=POLICY, by_ae={"MR1": slow})
    assert book.of(["CT1"]) == POLICY
    assert book.of(["MR1"]) == slow
    assert book.of(["CT1", "MR1"]) == replace(slow, after_release=POLICY.after_release)
    assert book.of([]) == POLICY
