"""What each route asks of its visitor; who that is was found out before (`Guard`)."""

from typing import Any

from fastapi import Depends
from starlette.requests import Request

from dicomnode.domain.account import LOCAL_VISITOR, Permission, Visitor
from dicomnode.domain.errors import NotAllowed


def visitor_of(request: Request) -> Visitor:
    """Give who makes a request; without a login that is everybody on this machine."""
    visitor: Visitor = request.scope.get("visitor", LOCAL_VISITOR)
    return visitor


def needs(permission: Permission) -> Any:  # noqa: ANN401  FastAPI's marker has no public type
    """Make the dependency of a route that asks for a permission; it raises NotAllowed without."""

    def check(request: Request) -> None:
        visitor = visitor_of(request)
        if not visitor.may(permission):
            raise NotAllowed(f"{visitor.name} may not do this; it takes the permission {permission}")

    return Depends(check)
