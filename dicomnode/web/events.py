"""The stream of changes for open pages, as server-sent events (WHATWG HTML section 9.2)."""

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import NotAllowed, NotInLedger
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.changes import NOW
from dicomnode.web.site import Site

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_SIGN_OF_LIFE = ":\n\n"


class EventStream:
    """Answers for /events: what comes there names no patient, only that something changed."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def router(self) -> APIRouter:
        """Make the route."""
        router = APIRouter(dependencies=[needs(Permission.SEE_SYSTEM)])
        router.add_api_route("/events", self.events, methods=["GET"])
        return router

    async def events(self, request: Request, study: str = "") -> Response:
        """Tell of changes of one study, or of anything; raises InvalidValue, NotAllowed, NotInLedger."""
        changes = self._site.changes
        if changes is None:
            raise NotInLedger("this process tells of no changes")
        if study and not visitor_of(request).may(Permission.SEE_STUDIES):
            raise NotAllowed("the changes of a study are for those who may see studies")
        watched = StudyInstanceUID(study) if study else NOW

        async def written() -> AsyncIterator[str]:
            async for news in changes.stream(watched):
                yield f"event: changed\ndata: {news}\n\n" if news else _SIGN_OF_LIFE

        return StreamingResponse(written(), media_type="text/event-stream", headers=_HEADERS)
