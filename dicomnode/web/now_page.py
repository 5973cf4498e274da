"""The first page: how each link and queue stands, what failed in the last day, and the latest studies."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.domain.capacity import DiskLevel, DiskState
from dicomnode.domain.errors import DicomnodeError, NotInLedger
from dicomnode.domain.tls import CertificateState
from dicomnode.ledger.failures import bytes_received_since, ended_derivations, stopped_steps
from dicomnode.ledger.links import LinkState, link_states
from dicomnode.ledger.study_list import StudyFilter, page_of_studies
from dicomnode.ledger.transaction import Transaction
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.failures import failures_since
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.site import Site
from dicomnode.web.words import plural

_GIB = 2**30
_RECENT = 10
_LAST = timedelta(days=1)
_PACE = timedelta(days=7)
_SHORTEST_PACE = timedelta(hours=1)
_DAY = timedelta(days=1)
_TITLES = {
    "receive": "Receive",
    "complete": "Complete",
    "derive": "Synthesise",
    "workers": "Workers",
    "commit": "Commit",
}


class NowPage:
    """Answers for / and the buttons beside its failures."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        sees, operates = [needs(Permission.SEE_SYSTEM)], [needs(Permission.OPERATE)]
        router.add_api_route("/", self.now, methods=["GET"], dependencies=sees)
        retry, resend = "/failures/derivations/{error}/retry", "/failures/deliveries/{destination}/resend"
        router.add_api_route(retry, self.retry_all, methods=["POST"], dependencies=operates)
        router.add_api_route(resend, self.resend_all, methods=["POST"], dependencies=operates)
        return router

    def now(self, request: Request) -> Response:
        """Show the state of each link and queue, the failures, and the latest studies to who may see them."""
        now, shows_studies = self._site.clock.now(), visitor_of(request).may(Permission.SEE_STUDIES)
        named = self._site.destinations.names() if self._site.destinations else ()
        with self._site.ledger.transaction() as tx:
            links = link_states(tx, now, self._site.lease, named)
            failures = failures_since(tx, now - _LAST)
            studies = page_of_studies(tx, StudyFilter(), limit=_RECENT).rows if shows_studies else ()
            if self._site.capacity is not None:
                links += (_disk(tx, self._site.capacity.state(), links, now),)
        if self._site.certificates is not None:
            links += tuple(_certificate(state, now) for state in self._site.certificates.states())
        lines = [(_TITLES.get(link.name, link.name.capitalize()), _state_word(link), link) for link in links]
        return self._renderer.show(
            request,
            "now.html",
            here="now",
            lines=lines,
            failures=failures,
            studies=studies,
            shows_studies=shows_studies,
        )

    def retry_all(self, request: Request, error: str) -> Response:
        """Try once more whatever failed for one cause in the last day; raises NotInLedger when nothing did."""
        with self._site.ledger.transaction() as tx:
            ended = ended_derivations(tx, self._site.clock.now() - _LAST)
        by = visitor_of(request).name
        keys = [key for one in ended if one.error == error and one.state == "failed" for key in one.keys]
        return self._press(keys, lambda key: self._site.operator.retry(key, by), "will be tried again")

    def resend_all(self, request: Request, destination: str) -> Response:
        """Send once more whatever was left to a person on its way to a destination; raises NotInLedger."""
        with self._site.ledger.transaction() as tx:
            stopped = stopped_steps(tx, self._site.clock.now() - _LAST)
        by = visitor_of(request).name
        keys = [key for one in stopped if one.destination == destination for key in one.keys]
        return self._press(keys, lambda key: self._site.operator.resend(key, destination, by), "will be sent again")

    def _press(self, keys: Sequence[str], verb: Callable[[str], str], outcome: str) -> Response:
        """Do one thing to several derivations; what is no longer there to be done does not hold up the others."""
        if not keys:
            raise NotInLedger("nothing of this kind failed in the last day that could be done again")
        done, refused = 0, ""
        for key in keys:
            try:
                verb(key)
                done += 1
            except DicomnodeError as error:
                refused = error.reason
        if not done:
            raise NotInLedger(refused)
        return back_to("/", f"{plural(done, 'derivation')} {outcome}.{f' Not all: {refused}.' if refused else ''}")


def _disk(tx: Transaction, found: DiskState, links: Sequence[LinkState], now: datetime) -> LinkState:
    """Describe the spool's disk; its last success is that of the link that writes to it, receive."""
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
        note=f"{found.free / _GIB:.1f} of {found.total / _GIB:.1f} GiB free{_days_left(tx, found.free, now)}"
        f"{advice[found.level]}",
    )


def _days_left(tx: Transaction, free: int, now: datetime) -> str:
    """Say for how many days the room lasts when as much comes as in the last week, where anything came."""
    received, first = bytes_received_since(tx, now - _PACE)
    if not received or first is None or now - first < _SHORTEST_PACE:
        return ""
    days = free / (received / ((now - first) / _DAY))
    return f", enough for {days:.0f} days at this week's pace" if days < 1000 else ", enough for years at this pace"


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
