"""The interface for programs to studies, derivations, destinations, models and quarantine: the verbs of the pages."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.destinations import DestinationBook
from dicomnode.journey.quarantine import Quarantine
from dicomnode.ledger.model_work import work_of_model
from dicomnode.ledger.studies import list_derivations
from dicomnode.ledger.study_list import listing_of, page_of_studies
from dicomnode.ledger.timeline import timeline
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.model_pages import rules_in_force, rules_with_model
from dicomnode.web.peer_documents import EchoDocument, Problem
from dicomnode.web.site import Site
from dicomnode.web.studies_page import read_query
from dicomnode.web.study_api import SaidDocument
from dicomnode.web.system_documents import (
    DerivationDocument,
    DestinationDocument,
    EventDocument,
    ModelDocument,
    QuarantinedDocument,
    ReasonDocument,
    StudiesDocument,
    StudyDocument,
    StudyFilters,
    WholeStudyDocument,
)

_LARGEST_ID = 2**63 - 1
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "It is not here"},
    409: {"model": Problem, "description": "It cannot be done as things stand"},
    422: {"model": Problem, "description": "A value has not the form it must have"},
    502: {"model": Problem, "description": "The destination did not take it"},
}


class SystemApi:
    """Answers for /api/studies, /api/derivations, /api/destinations, /api/models and /api/quarantine."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def router(self) -> APIRouter:
        """Make the routes, each with what it asks of its visitor."""
        router = APIRouter()
        see, look, act = Permission.SEE_STUDIES, Permission.SEE_SYSTEM, Permission.OPERATE
        routes: Sequence[tuple[str, str, str, Permission, Callable[..., object]]] = (
            ("studies", "GET", "/studies", see, self.list_studies),
            ("studies", "GET", "/studies/{study_instance_uid}", see, self.read_study),
            ("derivations", "POST", "/derivations/{key}/retry", act, self.retry_derivation),
            ("derivations", "POST", "/derivations/{key}/resend/{destination}", act, self.resend_derivation),
            ("destinations", "GET", "/destinations", look, self.list_destinations),
            ("destinations", "POST", "/destinations/{name}/echo", act, self.echo_destination),
            ("destinations", "POST", "/destinations/{name}/pause", act, self.pause_destination),
            ("destinations", "POST", "/destinations/{name}/resume", act, self.resume_destination),
            ("models", "GET", "/models", look, self.list_models),
            ("quarantine", "GET", "/quarantine", see, self.list_quarantine),
            ("quarantine", "POST", "/quarantine/{entry}/release", act, self.release_quarantined),
            ("quarantine", "POST", "/quarantine/{entry}/discard", act, self.discard_quarantined),
        )
        for tag, method, path, permission, verb in routes:
            router.add_api_route(
                path, verb, methods=[method], tags=[tag], dependencies=[needs(permission)], responses=_PROBLEMS
            )
        return router

    def list_studies(self, request: Request, given: Annotated[StudyFilters, Query()]) -> StudiesDocument:
        """List studies, the one that received last first; the filters are those of the page. Raises InvalidValue."""
        with_names = visitor_of(request).may(Permission.SEE_NAMES)
        asked = read_query(given.model_dump(exclude={"limit", "offset"}), by_patient=with_names)
        with self._site.ledger.transaction() as tx:
            found = page_of_studies(
                tx,
                asked.filter,
                order=asked.order,
                descending=asked.descending,
                limit=given.limit,
                offset=given.offset,
            )
        rows = tuple(StudyDocument.of(one, with_names=with_names) for one in found.rows)
        return StudiesDocument(total=found.total, studies=rows)

    def read_study(self, request: Request, study_instance_uid: str) -> WholeStudyDocument:
        """Read one study, what was made of it and its timeline; raises InvalidValue, NotInLedger."""
        uid = StudyInstanceUID(study_instance_uid)
        with_names = visitor_of(request).may(Permission.SEE_NAMES)
        with self._site.ledger.transaction() as tx:
            listing, derivations, events = listing_of(tx, uid), list_derivations(tx, uid), timeline(tx, uid)
        row = StudyDocument.of(listing, with_names=with_names)
        return WholeStudyDocument(
            **row.model_dump(),
            derivations=tuple(DerivationDocument.of(one) for one in derivations),
            events=tuple(EventDocument.of(one) for one in events),
        )

    def retry_derivation(self, request: Request, key: str) -> SaidDocument:
        """Try a failed or refused derivation once more; raises NotInLedger."""
        return SaidDocument(said=self._site.operator.retry(key, visitor_of(request).name))

    def resend_derivation(self, request: Request, key: str, destination: str) -> SaidDocument:
        """Send a derived series to a destination once more; raises NotInLedger."""
        return SaidDocument(said=self._site.operator.resend(key, destination, visitor_of(request).name))

    def list_destinations(self) -> Sequence[DestinationDocument]:
        """List the destinations that the settings name, and how deliveries to each stand."""
        book = self._site.destinations
        return [DestinationDocument.of(state) for state in (book.states() if book else ())]

    def echo_destination(self, name: str) -> EchoDocument:
        """Ask a destination by C-ECHO whether it is there; a failure is an answer. Raises NotInLedger."""
        return EchoDocument.of(self._book().echo(name))

    def pause_destination(self, request: Request, name: str, why: ReasonDocument) -> SaidDocument:
        """Send nothing to a destination until it is resumed; raises NotInLedger."""
        return SaidDocument(said=self._book().pause(name, visitor_of(request).name, why.reason))

    def resume_destination(self, request: Request, name: str) -> SaidDocument:
        """Send what waits for a destination, and what comes; raises NotInLedger."""
        return SaidDocument(said=self._book().resume(name, visitor_of(request).name))

    def list_models(self) -> Sequence[ModelDocument]:
        """List the models that are installed on this host."""
        installed = self._site.models.installed() if self._site.models else ()
        rules = rules_in_force(self._site.rules)
        with self._site.ledger.transaction() as tx:
            return [
                ModelDocument.of(
                    model, work_of_model(tx, model.card.name), tuple(rules_with_model(rules, model.card.name))
                )
                for model in installed
            ]

    def list_quarantine(self) -> Sequence[QuarantinedDocument]:
        """List what was refused but kept, the oldest first."""
        kept = self._site.quarantine.entries() if self._site.quarantine else ()
        return [QuarantinedDocument.of(entry) for entry in kept]

    def release_quarantined(self, entry: int) -> SaidDocument:
        """Record an entry as if it came now; raises NotInLedger, or MalformedInstance where it cannot be placed."""
        return SaidDocument(said=self._quarantine(entry).release(entry))

    def discard_quarantined(self, request: Request, entry: int, why: ReasonDocument) -> SaidDocument:
        """Delete an entry for good; who, what and why stay in the ledger. Raises NotInLedger."""
        said = self._quarantine(entry).discard(entry, f"{why.reason} ({visitor_of(request).name})")
        return SaidDocument(said=said)

    def _book(self) -> DestinationBook:
        if self._site.destinations is None:
            raise NotInLedger("this process knows no destinations")
        return self._site.destinations

    def _quarantine(self, entry: int) -> Quarantine:
        """Open the quarantine for one entry; a number that no row can have is in none."""
        if self._site.quarantine is None or not 0 <= entry <= _LARGEST_ID:
            raise NotInLedger(f"nothing of number {entry} is in quarantine")
        return self._site.quarantine
