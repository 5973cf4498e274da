"""What each route asks of its visitor; who that is was found out before (`Guard`)."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dicomnode.domain.account import LOCAL_VISITOR, NOBODY, Permission, Visitor
from dicomnode.domain.errors import NotAllowed, NotLoggedIn

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
"""Those that change nothing (RFC 9110 section 9.2.1)."""


def visitor_of(request: Request) -> Visitor:
    """Give who makes a request; without a login that is everybody on this machine."""
    visitor: Visitor = request.scope.get("visitor", LOCAL_VISITOR)
    return visitor


def address_of(request: Request) -> str:
    """Give where a request comes from."""
    return request.client.host if request.client else ""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a route asks for: a permission, only that somebody is logged in, or nothing at all."""

    permission: Permission | None = None
    is_for_anybody: bool = False

    def __call__(self, request: Request) -> None:
        """Let a request pass; raises NotLoggedIn, NotAllowed."""
        visitor = visitor_of(request)
        if self.permission is not None:
            request.scope["permission"] = self.permission
            require(visitor, self.permission)
        elif not self.is_for_anybody and not visitor.session:
            raise NotLoggedIn("this page is for whoever is logged in")


def require(visitor: Visitor, permission: Permission) -> None:
    """Check one permission; raises NotLoggedIn, NotAllowed."""
    if visitor.may(permission):
        return
    if visitor == NOBODY:
        raise NotLoggedIn("nobody is logged in here, or no longer")
    raise NotAllowed(f"{visitor.name} may not do this; it takes the permission {permission}")


def needs(permission: Permission) -> Any:  # noqa: ANN401  FastAPI's marker has no public type
    """Make the dependency of a route that asks for a permission; it raises NotAllowed without."""
    return Depends(Requirement(permission))


def needs_login() -> Any:  # noqa: ANN401  FastAPI's marker has no public type
    """Make the dependency of a route about the visitor's own account; it raises NotLoggedIn for all others."""
    return Depends(Requirement())


def open_to_all() -> Any:  # noqa: ANN401  FastAPI's marker has no public type
    """Make the dependency of a route that has to answer before anybody is known."""
    return Depends(Requirement(is_for_anybody=True))


class Fenced:
    """An application that is mounted whole: reading asks for one permission, everything else for another."""

    def __init__(self, app: ASGIApp, *, reading: Permission, changing: Permission) -> None:
        self.app = app
        self.reading = reading
        self.changing = changing

    def permission(self, method: str) -> Permission:
        """Say what a request of a method asks for."""
        return self.reading if method in SAFE_METHODS else self.changing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  ASGI's own form
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        permission = self.permission(scope["method"])
        scope["permission"] = permission
        try:
            require(visitor_of(Request(scope)), permission)
        except (NotLoggedIn, NotAllowed) as error:
            await problem(error)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def problem(error: NotLoggedIn | NotAllowed) -> JSONResponse:
    """Refuse a program in its own words (RFC 9457)."""
    said = {
        "title": HTTPStatus(error.http_status).phrase,
        "status": error.http_status,
        "detail": error.reason,
        "help": error.help,
    }
    return JSONResponse(
        said,
        status_code=error.http_status,
        media_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )
