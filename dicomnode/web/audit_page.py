"""The page of the audit trail: who did or saw what, filtered by the server, and the same as a table for programs."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from dicomnode.domain.account import Permission
from dicomnode.domain.audit import AuditAction
from dicomnode.domain.errors import InvalidValue
from dicomnode.journey.audit import AuditTrail
from dicomnode.ledger.audit import AuditQuery, AuditRecord
from dicomnode.web.access import needs
from dicomnode.web.rendering import Renderer

_PATH = "/audit"
_ROWS = 100
_AT_A_TIME = 1000
_COLUMNS = ("number", "at", "who", "action", "kind", "study", "object", "outcome", "address", "detail")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilters:
    """What the address of the page asks for."""

    who: str = ""
    action: str = ""
    object: str = ""
    day: str = ""
    failures: bool = False
    page: int = 1

    @property
    def is_narrowed(self) -> bool:
        """Whether anything is left out."""
        return self != AuditFilters(page=self.page)

    def query(self) -> AuditQuery:
        """Turn it into what the ledger is asked; raises InvalidValue."""
        since = self._midnight()
        return AuditQuery(
            who=self.who.strip(),
            action=self._action(),
            object=self.object.strip(),
            since=since,
            until=None if since is None else since + timedelta(days=1),
            failures_only=self.failures,
        )

    def address(self, path: str = _PATH, page: int = 1) -> str:
        """Write it as an address again."""
        given = {"who": self.who, "action": self.action, "object": self.object, "day": self.day}
        words = {name: value for name, value in given.items() if value}
        words |= {"failures": "1"} if self.failures else {}
        words |= {"page": str(page)} if page > 1 else {}
        return f"{path}?{urlencode(words)}" if words else path

    def _action(self) -> AuditAction | None:
        try:
            return AuditAction(self.action) if self.action else None
        except ValueError as error:
            raise InvalidValue(f"there is no such action; there are {', '.join(AuditAction)}") from error

    def _midnight(self) -> datetime | None:
        """Find when the day began at this site."""
        try:
            return datetime.combine(date.fromisoformat(self.day), time.min).astimezone() if self.day else None
        except (ValueError, OverflowError) as error:
            raise InvalidValue("a day is written like 2026-03-01") from error


class AuditPage:
    """Answers for /audit and /audit.csv."""

    def __init__(self, trail: AuditTrail, renderer: Renderer) -> None:
        self._trail = trail
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        administers = [needs(Permission.ADMINISTER)]
        router.add_api_route(_PATH, self.lines, methods=["GET"], dependencies=administers)
        router.add_api_route(f"{_PATH}.csv", self.table, methods=["GET"], dependencies=administers)
        return router

    def lines(self, request: Request) -> Response:
        """Show the latest lines that the filters leave; raises InvalidValue."""
        asked = _asked(request)
        found = self._trail.lines(asked.query(), limit=_ROWS + 1, offset=(asked.page - 1) * _ROWS)
        return self._renderer.show(
            request,
            "audit.html",
            here="audit",
            asked=asked,
            lines=found[:_ROWS],
            has_more=len(found) > _ROWS,
            actions=tuple(AuditAction),
        )

    def table(self, request: Request) -> Response:
        """Give all lines that the filters leave as comma-separated values (RFC 4180); raises InvalidValue."""
        query = _asked(request).query()
        headers = {"Content-Disposition": 'attachment; filename="audit.csv"', "Cache-Control": "no-store"}
        return StreamingResponse(self._written(query), media_type="text/csv; charset=utf-8", headers=headers)

    def _written(self, query: AuditQuery) -> Iterator[str]:
        yield _csv([_COLUMNS])
        offset = 0
        # Lines that come meanwhile would push the others on: only what was there at the beginning is asked for.
        bounded = query
        while True:
            found = self._trail.lines(bounded, limit=_AT_A_TIME, offset=offset)
            if not found:
                return
            if offset == 0:
                newest = found[0].event.at + timedelta(microseconds=1)
                bounded = replace(query, until=min(query.until or newest, newest))
            yield _csv([_row(one) for one in found])
            offset += len(found)


def _asked(request: Request) -> AuditFilters:
    words = request.query_params
    page = words.get("page", "1")
    return AuditFilters(
        who=words.get("who", ""),
        action=words.get("action", ""),
        object=words.get("object", ""),
        day=words.get("day", ""),
        failures=words.get("failures", "") == "1",
        page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 and int(page) else 1,
    )


def _row(record: AuditRecord) -> tuple[str, ...]:
    event = record.event
    return (
        str(record.id),
        event.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        event.who,
        event.action,
        event.kind,
        event.study_instance_uid,
        event.object,
        event.outcome.name.lower().replace("_", " "),
        event.address,
        "; ".join(f"{name}: {value}" for name, value in event.detail.items()),
    )


def _csv(rows: Sequence[Sequence[str]]) -> str:
    """Write rows; what a spreadsheet would take for a formula becomes text."""
    written = io.StringIO()
    csv.writer(written).writerows([[f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows])
    return written.getvalue()
