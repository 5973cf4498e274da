"""The interface for programs to the rules: what the pages of the rules do, as JSON below /api/rules."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.rule_book import Draft, Publication
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.fact_search import Scope, search_facts
from dicomnode.journey.rule_book import RuleBook
from dicomnode.rules.yaml_document import write_yaml
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.peer_documents import Problem
from dicomnode.web.rule_documents import (
    DecisionDocument,
    DraftChange,
    DraftDocument,
    FactDocument,
    InForce,
    PublicationDocument,
    ReasonedChange,
    Rollback,
    RuleChangeDocument,
    RulesDocument,
    Trial,
    Verdict,
    WhatIfDocument,
    WhatIfRequest,
)

_YAML = "application/yaml"
_HEXADECIMAL = r"^[0-9a-f]{1,64}$"
_SAID: Mapping[int, str] = {
    403: "The visitor may not do this, or a second person has to",
    404: "There is no such version, draft or study",
    409: "The draft is another one by now",
    422: "A value has not the form it must have, or the rules are wrong: `detail` has a line for each problem",
}
VersionInPath = Annotated[str, Path(pattern=_HEXADECIMAL, description="Name of a version.")]
VersionInQuery = Annotated[
    str | None, Query(pattern=_HEXADECIMAL, description="Name of a version; left out: the draft.")
]


class RulesApi:
    """Answers for /api/rules."""

    def __init__(self, book: RuleBook) -> None:
        self._book = book

    def router(self) -> APIRouter:
        """Make the routes: those that only look, those that edit, and those that put rules in force."""
        router = APIRouter(prefix="/rules", tags=["rules"])
        self._add_looking(router)
        self._add_editing(router)
        self._add_publishing(router)
        return router

    def _add_looking(self, router: APIRouter) -> None:
        look: Any = {"methods": ["GET"], "dependencies": [needs(Permission.SEE_SYSTEM)]}
        router.add_api_route("", self.read_rules_in_force, **look, responses=_only(404))
        router.add_api_route("/versions", self.list_rule_versions, **look, responses=_only(422))
        router.add_api_route(
            "/versions/{version}",
            self.read_rule_version,
            **look,
            response_model=dict[str, Any],
            responses={200: {"content": {_YAML: {"schema": {"type": "string"}}}}, **_only(404, 422)},
        )
        router.add_api_route("/differences", self.compare_rule_versions, **look, responses=_only(404, 422))
        router.add_api_route("/facts", self.search_rule_facts, **look, responses=_only(422))
        router.add_api_route("/draft", self.read_rule_draft, **look, responses=_only(404))

    def _add_editing(self, router: APIRouter) -> None:
        edit: Any = {"dependencies": [needs(Permission.EDIT_RULES)]}
        router.add_api_route("/draft", self.begin_rule_draft, methods=["POST"], **edit, responses=_only(404))
        router.add_api_route("/draft", self.save_rule_draft, methods=["PUT"], **edit, responses=_only(409, 422))
        router.add_api_route("/draft", self.discard_rule_draft, methods=["DELETE"], **edit, status_code=204)
        router.add_api_route(
            "/draft/proposal", self.propose_rule_draft, methods=["POST"], **edit, responses=_only(409, 422)
        )
        router.add_api_route("/check", self.check_rules, methods=["POST"], **edit, responses=_only(422))
        router.add_api_route("/test", self.try_rules, methods=["POST"], **edit, responses=_only(404, 422))
        router.add_api_route("/what-if", self.ask_what_if, methods=["POST"], **edit, responses=_only(404, 422))

    def _add_publishing(self, router: APIRouter) -> None:
        publish: Any = {"methods": ["POST"], "status_code": 201, "dependencies": [needs(Permission.PUBLISH_RULES)]}
        router.add_api_route("/publications", self.publish_rules, **publish, responses=_only(403, 409, 422))
        router.add_api_route("/rollback", self.roll_rules_back, **publish, responses=_only(404, 422))

    def read_rules_in_force(self) -> InForce:
        """Read the rules that studies are decided by now, since when, by whom and why."""
        publication, document = self._in_force()
        about = PublicationDocument.of(publication).model_dump()
        return InForce(**about, document=dict(document), problems=self._book.problems(document))

    def list_rule_versions(self, limit: Annotated[int, Query(ge=1, le=10_000)] = 50) -> Sequence[PublicationDocument]:
        """List which versions came into force, the latest first."""
        return [PublicationDocument.of(one) for one in self._book.publications(limit)]

    def read_rule_version(
        self,
        version: VersionInPath,
        form: Annotated[Literal["json", "yaml"], Query(alias="format", description="In which form.")] = "json",
    ) -> Response:
        """Read the document of a version."""
        document = self._book.document(version)
        if form == "yaml":
            return PlainTextResponse(write_yaml(document), media_type=_YAML)
        return JSONResponse(document)

    def compare_rule_versions(
        self, before: VersionInQuery = None, after: VersionInQuery = None
    ) -> Sequence[RuleChangeDocument]:
        """List the rules that differ between two versions, or between one and the draft."""
        return [RuleChangeDocument.of(change) for change in self._book.differences(before, after)]

    def search_rule_facts(
        self,
        search: Annotated[str, Query(max_length=200, description="Part of a name or of its description.")] = "",
        scope: Annotated[Scope | None, Query(description="Facts of the study alone, or of a series.")] = None,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 40,
    ) -> Sequence[FactDocument]:
        """Find what rules can ask for, the nearest first."""
        found = search_facts(self._book.catalogue(), search, limit, scope)
        return [FactDocument.of(one) for one in found]

    def read_rule_draft(self) -> DraftDocument:
        """Read the draft."""
        return DraftDocument.of(self._draft())

    def begin_rule_draft(self, request: Request) -> DraftDocument:
        """Begin a draft as the rules in force, or give the one that is open."""
        return DraftDocument.of(self._book.begin_draft(_by(request)))

    def save_rule_draft(self, change: DraftChange, request: Request) -> DraftDocument:
        """Put a document in the place of the draft; one that is wrong is refused with all that is wrong."""
        return DraftDocument.of(self._book.save_draft(change.document, _by(request), change.expected))

    def discard_rule_draft(self, request: Request) -> None:
        """Forget the draft; nothing happens where none is open."""
        self._book.discard_draft(_by(request))

    def propose_rule_draft(self, change: ReasonedChange, request: Request) -> DraftDocument:
        """Ask that somebody else publishes the draft, where the site asks for two people."""
        return DraftDocument.of(self._book.propose(_by(request), change.reason, change.expected))

    def check_rules(self, rules: RulesDocument) -> Verdict:
        """Say all that is wrong with rules: grammar, facts, models, roles and destinations."""
        return Verdict(problems=self._book.problems(rules.document))

    def try_rules(self, trial: Trial) -> Sequence[DecisionDocument]:
        """Say what each rule would do with a stored study, and why; nothing is kept, sent or changed."""
        study = StudyInstanceUID(trial.study)
        document = self._in_force()[1] if trial.document is None else trial.document
        return [DecisionDocument.of(decision) for decision in self._book.try_on(document, study)]

    def ask_what_if(self, asked: WhatIfRequest) -> WhatIfDocument:
        """List which stored studies other rules would decide otherwise than those in force."""
        studies = tuple(StudyInstanceUID(uid) for uid in asked.studies)
        document = self._draft().document if asked.document is None else asked.document
        return WhatIfDocument.of(self._book.what_if(document, days=asked.days, studies=studies))

    def publish_rules(self, change: ReasonedChange, request: Request) -> PublicationDocument:
        """Put the draft in force, if it is the one that was looked at."""
        return PublicationDocument.of(self._book.publish(_by(request), change.reason, change.expected))

    def roll_rules_back(self, rollback: Rollback, request: Request) -> PublicationDocument:
        """Put an earlier version in force again."""
        return PublicationDocument.of(self._book.roll_back(rollback.version, _by(request), rollback.reason))

    def _in_force(self) -> tuple[Publication, Mapping[str, object]]:
        publications = self._book.publications(1)
        if not publications:
            raise NotInLedger("no rules are in force yet: a node brings its first ones when it starts")
        return publications[0], self._book.document(publications[0].version)

    def _draft(self) -> Draft:
        draft = self._book.draft()
        if draft is None:
            raise NotInLedger("there is no draft of the rules")
        return draft


def _by(request: Request) -> str:
    return visitor_of(request).name


def _only(*statuses: int) -> dict[int | str, dict[str, object]]:
    return {status: {"model": Problem, "description": _SAID[status]} for status in statuses}
