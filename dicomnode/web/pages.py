"""The pages: now, studies, one study; and its buttons."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote, unquote

from fastapi import APIRouter, Query, Request
from starlette.responses import RedirectResponse, Response

from dicomnode.domain.capacity import Capacity, DiskLevel
from dicomnode.domain.tls import CertificateState
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.links import LinkState, link_states
from dicomnode.ledger.studies import list_studies
from dicomnode.web.rendering import Renderer
from dicomnode.web.site import Site
from dicomnode.web.study_view import advice_on, can_retry, read_study

_GIB = 2**30
_RECENT = 10
_ROWS = 50
_SAID = "said"
_SAID_SECONDS = 60
_TITLES = {"receive": "Receive", "complete": "Complete", "derive": "Synthesise", "workers": "Workers"}


class Pages:
    """Answers for the pages; a page reads the ledger once and shows what it found."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        router.add_api_route("/", self.now, methods=["GET"])
        router.add_api_route("/studies", self.studies, methods=["GET"])
        router.add_api_route("/studies/{study}", self.study, methods=["GET"])
        router.add_api_route("/studies/{study}/derivations/{key}/retry", self.retry, methods=["POST"])
        router.add_api_route("/studies/{study}/derivations/{key}/send/{destination}", self.resend, methods=["POST"])
        return router

    def now(self) -> Response:
        """Show the state of each link and queue, and the latest studies."""
        with self._site.ledger.transaction() as tx:
            links = link_states(tx, self._site.clock.now(), self._site.lease)
            studies = list_studies(tx, limit=_RECENT)
        if self._site.capacity is not None:
            links += (_disk(self._site.capacity, links),)
        if self._site.certificates is not None:
            links += tuple(_certificate(state, self._site.clock.now()) for state in self._site.certificates.states())
        lines = [(_TITLES.get(link.name, link.name.capitalize()), _state_word(link), link) for link in links]
        return self._renderer.page("now.html", here="now", lines=lines, studies=studies)

    def studies(self, search: str = "", page: int = Query(default=1, ge=1)) -> Response:
        """List the studies that the search finds, a page at a time."""
        search = search.strip()
        with self._site.ledger.transaction() as tx:
            found = list_studies(tx, search=search, limit=_ROWS + 1, offset=(page - 1) * _ROWS)
        return self._renderer.page(
            "studies.html",
            here="studies",
            search=search,
            studies=found[:_ROWS],
            page=page,
            first_row=(page - 1) * _ROWS + 1,
            has_more=len(found) > _ROWS,
        )

    def study(self, request: Request, study: str) -> Response:
        """Show one study; raises InvalidValue, NotInLedger."""
        view = read_study(self._site.ledger, self._site.archive, StudyInstanceUID(study))
        said = unquote(request.cookies.get(_SAID, ""))
        response = self._renderer.page(
            "study.html", here="studies", view=view, said=said, can_retry=can_retry, advice_on=advice_on
        )
        if said:
            response.delete_cookie(_SAID, path=f"/studies/{study}")
        return response

    def retry(self, study: str, key: str) -> Response:
        """Press Retry; raises a DicomnodeError when there is nothing to retry."""
        return self._back(StudyInstanceUID(study), self._site.operator.retry(key))

    def resend(self, study: str, key: str, destination: str) -> Response:
        """Press Send again; raises a DicomnodeError when it was never to go there."""
        return self._back(StudyInstanceUID(study), self._site.operator.resend(key, destination))

    def _back(self, study: StudyInstanceUID, said: str) -> Response:
        """Go back to the study's page, which then shows once what was done."""
        path = f"/studies/{study}"
        response = RedirectResponse(path, status_code=HTTPStatus.SEE_OTHER)
        response.set_cookie(_SAID, quote(said), max_age=_SAID_SECONDS, path=path, httponly=True, samesite="strict")
        return response


def _disk(capacity: Capacity, links: Sequence[LinkState]) -> LinkState:
    """Describe the spool's disk; its last success is that of the link that writes to it, receive."""
    found = capacity.state()
    advice = {
        DiskLevel.OK: "",
        DiskLevel.LOW: "; make room",
        DiskLevel.FULL: "; new instances are refused, deliveries go on: make room",
    }
    return LinkState(
        name="disk",
        state=found.level,
        waiting=0,
        oldest_waiting_at=None,
        last_success_at=next(link.last_success_at for link in links if link.name == "receive"),
        note=f"{found.free / _GIB:.1f} of {found.total / _GIB:.1f} GiB free{advice[found.level]}",
    )


def _certificate(found: CertificateState, now: datetime) -> LinkState:
    """Describe a certificate; one that is valid is so now."""
    return LinkState(
        name=f"certificate of {found.used_by}",
        state=found.level(now),
        waiting=0,
        oldest_waiting_at=None,
        last_success_at=now if found.expires_at is not None else None,
        note=found.in_words(now),
    )


def _state_word(link: LinkState) -> str:
    """Word the state of a link: nothing is called ok unless there is an instant at which it was."""
    return "idle" if link.state == "ok" and link.last_success_at is None else link.state
