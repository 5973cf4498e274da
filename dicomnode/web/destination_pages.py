"""The page of the destinations: where derived series go, how deliveries stand, and the buttons of each."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import DeliveryError, NotInLedger
from dicomnode.journey.destinations import DestinationBook
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.dimse_status import meaning_of
from dicomnode.web.form_fields import FormFields
from dicomnode.web.peer_pages import echo_in_words
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.site import Site

_PATH = "/destinations"
_CERTIFICATE_OF = "destination "


class DestinationPages:
    """Answers for /destinations; which there are, the settings say."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        router.add_api_route(_PATH, self.destinations, methods=["GET"], dependencies=[needs(Permission.SEE_SYSTEM)])
        verbs: Mapping[str, Callable[..., Response]] = {
            "echo": self.echo,
            "pause": self.pause,
            "resume": self.resume,
            "try": self.try_out,
        }
        for name, verb in verbs.items():
            path = f"{_PATH}/{{destination}}/{name}"
            router.add_api_route(path, verb, methods=["POST"], dependencies=[needs(Permission.OPERATE)])
        return router

    def destinations(self, request: Request) -> Response:
        """List the destinations in the order of the settings."""
        book = self._site.destinations
        return self._renderer.show(
            request,
            "destinations.html",
            here="peers",
            states=book.states() if book else (),
            can_try=book is not None and book.can_try,
            certificates=self._certificates(),
            meaning_of=meaning_of,
        )

    def echo(self, destination: str) -> Response:
        """Ask a destination by C-ECHO; a failure is an answer. Raises NotInLedger."""
        return back_to(_PATH, echo_in_words(destination, self._book().echo(destination)))

    def pause(self, request: Request, destination: str, fields: FormFields) -> Response:
        """Send nothing there until it is resumed; raises NotInLedger."""
        reason = fields.get("reason", "").strip()
        return back_to(_PATH, self._book().pause(destination, visitor_of(request).name, reason))

    def resume(self, request: Request, destination: str) -> Response:
        """Send what waits; raises NotInLedger."""
        return back_to(_PATH, self._book().resume(destination, visitor_of(request).name))

    def try_out(self, destination: str) -> Response:
        """Send a test instance; that the destination does not take it is an answer. Raises NotInLedger."""
        try:
            said = self._book().try_out(destination)
        except DeliveryError as error:
            said = f"The test instance was not stored: {error.reason}. {error.help}"
        return back_to(_PATH, said)

    def _certificates(self) -> Mapping[str, str]:
        """Say of each destination how long the certificate that this node shows there is valid."""
        now = self._site.clock.now()
        states = self._site.certificates.states() if self._site.certificates else ()
        return {
            state.used_by.removeprefix(_CERTIFICATE_OF): state.in_words(now)
            for state in states
            if state.used_by.startswith(_CERTIFICATE_OF)
        }

    def _book(self) -> DestinationBook:
        if self._site.destinations is None:
            raise NotInLedger("this process knows no destinations")
        return self._site.destinations
