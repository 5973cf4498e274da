"""Judging: each study with news is judged when something happened to it, or when its last judgement runs out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dicomnode.domain.completion import Complete, CompletionPolicies, CompletionPolicy, Waiting, judge
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.counting import SeriesCounting
from dicomnode.journey.evidence import study_signs
from dicomnode.journey.index import HeaderIndex
from dicomnode.ledger.completion import HeldInstance, Signals, StudyNews, received_instances
from dicomnode.ledger.transaction import Ledger

_AT_REST = timedelta(seconds=1)
"""A study that received nothing for so long has its headers read; before, disk and processor are the receivers'."""
_HEADERS_AT_A_TIME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A judgement and what it was made of."""

    news: StudyNews
    signals: Signals
    verdict: Waiting
    unread: int
    rest: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What a judgement is made of."""

    news: StudyNews
    signals: Signals
    held: Sequence[HeldInstance]
    policy: CompletionPolicy
    now: datetime


class Judging:
    """Judges studies, and remembers what it knows of those that still have news."""

    def __init__(self, ledger: Ledger, policies: CompletionPolicies, index: HeaderIndex) -> None:
        self._ledger = ledger
        self._policies = policies
        self._counting = SeriesCounting(ledger, index)
        self._judged: dict[StudyInstanceUID, _Judged] = {}
        self._budget = 0

    def begin_sweep(self, studies: frozenset[StudyInstanceUID]) -> None:
        """Forget every study but these, and allow as many headers to be read as one sweep may."""
        self._budget = _HEADERS_AT_A_TIME
        self._counting.keep_only(studies)
        for gone in self._judged.keys() - studies:
            del self._judged[gone]

    def judge(self, news: StudyNews, signals: Signals, now: datetime) -> Complete | Waiting | None:
        """Judge one study; None where the last judgement holds, or an instance came just now."""
        if self._is_moving(news, signals, now) or self._holds(news, signals, now):
            return None
        with self._ledger.transaction() as tx:
            held = received_instances(tx, news.study_instance_uid)
        policy = self._policies.of({one.calling_ae for one in held})
        return self._decide(_Case(news=news, signals=signals, held=held, policy=policy, now=now))

    def waiting(self) -> dict[StudyInstanceUID, Waiting]:
        """Give what is waited for in every study that was judged."""
        return {study: judged.verdict for study, judged in self._judged.items()}

    def _is_moving(self, news: StudyNews, signals: Signals, now: datetime) -> bool:
        """Whether it received an instance just now: the next one will be here before a judgement is made."""
        return signals.asked_by is None and now - news.last_received_at < self._policies.default.settled

    def _holds(self, news: StudyNews, signals: Signals, now: datetime) -> bool:
        """Whether a judgement would say what the last one said."""
        known = self._judged.get(news.study_instance_uid)
        if known is None or (known.news, known.signals) != (news, signals) or now >= known.verdict.until:
            return False
        can_read = self._budget > 0 and now - news.last_received_at >= known.rest
        return not (known.unread and can_read)

    def _decide(self, case: _Case) -> Complete | Waiting:
        """Judge by what is known, and by more headers where they could change it."""
        study, rest = case.news.study_instance_uid, min(_AT_REST, case.policy.study_quiet)
        verdict, unread = self._verdict(case)
        if isinstance(verdict, Waiting) and unread and case.now - case.news.last_received_at >= rest:
            self._budget -= self._counting.read(study, case.held, self._budget)
            verdict, unread = self._verdict(case)
        self._judged.pop(study, None)
        if isinstance(verdict, Waiting):
            self._judged[study] = _Judged(
                news=case.news, signals=case.signals, verdict=verdict, unread=unread, rest=rest
            )
        return verdict

    def _verdict(self, case: _Case) -> tuple[Complete | Waiting, int]:
        """Judge by what is known, and tell how many headers are not read."""
        count = self._counting.count(case.news.study_instance_uid, case.held)
        with self._ledger.transaction() as tx:
            signs = study_signs(tx, case.news, case.signals, case.held, count)
        return judge(signs, case.policy, case.now), count.unread
