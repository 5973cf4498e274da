"""The page of all studies: its filters stand in the address and are applied by the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import InvalidValue
from dicomnode.ledger.study_list import (
    StudyFilter,
    StudyOrder,
    StudyState,
    modalities_of_studies,
    page_of_studies,
    sources_of_studies,
)
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.rendering import Renderer
from dicomnode.web.site import Site

ROWS = 50
_MOST_PAGES = 1_000_000
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyQuery:
    """What the address asks of the list."""

    filter: StudyFilter
    day: str = ""
    order: StudyOrder = StudyOrder.RECEIVED
    descending: bool = True
    page: int = 1

    @property
    def offset(self) -> int:
        """How many rows lie before this page."""
        return (self.page - 1) * ROWS

    @property
    def is_narrowed(self) -> bool:
        """Whether anything is left out of the list."""
        return self.filter != StudyFilter(by_patient=self.filter.by_patient)

    def address(self, **changes: object) -> str:
        """Write the address of the same list with something changed; what says nothing is left out."""
        asked = self.filter
        parts: Mapping[str, object] = {
            "search": asked.search,
            "state": asked.state or "",
            "source": asked.source,
            "destination": asked.destination,
            "modality": asked.modality,
            "model": asked.model,
            "day": self.day,
            "sort": f"{'-' if self.descending else ''}{self.order}",
            "page": self.page,
            **changes,
        }
        silent = {"sort": f"-{StudyOrder.RECEIVED}", "page": 1}
        said = {name: value for name, value in parts.items() if value not in ("", None, silent.get(name))}
        return f"/studies?{urlencode(said)}" if said else "/studies"

    def sorted_by(self, order: StudyOrder) -> str:
        """Write the address of the list sorted by a column, the other way round where it is so already."""
        turned = self.order is order and self.descending
        return self.address(sort=f"{'' if turned else '-'}{order}", page=1)


class StudiesPage:
    """Answers for /studies."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the route."""
        router = APIRouter(dependencies=[needs(Permission.SEE_STUDIES)])
        router.add_api_route("/studies", self.studies, methods=["GET"])
        return router

    def studies(self, request: Request) -> Response:
        """List the studies that the filters let through, a page at a time; raises InvalidValue."""
        by_patient = visitor_of(request).may(Permission.SEE_NAMES)
        asked = read_query(request.query_params, by_patient=by_patient)
        with self._site.ledger.transaction() as tx:
            found = page_of_studies(
                tx, asked.filter, order=asked.order, descending=asked.descending, limit=ROWS, offset=asked.offset
            )
            sources, modalities = sources_of_studies(tx), modalities_of_studies(tx)
        response = self._renderer.show(
            request,
            "studies.html",
            here="studies",
            search=asked.filter.search,
            asked=asked,
            found=found,
            states=list(StudyState),
            orders=StudyOrder,
            sources=_with(asked.filter.source, sources),
            modalities=_with(asked.filter.modality, modalities),
            destinations=_with(asked.filter.destination, self._destinations()),
            has_more=asked.offset + len(found.rows) < found.total,
        )
        # Of filters that are applied while one types, the address keeps those that say something.
        response.headers["HX-Replace-Url"] = asked.address()
        return response

    def _destinations(self) -> Sequence[str]:
        book = self._site.destinations
        return () if book is None else book.names()


def read_query(parameters: Mapping[str, str], *, by_patient: bool) -> StudyQuery:
    """Read the filters of an address; raises InvalidValue for what can be none of them."""
    day = parameters.get("day", "").strip()
    asked = StudyFilter(
        search=parameters.get("search", "").strip(),
        by_patient=by_patient,
        state=_choice(StudyState, parameters.get("state", ""), "state"),
        source=parameters.get("source", "").strip(),
        destination=parameters.get("destination", "").strip(),
        modality=parameters.get("modality", "").strip(),
        model=parameters.get("model", "").strip(),
    )
    if day:
        begins = _midnight(day)
        asked = replace(asked, received_from=begins, received_before=_midnight(day, later=1))
    sort = parameters.get("sort", "") or f"-{StudyOrder.RECEIVED}"
    order = _choice(StudyOrder, sort.removeprefix("-"), "sort") or StudyOrder.RECEIVED
    if order is StudyOrder.PATIENT and not by_patient:
        # The order of masked names would tell of them.
        order = StudyOrder.RECEIVED
    return StudyQuery(
        filter=asked, day=day, order=order, descending=sort.startswith("-"), page=_page(parameters.get("page", ""))
    )


def _choice(kind: type[_Choice], text: str, name: str) -> _Choice | None:
    if not text:
        return None
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidValue(f"{name} is none of {', '.join(kind)}") from error


def _midnight(day: str, later: int = 0) -> datetime:
    """Give the instant at which a day, or one so many days later, begins at this site; raises InvalidValue."""
    try:
        return datetime.combine(date.fromisoformat(day) + timedelta(days=later), time()).astimezone()
    except (ValueError, OverflowError) as error:
        raise InvalidValue("the day is not of the form 2026-03-01") from error


def _page(text: str) -> int:
    if not text:
        return 1
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_PAGES:
        raise InvalidValue("the page is no number from 1 on")
    return int(text)


def _with(chosen: str, choices: Sequence[str]) -> Sequence[str]:
    """Add what was chosen to the choices, so that a form never drops a filter that it does not know."""
    return choices if not chosen or chosen in choices else (chosen, *choices)
