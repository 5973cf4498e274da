"""Who may talk to the pages while they have no login: this machine, from the pages themselves.

A page of another site must neither read the answers (DNS rebinding: it would come with its own Host) nor press a
button (cross-site request forgery: the browser says where a request comes from). A program that stores instances says
nothing of the kind, and is let in to the paths that are made for it.
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

    def __init__(self, app: ASGIApp, programs_post_to: tuple[str, ...] = ()) -> None:
        self._app = app
        self._programs_post_to = programs_post_to

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
        elif not self._is_harmless(scope, headers):
            await PlainTextResponse(_WRONG_ORIGIN, status_code=403)(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)

    def _is_harmless(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request only reads, comes from a page of this node, or from no browser to a path for programs."""
        if scope["method"] in _SAFE_METHODS or _is_same_origin(headers, scope["scheme"]):
            return True
        return scope["path"].startswith(self._programs_post_to) and not _is_of_browser(headers)


def _is_of_browser(headers: Headers) -> bool:
    """Whether a browser sent a request that may change something: it then says from which page (Fetch Standard)."""
    return "sec-fetch-site" in headers or "origin" in headers


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
