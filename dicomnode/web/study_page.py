"""The page of one study, and its buttons."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.complete import waiting_for
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.dimse_status import meaning_of
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.site import Site
from dicomnode.web.study_view import advice_on, can_retry, read_study


class StudyPage:
    """Answers for /studies/{study}."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        sees, operates = [needs(Permission.SEE_STUDIES)], [needs(Permission.OPERATE)]
        one, derivation = "/studies/{study}", "/studies/{study}/derivations/{key}"
        router.add_api_route(one, self.study, methods=["GET"], dependencies=sees)
        router.add_api_route(f"{one}/complete", self.complete, methods=["POST"], dependencies=operates)
        router.add_api_route(f"{one}/release", self.release, methods=["POST"], dependencies=operates)
        router.add_api_route(f"{derivation}/retry", self.retry, methods=["POST"], dependencies=operates)
        router.add_api_route(f"{derivation}/send/{{destination}}", self.resend, methods=["POST"], dependencies=operates)
        return router

    def study(self, request: Request, study: str) -> Response:
        """Show one study; raises InvalidValue, NotInLedger."""
        uid = StudyInstanceUID(study)
        view = read_study(self._site.ledger, self._site.archive, uid)
        return self._renderer.show(
            request,
            "study.html",
            here="studies",
            view=view,
            waiting=waiting_for(self._site.ledger, uid),
            can_retry=can_retry,
            advice_on=advice_on,
            meaning_of=meaning_of,
        )

    def complete(self, request: Request, study: str) -> Response:
        """Press Complete now; raises NotInLedger, NothingNew."""
        uid = StudyInstanceUID(study)
        return _back(uid, self._site.operator.complete_now(uid, visitor_of(request).name))

    def release(self, request: Request, study: str) -> Response:
        """Press Release; raises NotInLedger when nothing of the study is held."""
        uid = StudyInstanceUID(study)
        return _back(uid, self._site.operator.release_hold(uid, visitor_of(request).name))

    def retry(self, request: Request, study: str, key: str) -> Response:
        """Press Retry; raises a DicomnodeError when there is nothing to retry."""
        return _back(StudyInstanceUID(study), self._site.operator.retry(key, visitor_of(request).name))

    def resend(self, request: Request, study: str, key: str, destination: str) -> Response:
        """Press Send again; raises a DicomnodeError when it was never to go there."""
        said = self._site.operator.resend(key, destination, visitor_of(request).name)
        return _back(StudyInstanceUID(study), said)


def _back(study: StudyInstanceUID, said: str) -> Response:
    """Go back to the study's page, which then shows once what was done."""
    return back_to(f"/studies/{study}", said)
