"""The web application: pages, compare page, DICOMweb, static files, and what is shown when something is refused."""

from collections.abc import Callable
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from dicomnode.dicomweb.service import dicomweb_service
from dicomnode.domain.errors import DicomnodeError
from dicomnode.web.api import create_api
from dicomnode.web.compare import ComparePage
from dicomnode.web.guard import Guard
from dicomnode.web.pages import Pages
from dicomnode.web.rendering import Renderer
from dicomnode.web.site import Site

_DICOMWEB = "/dicom-web"
_API = "/api"
_BROKEN = "Something broke inside the node; the log says where."
_REPORT = "Try again; if it stays, report it as a defect of the node with the time and the address of this page."


def create_app(site: Site) -> FastAPI:
    """Make the application that serves a node's pages and its DICOMweb; it answers on loopback only."""
    app = FastAPI(title="dicomnode", docs_url=None, redoc_url=None, openapi_url=None)
    renderer = Renderer(site)
    app.add_middleware(Guard, programs_post_to=(f"{_DICOMWEB}/studies", f"{_API}/"))
    app.include_router(Pages(site, renderer).router())
    app.include_router(ComparePage(site, renderer).router())
    app.mount(_DICOMWEB, dicomweb_service(site.archive, site.intake))
    app.mount(_API, create_api(site.peers, site.version))
    app.mount("/static", StaticFiles(directory=Path(str(files("dicomnode.web") / "static"))))
    for error, handler in _handlers(renderer).items():
        app.add_exception_handler(error, handler)
    return app


def _handlers(renderer: Renderer) -> dict[type[Exception], Callable[[Request, Exception], Response]]:
    """Make a page of every error: what happened, and what to do."""

    def refused(_request: Request, error: Exception) -> Response:
        if not isinstance(error, DicomnodeError):
            raise error
        return renderer.problem(error.http_status, error.reason, error.help)

    def not_offered(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
        if status == HTTPStatus.NOT_FOUND:
            return renderer.problem(status, "There is no such page.", "Begin at Now or Studies, or search above.")
        return renderer.problem(status, "The address cannot be answered as it is.", "Open the page from its link.")

    def broken(_request: Request, _error: Exception) -> Response:
        return renderer.problem(HTTPStatus.INTERNAL_SERVER_ERROR, _BROKEN, _REPORT)

    return {
        DicomnodeError: refused,
        HTTPException: not_offered,
        RequestValidationError: not_offered,
        Exception: broken,
    }
