"""Two forms of the DICOMweb service: for those who may see names, and for those who may not."""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomnode.domain.account import Permission
from dicomnode.web.access import visitor_of


class BySight:
    """Answers each visitor from the form that fits; what one was told is never another's from a browser's cache."""

    def __init__(self, *, with_names: ASGIApp, without_names: ASGIApp) -> None:
        self._with_names = with_names
        self._without_names = without_names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  ASGI's own form
        sees_names = scope["type"] == "http" and visitor_of(Request(scope)).may(Permission.SEE_NAMES)

        async def send_for_one(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append("Vary", "Cookie, Authorization")
                if not sees_names:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        await (self._with_names if sees_names else self._without_names)(scope, receive, send_for_one)
