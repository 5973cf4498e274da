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
from dicomnode.domain.account import Permission
from dicomnode.domain.errors import DicomnodeError
from dicomnode.journey.discreet import DiscreetArchive
from dicomnode.web.access import Fenced, visitor_of
from dicomnode.web.account_pages import AccountPages
from dicomnode.web.api import create_api
from dicomnode.web.audit_page import AuditPage
from dicomnode.web.entrance import Entrance
from dicomnode.web.guard import Guard
from dicomnode.web.login import LoginPages
from dicomnode.web.pages import Pages
from dicomnode.web.rendering import Renderer
from dicomnode.web.rules_router import rules_router
from dicomnode.web.sight import BySight
from dicomnode.web.site import Site
from dicomnode.web.system_api import SystemApi
from dicomnode.web.watch import Watch

_DICOMWEB = "/dicom-web"
_API = "/api"
_BROKEN = "Something broke inside the node; the log says where."
_REPORT = "Try again; if it stays, report it as a defect of the node with the time and the address of this page."


def create_app(site: Site) -> FastAPI:
    """Make the application that serves a node's pages and its DICOMweb; without accounts, to this machine only."""
    app = FastAPI(title="dicomnode", docs_url=None, redoc_url=None, openapi_url=None)
    renderer = Renderer(site)
    if site.audit is not None:
        app.add_middleware(Watch, trail=site.audit)
    entrance = None if site.accounts is None else Entrance(site.accounts, programs=(f"{_API}/", f"{_DICOMWEB}/"))
    app.add_middleware(
        Guard, programs_post_to=(f"{_DICOMWEB}/studies", f"{_API}/"), entrance=entrance, hosts=site.hosts
    )
    _add_account_pages(app, site, renderer)
    app.include_router(Pages(site, renderer).router())
    app.include_router(rules_router(site, renderer))
    service = BySight(
        with_names=dicomweb_service(site.archive, site.intake),
        without_names=dicomweb_service(DiscreetArchive(site.archive), site.intake),
    )
    app.mount(_DICOMWEB, Fenced(service, reading=Permission.SEE_STUDIES, changing=Permission.STORE))
    further = (SystemApi(site).router(),)
    app.mount(_API, create_api(site.peers, site.version, site.rules, site.operator, further))
    app.mount("/static", StaticFiles(directory=Path(str(files("dicomnode.web") / "static"))))
    for error, handler in _handlers(renderer).items():
        app.add_exception_handler(error, handler)
    return app


def _add_account_pages(app: FastAPI, site: Site, renderer: Renderer) -> None:
    """Add the pages of accounts, where there is a login, and of the audit trail."""
    if site.accounts is not None:
        app.include_router(LoginPages(site.accounts, renderer, site.provider).router())
        app.include_router(AccountPages(site.accounts, renderer).router())
    if site.audit is not None:
        app.include_router(AuditPage(site.audit, renderer).router())


def _handlers(renderer: Renderer) -> dict[type[Exception], Callable[[Request, Exception], Response]]:
    """Make a page of every error: what happened, and what to do."""

    def refused(request: Request, error: Exception) -> Response:
        if not isinstance(error, DicomnodeError):
            raise error
        return renderer.problem(error.http_status, error.reason, error.help, visitor_of(request))

    def not_offered(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
        said, advice = "The address cannot be answered as it is.", "Open the page from its link."
        if status == HTTPStatus.NOT_FOUND:
            said, advice = "There is no such page.", "Begin at Now or Studies, or search above."
        return renderer.problem(status, said, advice, visitor_of(request))

    def broken(request: Request, _error: Exception) -> Response:
        return renderer.problem(HTTPStatus.INTERNAL_SERVER_ERROR, _BROKEN, _REPORT, visitor_of(request))

    return {
        DicomnodeError: refused,
        HTTPException: not_offered,
        RequestValidationError: not_offered,
        Exception: broken,
    }
