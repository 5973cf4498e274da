"""Ask an archive: how many instances it has of each study that comes in here, in the background."""

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from dicomnode.domain.completion import CompletionPolicies, InstanceCounter
from dicomnode.domain.errors import DeliveryError
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.completion import StudyNews, note_archive_count, senders, studies_with_news
from dicomnode.ledger.transaction import Ledger

_logger = logging.getLogger(__name__)

_AT_REST = timedelta(seconds=1)
_EVERY = timedelta(seconds=3)
_UNANSWERED = timedelta(seconds=30)
_MOST_AT_A_TIME = 20


class ArchiveAsking:
    """Asks archives about studies with news that nothing comes of right now; each study every few seconds at most."""

    def __init__(
        self, ledger: Ledger, clock: Clock, policies: CompletionPolicies, counters: Mapping[str, InstanceCounter]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._policies = policies
        self._counters = counters
        self._asked: dict[StudyInstanceUID, datetime] = {}
        self._silent: dict[str, datetime] = {}
        """Archives that gave no answer, and when."""

    def ask(self) -> int:
        """Ask about every study that is due, and tell how many answers came; raises LedgerUnavailable."""
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            news = studies_with_news(tx)
        known = {one.study_instance_uid for one in news}
        self._asked = {study: at for study, at in self._asked.items() if study in known}
        due = [one for one in news if self._is_due(one, now)][:_MOST_AT_A_TIME]
        return sum(1 for one in due for _answer in self._answers(one, now))

    def _is_due(self, news: StudyNews, now: datetime) -> bool:
        asked_at = self._asked.get(news.study_instance_uid)
        return now - news.last_received_at >= _AT_REST and (asked_at is None or now - asked_at >= _EVERY)

    def _answers(self, news: StudyNews, now: datetime) -> Iterator[int]:
        """Ask about one study, and record what is answered."""
        study = news.study_instance_uid
        with self._ledger.transaction() as tx:
            archive = self._policies.of(senders(tx, study)).archive
        self._asked[study] = now
        counter = self._counters.get(archive or "")
        if archive is None or counter is None or self._is_silent(archive, now):
            return
        try:
            counted = counter.count_instances(study)
        except DeliveryError as error:
            self._silent[archive] = now
            _logger.warning("%s was not asked how many instances it has: %s", archive, error.reason)
            return
        with self._ledger.transaction() as tx:
            note_archive_count(tx, study, archive, counted, self._clock.now())
        yield counted

    def _is_silent(self, archive: str, now: datetime) -> bool:
        """Whether an archive gave no answer a short while ago."""
        at = self._silent.get(archive)
        return at is not None and now - at < _UNANSWERED
