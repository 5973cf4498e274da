"""The pages of the rules in force: what they say, how often they fire, trials on stored studies, versions."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import JSONResponse, Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import InvalidRule, NotInLedger
from dicomnode.domain.rule_book import Draft, Publication
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.rule_book import RuleBook
from dicomnode.ledger.rule_counts import count_fired, list_fired
from dicomnode.ledger.studies import find_study, list_series
from dicomnode.ledger.study_list import StudyFilter, page_of_studies
from dicomnode.rules.json_document import write_json
from dicomnode.rules.ruleset import load_rule_set
from dicomnode.rules.yaml_document import write_yaml
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.rule_diff import compared
from dicomnode.web.rule_draft import rules_of
from dicomnode.web.rule_facts import fact_document, facts_for
from dicomnode.web.rule_form import Scope
from dicomnode.web.rule_trial import Replayed, outcome_of, read_study_uids, verdict_of
from dicomnode.web.rule_words import RuleWords, describe, outline
from dicomnode.web.site import Site
from dicomnode.web.study_view import label_of

_COUNTED_DAYS = 7
_ROWS = 100
_STUDIES_OFFERED = 20
_READ = [needs(Permission.SEE_SYSTEM)]
_TRY = [needs(Permission.EDIT_RULES)]
_PUBLISH = [needs(Permission.PUBLISH_RULES)]


class RulePages:
    """Answers for the pages that read the rules or try them, and for the button that rolls back."""

    def __init__(self, site: Site, renderer: Renderer, replayed: Replayed) -> None:
        self._site = site
        self._renderer = renderer
        self._replayed = replayed

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        add = router.add_api_route
        add("/rules", self.in_force, methods=["GET"], dependencies=_READ)
        add("/rules/fired/{rule}", self.fired, methods=["GET"], dependencies=[needs(Permission.SEE_STUDIES)])
        add("/rules/facts", self.facts, methods=["GET"], dependencies=_READ)
        add("/rules/test", self.test, methods=["GET"], dependencies=_TRY)
        add("/rules/whatif", self.what_if, methods=["GET"], dependencies=_TRY)
        add("/rules/versions", self.versions, methods=["GET"], dependencies=_READ)
        add("/rules/versions/{version}/rollback", self.roll_back, methods=["POST"], dependencies=_PUBLISH)
        add("/rules/diff", self.diff, methods=["GET"], dependencies=_READ)
        add("/rules/export/{version}.{form}", self.export, methods=["GET"], dependencies=_READ)
        return router

    def in_force(self, request: Request) -> Response:
        """Show the rules in force, in their order and in plain words, and how often each fired."""
        book = book_of(self._site)
        publication = latest_of(book)
        words, problems = in_words(book, book.document(publication.version))
        with self._site.ledger.transaction() as tx:
            counts = count_fired(tx, self._site.clock.now() - timedelta(days=_COUNTED_DAYS))
        return self._renderer.show(
            request,
            "rules.html",
            here="rules",
            rules=words,
            problems=problems,
            counts=counts,
            days=_COUNTED_DAYS,
            publication=publication,
            draft=book.draft(),
            draft_changes=len(book.differences(*_base_and_draft(book))) if book.draft() else 0,
            models=book.models(),
            destinations=book.destinations(),
        )

    def fired(self, request: Request, rule: str) -> Response:
        """List the latest studies that a rule fired for."""
        with self._site.ledger.transaction() as tx:
            decisions = list_fired(tx, rule, _ROWS)
        return self._renderer.show(request, "rule_fired.html", here="rules", rule=rule, decisions=decisions)

    def facts(self, search: Annotated[str, Query(max_length=200)] = "", scope: Scope = "series") -> JSONResponse:
        """List the facts whose name or meaning contains what somebody types, as JSON for the editor."""
        offered = facts_for(book_of(self._site).catalogue(), scope, search)
        return JSONResponse([fact_document(fact) for fact in offered])

    def test(self, request: Request, study: str = "", search: str = "", of: str = "") -> Response:
        """Ask the draft, or the rules in force, about one stored study; raises InvalidValue, NotInLedger."""
        book, draft = book_of(self._site), book_of(self._site).draft()
        tries_draft = draft is not None and of != "force"
        shown: dict[str, Any] = {"verdicts": (), "summary": None, "found": None}
        if study:
            uid = StudyInstanceUID(study.strip())
            document = _document(book, draft if tries_draft else None)
            with self._site.ledger.transaction() as tx:
                summary, series = find_study(tx, uid), list_series(tx, uid)
            labels = {str(one.series_instance_uid): label_of(one) for one in series}
            verdicts = [verdict_of(decision, labels) for decision in book.try_on(document, uid)]
            shown = {"verdicts": verdicts, "summary": summary, "found": None}
        else:
            by_patient = visitor_of(request).may(Permission.SEE_NAMES)
            asked = StudyFilter(search=search.strip(), by_patient=by_patient)
            with self._site.ledger.transaction() as tx:
                shown["found"] = page_of_studies(tx, asked, limit=_STUDIES_OFFERED)
        return self._renderer.show(
            request, "rule_test.html", here="rules", draft=draft, tries_draft=tries_draft, wanted=search, **shown
        )

    def what_if(
        self,
        request: Request,
        days: Annotated[float | None, Query(gt=0, le=3650)] = None,
        studies: Annotated[str, Query(max_length=20_000)] = "",
    ) -> Response:
        """Replay the draft over stored studies and show what it would decide otherwise; raises InvalidValue."""
        book, found = book_of(self._site), None
        draft = book.draft()
        if draft is not None and (days is not None or studies.strip()):
            found = book.what_if(draft.document, days=days, studies=read_study_uids(studies))
            self._replayed.note(draft)
        return self._renderer.show(
            request,
            "rule_whatif.html",
            here="rules",
            draft=draft,
            found=found,
            days=days,
            studies=studies,
            outcome_of=outcome_of,
        )

    def versions(self, request: Request) -> Response:
        """List which versions came into force, when, by whom and why."""
        book = book_of(self._site)
        publications = book.publications(limit=_ROWS)
        return self._renderer.show(
            request, "rule_versions.html", here="rules", publications=publications, draft=book.draft()
        )

    def diff(self, request: Request, before: str = "", after: str = "") -> Response:
        """Compare two versions rule by rule; an empty one is the draft. Raises NotInLedger."""
        book = book_of(self._site)
        known = {one.version: one for one in reversed(book.publications(limit=_ROWS))}
        changes = [compared(change) for change in book.differences(before or None, after or None)]
        return self._renderer.show(
            request,
            "rule_diff.html",
            here="rules",
            changes=changes,
            before=known.get(before),
            after=known.get(after),
            before_version=before,
            after_version=after,
        )

    def roll_back(self, request: Request, version: str, reason: Annotated[str, Form()] = "") -> Response:
        """Put an earlier version in force again; raises InvalidValue without a reason, NotInLedger."""
        published = book_of(self._site).roll_back(version, visitor_of(request).name, reason)
        return back_to("/rules", f"Rolled back: version {version[:8]} is in force again, as number {published.number}.")

    def export(self, version: str, form: str) -> Response:
        """Give a version, or the draft, as a file to keep or to bring to another node; raises NotInLedger."""
        book = book_of(self._site)
        draft = book.draft() if version == "draft" else None
        document = draft.document if draft is not None else book.document(version)
        if form not in ("yaml", "json"):
            raise NotInLedger("rules are given as yaml or json")
        text = write_yaml(document) if form == "yaml" else write_json(document)
        return Response(
            text,
            media_type="application/yaml" if form == "yaml" else "application/json",
            headers={"Content-Disposition": f'attachment; filename="rules-{version[:16]}.{form}"'},
        )


def book_of(site: Site) -> RuleBook:
    """Give the rule book; raises NotInLedger where this process has none."""
    if site.rules is None:
        raise NotInLedger("this process of the node keeps no rules")
    return site.rules


def latest_of(book: RuleBook) -> Publication:
    """Tell which version is in force since when; raises NotInLedger before the first start of the node."""
    publications = book.publications(limit=1)
    if not publications:
        raise NotInLedger("no rules are in force yet: a node brings its first ones from its settings when it starts")
    return publications[0]


def in_words(book: RuleBook, document: Mapping[str, object]) -> tuple[list[RuleWords], tuple[str, ...]]:
    """Put the rules of a document in words; where they cannot be read, their names, and what is wrong."""
    problems = book.problems(document)
    try:
        return [describe(rule) for rule in load_rule_set(document, book.catalogue()).rules], problems
    except InvalidRule:
        return [outline(rule) for rule in rules_of(document)], problems


def _document(book: RuleBook, draft: Draft | None) -> Mapping[str, object]:
    """Give the document to try: the draft's, or that in force."""
    return draft.document if draft is not None else book.document(latest_of(book).version)


def _base_and_draft(book: RuleBook) -> tuple[str, None]:
    return latest_of(book).version, None
