"""What if: other rules meet the facts of stored studies, and exactly the decisions that would change are told."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from dicomnode.domain.errors import InvalidValue, MalformedInstance, NotInLedger
from dicomnode.domain.facts import is_nested
from dicomnode.domain.ports import Clock
from dicomnode.domain.rule import Decision
from dicomnode.domain.rule_book import WhatIf
from dicomnode.domain.study import Origin
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.decide import gather_facts
from dicomnode.journey.index import HeaderIndex
from dicomnode.journey.kept_facts import decode_study
from dicomnode.ledger.arrivals import list_arrivals
from dicomnode.ledger.studies import list_instances
from dicomnode.ledger.study_facts import DecidedStudy, decided_since, decided_studies
from dicomnode.ledger.transaction import Ledger
from dicomnode.rules.decide import decide
from dicomnode.rules.replay import StudyAsDecided, replay
from dicomnode.rules.ruleset import RuleSet
from dicomnode.spool.store import Spool

_LONGEST_READING_SECONDS = 30.0
"""So long headers are read of studies whose facts are not kept; the others are told as skipped."""
_LONG_AGO = timedelta(days=36_500)
_STUDIES_AT_A_TIME = 200
"""So many documents fit well into memory, and no transaction stays open while they are replayed."""


class Replaying:
    """Replays rules over stored studies; nothing is kept, sent or changed."""

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock) -> None:
        self._ledger = ledger
        self._index = HeaderIndex(ledger, spool)
        self._clock = clock

    def try_on(self, rules: RuleSet, study: StudyInstanceUID) -> tuple[Decision, ...]:
        """Say what rules would decide of a study if it was complete now; raises NotInLedger, MalformedInstance."""
        seen = self._from_headers(study)
        return decide(rules, seen.facts, seen.excluded, at=seen.at)

    def compare(
        self, before: RuleSet, after: RuleSet, days: float | None, studies: Sequence[StudyInstanceUID]
    ) -> WhatIf:
        """List the decisions that change between two versions, over chosen studies, those of some days, or all."""
        begun = time.perf_counter()
        chosen = tuple(dict.fromkeys(studies)) or self._decided_within(days)
        skipped: list[StudyInstanceUID] = []
        nested = any(_asks_for_paths(rules) for rules in (before, after))
        changes = tuple(replay(before, after, self._as_decided(chosen, skipped, nested=nested)))
        return WhatIf(
            studies=len(chosen) - len(skipped),
            skipped=tuple(skipped),
            changes=changes,
            seconds=time.perf_counter() - begun,
        )

    def _decided_within(self, days: float | None) -> tuple[StudyInstanceUID, ...]:
        is_bounded = days is not None and 0 <= days <= _LONG_AGO.days
        since = self._clock.now() - (timedelta(days=days) if days is not None and is_bounded else _LONG_AGO)
        with self._ledger.transaction() as tx:
            return decided_since(tx, since)

    def _as_decided(
        self, studies: Sequence[StudyInstanceUID], skipped: list[StudyInstanceUID], *, nested: bool
    ) -> Iterator[StudyAsDecided]:
        """Give what the rules saw of the newest revision of each study; those of which nobody can tell are noted."""
        give_up = time.monotonic() + _LONGEST_READING_SECONDS
        for first in range(0, len(studies), _STUDIES_AT_A_TIME):
            some = studies[first : first + _STUDIES_AT_A_TIME]
            with self._ledger.transaction() as tx:
                found = {one.study_instance_uid: one for one in decided_studies(tx, some, nested=nested)}
            for uid in some:
                study = self._of(found[uid], may_read=time.monotonic() < give_up) if uid in found else None
                if study is None:
                    skipped.append(uid)
                else:
                    yield study

    def _of(self, study: DecidedStudy, *, may_read: bool) -> StudyAsDecided | None:
        """Read what is kept of a study's decision, or find it out again from the headers of its instances."""
        try:
            if study.facts is not None:
                return decode_study(study.facts)
            if may_read and study.is_current:
                return replace(self._from_headers(study.study_instance_uid), at=study.at.astimezone())
        except (InvalidValue, MalformedInstance, NotInLedger):
            return None
        return None

    def _from_headers(self, study: StudyInstanceUID) -> StudyAsDecided:
        """Gather the facts of a study from its headers; raises NotInLedger, MalformedInstance."""
        with self._ledger.transaction() as tx:
            received = [one for one in list_instances(tx, study) if one.origin is Origin.RECEIVED]
            arrivals = list_arrivals(tx, study)
        if not received:
            raise NotInLedger("this node holds no instance of that study")
        facts, excluded = gather_facts(self._index, received, arrivals)
        return StudyAsDecided(facts=facts, excluded=excluded, at=self._clock.now().astimezone())


def _asks_for_paths(rules: RuleSet) -> bool:
    """Whether some rule asks for a fact whose name has a path, which are kept apart."""
    pending: list[object] = [rules.model_dump(mode="json")]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            if is_nested(str(node.get("field", ""))):
                return True
            pending.extend(node.values())
        elif isinstance(node, list | tuple):
            pending.extend(node)
    return False
