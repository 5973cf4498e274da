"""Trying many cases on one node, and looking afterwards whether it is as it was before."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from dicomnode.journey.reconcile import Reconciling
from dicomnode.node.clock import SystemClock
from dicomnode.spool.inventory import INSTANCES, QUARANTINE, kept_files
from tests.fuzz.bodies import mutated_request
from tests.fuzz.data_sets import Offer, damaged_offer, mutated_offer
from tests.fuzz.speaking import Associations
from tests.fuzz.streams import mutated_stream
from tests.fuzz.trials import Handles, Outcome, Target, try_offer, try_request, try_stream

_TIMES = 10 if os.environ.get("DICOMNODE_LONG") == "1" else 1
ONLY = os.environ.get("DICOMNODE_FUZZ", "")
"""The one case to try, by its kind and number."""
_MOST_FAILURES = 20
_REST_SECONDS = 15.0
_MORE_THREADS, _MORE_DESCRIPTORS = 8, 24
"""What web server and ledger keep for the next requests."""

Attempt = Callable[[str], tuple[Outcome, str]]
"""Tries the case of a seed; gives what became of it and what the case was."""


def cases(kind: str, count: int) -> Iterator[str]:
    """Name the cases of a kind: the seeds that they are made from."""
    if not ONLY:
        yield from (f"{kind}:{number}" for number in range(count * _TIMES))
    elif ONLY.partition(":")[0] == kind:
        yield ONLY


def try_all(seeds: Iterator[str], attempt: Attempt, defects: Callable[[], list[str]]) -> Counter[Outcome]:
    """Try cases one after the other, and look after each whether the node showed a defect."""
    tally: Counter[Outcome] = Counter()
    failures: list[Exception] = []
    for seed in seeds:
        what = ""
        try:
            outcome, what = attempt(seed)
            tally[outcome] += 1
            told = defects()
            assert not told, "\n".join(told)
        except Exception as error:  # noqa: BLE001  whatever it is, it is reported with its case
            error.add_note(f"case {what}; run it alone with DICOMNODE_FUZZ={seed}")
            failures.append(error)
        if len(failures) == _MOST_FAILURES:
            break
    if failures:
        raise ExceptionGroup("cases with another outcome than those four", failures)
    return tally


def offers(target: Target, associations: Associations) -> Attempt:
    """Try instances that nobody should send."""

    def attempt(seed: str) -> tuple[Outcome, str]:
        offer = mutated_offer(seed)
        return try_offer(target, associations, offer), offer.what

    return attempt


def damaged_offers(target: Target, associations: Associations, odd: Sequence[Offer]) -> Attempt:
    """Try known odd instances with more damage."""

    def attempt(seed: str) -> tuple[Outcome, str]:
        offer = damaged_offer(seed, random.Random(seed).choice(odd))
        return try_offer(target, associations, offer, offer.sop_class.decode()), offer.what

    return attempt


def streams(target: Target) -> Attempt:
    """Try PDU streams that nobody should send."""

    def attempt(seed: str) -> tuple[Outcome, str]:
        stream = mutated_stream(seed, target.title)
        return try_stream(target, stream), stream.what

    return attempt


def requests(target: Target) -> Attempt:
    """Try store requests that nobody should send."""

    def attempt(seed: str) -> tuple[Outcome, str]:
        request = mutated_request(seed)
        return try_request(target, request), ", ".join(request.what)

    return attempt


def assert_at_rest(target: Target, start: Handles) -> None:
    """Check that the node has nothing open any more that it had not at the start."""
    give_up = time.monotonic() + _REST_SECONDS
    while not _is_at_rest(now := target.opened(), start) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert _is_at_rest(now, start), f"{now} instead of {start}"


def assert_agreement(target: Target) -> None:
    """Check that files and rows name each other, byte for byte, and that nothing is on its way in."""
    books = target.books
    books.news()
    assert list((books.spool.root / "incoming").iterdir()) == []
    found = Reconciling(books.ledger, books.spool, SystemClock()).reconcile(deep=True)
    assert (found.set_aside, found.recorded, found.missing, found.damaged) == ((), 0, (), ())
    assert set(kept_files(books.spool, INSTANCES)) == books.instance_paths()
    assert set(kept_files(books.spool, QUARANTINE)) == books.quarantine_paths()


def _is_at_rest(now: Handles, start: Handles) -> bool:
    return (
        now.sockets <= start.sockets
        and now.spool_files == 0
        and now.threads <= start.threads + _MORE_THREADS
        and now.descriptors <= start.descriptors + _MORE_DESCRIPTORS
    )
