"""The node's DICOMweb service: search, retrieve and store, and its errors (PS3.18)."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dicomnode.dicomweb.intake import Intake
from dicomnode.dicomweb.qido import search_routes
from dicomnode.dicomweb.stow import store_routes
from dicomnode.dicomweb.wado import retrieve_routes
from dicomnode.domain.archive import Archive
from dicomnode.domain.errors import DicomnodeError

_PROBLEM = "application/problem+json"


def dicomweb_service(archive: Archive, intake: Intake | None = None) -> Starlette:
    """Make the service, ready to be mounted; without an intake nothing can be stored.

    It answers every error with its reason and what to do (RFC 9457).
    """
    stores = [] if intake is None else store_routes(archive, intake)
    return Starlette(
        routes=[*search_routes(archive), *retrieve_routes(archive), *stores],
        exception_handlers={DicomnodeError: _refuse, HTTPException: _not_offered},
    )


def _refuse(_request: Request, error: Exception) -> Response:
    if not isinstance(error, DicomnodeError):
        raise error
    return _problem(error.http_status, type(error).__name__, error.reason, error.help)


def _not_offered(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _problem(error.status_code, error.detail, "this service has no such resource", "See PS3.18 chapter 10.")


def _problem(status: int, title: str, detail: str, help_: str) -> Response:
    return JSONResponse(
        {"title": title, "status": status, "detail": detail, "help": help_},
        status_code=status,
        media_type=_PROBLEM,
        headers={"Cache-Control": "private, no-store"},
    )
