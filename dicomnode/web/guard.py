"""Who may talk to the pages: under a name that is this node's, from its own pages, and logged in.

A page of another site must neither read the answers (DNS rebinding: it would come with its own Host) nor press a
button (cross-site request forgery: the browser says where a request comes from). A program that stores instances says
nothing of the kind, and is let in to the paths that are made for it.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomnode.domain.account import LOCAL_VISITOR, NOBODY
from dicomnode.domain.errors import LedgerUnavailable
from dicomnode.web.access import SAFE_METHODS
from dicomnode.web.entrance import Entrance, is_open

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_UNDER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
_WRONG_HOST = (
    "This node does not answer under this name: open http://127.0.0.1 or http://localhost with its port, or a name "
    "that its settings list (web_trusted_hosts)."
)
_WRONG_ORIGIN = "Refused: the request does not come from a page of this node. Open the page again and press the button."
_POLICY_VIOLATION = 1008


class Guard:
    """Refuses what comes under a foreign name, from a foreign page or from nobody, and sends the safety headers."""

    def __init__(
        self,
        app: ASGIApp,
        programs_post_to: tuple[str, ...] = (),
        entrance: Entrance | None = None,
        hosts: Sequence[str] = (),
    ) -> None:
        self._app = app
        self._programs_post_to = programs_post_to
        self._entrance = entrance
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  ASGI's own form
        if scope["type"] == "websocket":
            # Nothing here speaks it, and a browser opens one to any site without asking.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = {**_HEADERS, **_UNDER_TLS} if scope["scheme"] == "https" else _HEADERS

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(sent)
            await send(message)

        answer = await self._refusal(scope) or self._app
        await answer(scope, receive, send_with_headers)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Find a reason not to answer; otherwise the scope says who the visitor is."""
        headers = Headers(scope=scope)
        if not self._is_ours(headers.get("host", ""), scope):
            return PlainTextResponse(_WRONG_HOST, status_code=421)
        if not self._is_harmless(scope, headers):
            return PlainTextResponse(_WRONG_ORIGIN, status_code=403)
        scope["visitor"] = LOCAL_VISITOR if self._entrance is None else NOBODY
        if self._entrance is None or scope["path"].startswith("/static/"):
            return None
        return await self._admit(self._entrance, scope, headers)

    async def _admit(self, entrance: Entrance, scope: Scope, headers: Headers) -> Response | None:
        """Say in the scope who the visitor is, and turn nobody away from what is not open."""
        try:
            scope["visitor"] = await run_in_threadpool(entrance.visitor, scope)
        except LedgerUnavailable as error:
            return PlainTextResponse(f"{error.reason}. {error.help}", status_code=error.http_status)
        if scope["visitor"] == NOBODY and not is_open(scope["path"]):
            return entrance.refusal(scope, headers)
        return None

    def _is_harmless(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request only reads, comes from a page of this node, or from no browser to a path for programs."""
        if scope["method"] in SAFE_METHODS or _is_same_origin(headers, scope["scheme"]):
            return True
        return scope["path"].startswith(self._programs_post_to) and not _is_of_browser(headers)

    def _is_ours(self, host: str, scope: Scope) -> bool:
        """Whether a Host header names this node: localhost, a loopback address, a name of the settings, or the very
        address that the connection came to. An address cannot be made to point elsewhere, as a name can."""
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        address = _address(name)
        if address is None:
            return name.lower() == "localhost" or name.lower() in self._hosts
        server = scope.get("server")
        return address.is_loopback or name in self._hosts or (server is not None and address == _address(server[0]))


def _is_of_browser(headers: Headers) -> bool:
    """Whether a browser sent a request that may change something: it then says from which page (Fetch Standard)."""
    return "sec-fetch-site" in headers or "origin" in headers


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _is_same_origin(headers: Headers, scheme: str) -> bool:
    """Whether the browser says that a page of this very address sent the request; no word means no."""
    told = headers.get("sec-fetch-site")
    if told is not None:
        return told == "same-origin"
    return headers.get("origin") == f"{scheme}://{headers.get('host')}"
