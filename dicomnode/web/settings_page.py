"""The page of the settings in force; they are changed in their file, not here."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.web.access import needs
from dicomnode.web.rendering import Renderer
from dicomnode.web.site import Site


class SettingsPage:
    """Answers for /settings."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the route."""
        router = APIRouter(dependencies=[needs(Permission.ADMINISTER)])
        router.add_api_route("/settings", self.settings, methods=["GET"])
        return router

    def settings(self, request: Request) -> Response:
        """Show every setting with what it is for, the certificates and the disk."""
        certificates = self._site.certificates.states() if self._site.certificates else ()
        return self._renderer.show(
            request,
            "settings.html",
            here="settings",
            groups=self._site.settings,
            certificates=certificates,
            disk=self._site.capacity.state() if self._site.capacity else None,
        )
