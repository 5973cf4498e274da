"""Who may talk to the pages while they have no login: this machine, from the pages themselves.

A page of another site must neither read the answers (DNS rebinding: it would come with its own Host) nor press a
button (cross-site request forgery: the browser says where a request comes from).
"""

from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_WRONG_HOST = (
    "This node only answers under a loopback address: open http://127.0.0.1 or http://localhost with its port."
)
_WRONG_ORIGIN = "Refused: the request does not come from a page of this node. Open the page again and press the button."


class Guard:
    """Refuses what comes under a foreign name or from a foreign page, and sends the browser's safety headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  ASGI's own form
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if not _is_loopback(headers.get("host", "")):
            await PlainTextResponse(_WRONG_HOST, status_code=421)(scope, receive, send_with_headers)
        elif scope["method"] not in _SAFE_METHODS and not _is_same_origin(headers, scope["scheme"]):
            await PlainTextResponse(_WRONG_ORIGIN, status_code=403)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def _is_loopback(host: str) -> bool:
    """Whether a Host header names this machine: localhost, or a loopback address, with or without a port."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return name.lower() == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _is_same_origin(headers: Headers, scheme: str) -> bool:
    """Whether the browser says that a page of this very address sent the request; no word means no."""
    told = headers.get("sec-fetch-site")
    if told is not None:
        return told == "same-origin"
    return headers.get("origin") == f"{scheme}://{headers.get('host')}"
