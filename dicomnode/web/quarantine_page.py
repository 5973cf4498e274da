"""The page of what was refused but kept: each entry with its reason, and two buttons."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import InvalidValue, NotInLedger
from dicomnode.journey.quarantine import Quarantine
from dicomnode.ledger.quarantine import Quarantined
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.form_fields import FormFields
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.site import Site

_MOST_ROWS = 200
_PATH = "/quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRow:
    """One entry, and why it could not be released now (none: it could)."""

    entry: Quarantined
    obstacle: str | None


class QuarantinePage:
    """Answers for /quarantine."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        sees, operates = [needs(Permission.SEE_STUDIES)], [needs(Permission.OPERATE)]
        router.add_api_route(_PATH, self.entries, methods=["GET"], dependencies=sees)
        router.add_api_route(f"{_PATH}/{{entry}}/release", self.release, methods=["POST"], dependencies=operates)
        router.add_api_route(f"{_PATH}/{{entry}}/discard", self.discard, methods=["POST"], dependencies=operates)
        return router

    def entries(self, request: Request) -> Response:
        """List what is in quarantine, the latest first."""
        kept = self._site.quarantine.entries() if self._site.quarantine else ()
        rows = self._rows(kept[::-1][:_MOST_ROWS])
        return self._renderer.show(request, "quarantine.html", here="studies", rows=rows, total=len(kept))

    def release(self, entry: int) -> Response:
        """Press Release; raises NotInLedger, or MalformedInstance where it still cannot be placed."""
        return back_to(_PATH, self._quarantine().release(entry))

    def discard(self, request: Request, entry: int, fields: FormFields) -> Response:
        """Press Discard; raises NotInLedger, or InvalidValue without a reason."""
        reason = fields.get("reason", "").strip()
        if not reason:
            raise InvalidValue("a reason is missing: it stays in the ledger when the bytes are gone")
        said = self._quarantine().discard(entry, f"{reason} ({visitor_of(request).name})")
        return back_to(_PATH, said)

    def _rows(self, kept: Sequence[Quarantined]) -> Sequence[QuarantineRow]:
        return [QuarantineRow(entry=entry, obstacle=self._quarantine().obstacle(entry)) for entry in kept]

    def _quarantine(self) -> Quarantine:
        if self._site.quarantine is None:
            raise NotInLedger("this process keeps no quarantine")
        return self._site.quarantine
