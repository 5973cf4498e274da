"""Telling open pages that something changed: one look into the ledger for all of them, and a stream to each."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from threading import Lock

from dicomnode.ledger.changes import Progress, progress, studies_since
from dicomnode.ledger.transaction import Ledger

NOW = "now"
"""What a page without a study of its own watches: it hears of every change."""
_SECONDS_BETWEEN_GLANCES = 0.25
_SECONDS_BETWEEN_SIGNS_OF_LIFE = 15.0
_REMEMBERED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One time that something was new, counted from 1, and the studies it was about."""

    number: int
    studies: tuple[str, ...]


class Changes:
    """Looks into the ledger as long as anybody listens, and remembers the last changes for all listeners."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen: Progress | None = None
        self._changes: deque[Change] = deque(maxlen=_REMEMBERED)
        self._number = 0
        self._listeners = 0
        self._is_over = False
        self._lock = Lock()

    def look(self) -> None:
        """Look once whether the ledger has grown; a ticker calls it. Raises LedgerUnavailable."""
        if not self._listeners:
            # Nobody is told of what happens until somebody listens again: a page is fresh when it begins to.
            self._seen = None
            return
        with self._ledger.transaction() as tx:
            found = progress(tx)
            before, self._seen = self._seen, found
            if before == found:
                return
            # What happened before the first look is not known; every page then looks for itself.
            studies = (NOW,) if before is None else studies_since(tx, before)
        self._number += 1
        self._changes.append(Change(number=self._number, studies=studies))

    def stop(self) -> None:
        """End all streams, so that a server that stops need not wait for them."""
        self._is_over = True

    async def stream(self, watched: str = NOW) -> AsyncIterator[str]:
        """Give the name of what is watched at each change of it, and "" as a sign of life.

        The first is given at once: whoever hears it knows that the stream stands.
        """
        with self._lock:
            self._listeners += 1
        try:
            heard, silent_for = self._number, 0.0
            yield watched
            while not self._is_over:
                await asyncio.sleep(_SECONDS_BETWEEN_GLANCES)
                news = [change for change in tuple(self._changes) if change.number > heard]
                heard, silent_for = self._number, silent_for + _SECONDS_BETWEEN_GLANCES
                if any(watched == NOW or not {watched, NOW}.isdisjoint(change.studies) for change in news):
                    silent_for = 0.0
                    yield watched
                elif silent_for >= _SECONDS_BETWEEN_SIGNS_OF_LIFE:
                    silent_for = 0.0
                    yield ""
        finally:
            with self._lock:
                self._listeners -= 1
