"""Finding out who makes a request, and what is said to whoever is nobody."""

import base64
import binascii
import html
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Scope

from dicomnode.domain.account import NOBODY, Visitor
from dicomnode.domain.errors import NotLoggedIn
from dicomnode.journey.accounts import Accounts
from dicomnode.web.access import SAFE_METHODS, problem

LOGIN = "/login"
OPEN_PATHS = (LOGIN, "/setup", "/static")
"""What answers before anybody is known; each with all below it."""
BY_ITSELF, EVENTS = "dicomnode-by-itself", "/events"
"""How an open page says that no person asked, and the path where it waits for changes."""
_CHALLENGE = 'Bearer realm="dicomnode"'
_BASIC = 'Basic realm="dicomnode", charset="UTF-8"'
_NO_STORE = {"Cache-Control": "no-store"}
_FIRST_PRINTABLE = "!"


def session_cookie(scheme: str) -> str:
    """Name the cookie of a session; under TLS in the way that no other host of the domain can set it (RFC 6265bis)."""
    return "__Host-dicomnode" if scheme == "https" else "dicomnode"


def keep_session(response: Response, session: str, seconds: float, scheme: str) -> None:
    """Let a browser keep the id of a session, for requests from pages of this node alone."""
    response.set_cookie(
        session_cookie(scheme),
        session,
        max_age=int(seconds),
        path="/",
        secure=scheme == "https",
        httponly=True,
        samesite="strict",
    )


def forget_session(response: Response, scheme: str) -> None:
    """Let a browser forget it."""
    response.delete_cookie(session_cookie(scheme), path="/", secure=scheme == "https", httponly=True, samesite="strict")


def own_path(text: str) -> str:
    """Give back a path of this node, with its query; for anything else the first page.

    Browsers take `//host`, `/\\host` and a path with a line end in it for other sites.
    """
    parts = urlsplit(text) if text.isascii() and all(char >= _FIRST_PRINTABLE for char in text) else None
    if parts is None or parts.scheme or parts.netloc or not text.startswith("/"):
        return "/"
    if text.startswith("//") or "\\" in text or is_open(parts.path):
        return "/"
    return text


def is_open(path: str) -> bool:
    """Whether a path answers before anybody is known."""
    return any(path == opened or path.startswith(f"{opened}/") for opened in OPEN_PATHS)


def onward(path: str) -> HTMLResponse:
    """Lead a browser that came from another site on by a page of this one.

    The session's cookie goes with requests from this node's pages only, so a redirect would go without it.
    """
    where = html.escape(path, quote=True)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>dicomnode</title>'
        f'<meta http-equiv="refresh" content="0;url={where}"></head>'
        f'<body><p><a href="{where}">Continue</a></p></body></html>'
    )
    return HTMLResponse(page, headers=_NO_STORE)


class Entrance:
    """Knows the accounts of a node."""

    def __init__(self, accounts: Accounts, programs: tuple[str, ...]) -> None:
        self._accounts = accounts
        self._programs = programs

    def visitor(self, scope: Scope) -> Visitor:
        """Find who makes a request by its session or token; NOBODY where neither lets anybody in.

        A token that is sent counts alone: whoever sends a wrong one does not want to be somebody else.
        """
        connection = HTTPConnection(scope)
        authorization = connection.headers.get("authorization")
        if authorization is not None:
            return self._accounts.tokens.visitor(_token_in(authorization)) or NOBODY
        session = connection.cookies.get(session_cookie(scope["scheme"]), "")
        by_itself = BY_ITSELF in connection.headers or scope["path"] == EVENTS
        return (self._accounts.logins.visitor(session, by_itself=by_itself) if session else None) or NOBODY

    def refusal(self, scope: Scope, headers: Headers) -> Response:
        """Answer nobody: a program is told to send a token, a person is led to the login."""
        path: str = scope["path"]
        mode = headers.get("sec-fetch-mode", "navigate")
        if path.startswith(self._programs) or "authorization" in headers or mode != "navigate":
            return _unknown(headers)
        if scope["method"] not in SAFE_METHODS:
            return RedirectResponse(LOGIN, status_code=HTTPStatus.SEE_OTHER, headers=_NO_STORE)
        query = scope.get("query_string", b"").decode("ascii", "replace")
        wanted = quote(f"{path}?{query}" if query else path, safe="/")
        where = LOGIN if path == "/" else f"{LOGIN}?next={wanted}"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return onward(where)
        return RedirectResponse(where, status_code=HTTPStatus.SEE_OTHER, headers=_NO_STORE)


def _unknown(headers: Headers) -> JSONResponse:
    """Ask for a token; a browser is not asked in the way that opens a window of its own."""
    response = problem(NotLoggedIn("nobody is logged in here, or no longer"))
    response.headers.append("WWW-Authenticate", _CHALLENGE)
    if "sec-fetch-mode" not in headers:
        response.headers.append("WWW-Authenticate", _BASIC)
    if "hx-request" in headers:
        response.headers["HX-Redirect"] = LOGIN
    return response


def _token_in(authorization: str) -> str:
    """Read a token from an Authorization header: Bearer (RFC 6750), or the password of Basic (RFC 7617)."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        plain = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return plain.partition(":")[2]
