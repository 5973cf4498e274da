"""Open pages are told that something changed, by one look for all, and of no other study than the one they show."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dicomnode.ledger.timeline import write_event
from dicomnode.web.changes import NOW, Changes
from tests.builders import a_series, uid
from tests.web.holdings import Browser, Holdings

STUDY, OTHER = uid("study"), uid("other")
PATIENCE = 5.0


def happens(holdings: Holdings, study: str) -> None:
    with holdings.ledger.transaction() as tx:
        write_event(tx, study, at=holdings.clock.now(), step="decide", state="done", text="decided")


async def _next(stream: AsyncIterator[str], seconds: float = PATIENCE) -> str | None:
    """What comes next; None when nothing does."""
    try:
        return await asyncio.wait_for(anext(stream), seconds)
    except TimeoutError:
        return None


def test_a_listener_hears_at_once_that_the_stream_stands_and_then_of_each_change(holdings: Holdings) -> None:
    async def story() -> None:
        changes = Changes(holdings.ledger)
        stream = changes.stream()
        assert await _next(stream) == NOW
        changes.look()
        assert await _next(stream) == NOW, "what happened before the first look is not known"
        changes.look()
        happens(holdings, STUDY)
        changes.look()
        assert await _next(stream) == NOW
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(story())


def test_a_page_of_a_study_hears_of_that_study_alone(holdings: Holdings) -> None:
    async def story() -> None:
        changes = Changes(holdings.ledger)
        one, all_ = changes.stream(STUDY), changes.stream()
        assert (await _next(one), await _next(all_)) == (STUDY, NOW)
        changes.look()
        assert (await _next(one), await _next(all_)) == (STUDY, NOW)
        waiting = asyncio.create_task(_next(one, 2 * PATIENCE))
        happens(holdings, OTHER)
        changes.look()
        assert await _next(all_) == NOW
        await asyncio.sleep(0.6)
        assert not waiting.done()
        happens(holdings, STUDY)
        changes.look()
        assert await waiting == STUDY
        holdings.receive(a_series(slices=1))
        changes.look()
        assert await _next(one) == STUDY, "instances are news too"

    asyncio.run(story())


def test_nobody_looks_while_nobody_listens(holdings: Holdings, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = Changes(holdings.ledger)

    def looked() -> None:
        raise AssertionError

    monkeypatch.setattr(holdings.ledger, "transaction", looked)
    changes.look()


def test_a_node_that_stops_ends_the_streams(holdings: Holdings) -> None:
    async def story() -> None:
        changes = Changes(holdings.ledger)
        stream = changes.stream()
        await _next(stream)
        changes.stop()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(stream), PATIENCE)

    asyncio.run(story())


def test_the_stream_is_server_sent_events(holdings: Holdings) -> None:
    changes = Changes(holdings.ledger)
    changes.stop()
    answer = Browser(holdings.app(changes=changes)).get("/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text == "event: changed\ndata: now\n\n"
    of_study = Browser(holdings.app(changes=changes)).get("/events", params={"study": STUDY})
    assert of_study.text == f"event: changed\ndata: {STUDY}\n\n"
    assert Browser(holdings.app(changes=changes)).get("/events", params={"study": "x"}).status_code == 400
    assert Browser(holdings.app()).get("/events").status_code == 404
