"""The interface for programs: the peers of the node, C-ECHO to them, and who was turned away, as JSON."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import DicomnodeError
from dicomnode.domain.uids import AETitle
from dicomnode.journey.peers import PeerBook
from dicomnode.journey.rule_book import RuleBook
from dicomnode.web.access import needs
from dicomnode.web.peer_documents import EchoDocument, KnownPeer, PeerDocument, Problem, RefusalDocument
from dicomnode.web.rules_api import RulesApi
from dicomnode.web.study_api import StudyApi, StudyOperator

_PROBLEM_TYPE = "application/problem+json"
_PROBLEMS: dict[int | str, dict[str, object]] = {
    404: {"model": Problem, "description": "It is no peer of this node"},
    409: {"model": Problem, "description": "It is not known where the peer listens"},
    422: {"model": Problem, "description": "A value has not the form it must have"},
}


class PeerApi:
    """Answers for /api/peers and /api/refusals."""

    def __init__(self, book: PeerBook) -> None:
        self._book = book

    def router(self) -> APIRouter:
        """Make the routes; a title may have any printable character in it."""
        router = APIRouter(tags=["peers"])
        one = "/peers/{ae_title:path}"
        sees, edits = [needs(Permission.SEE_SYSTEM)], [needs(Permission.EDIT_PEERS)]
        router.add_api_route("/peers", self.list_peers, methods=["GET"], dependencies=sees)
        router.add_api_route("/refusals", self.list_refusals, methods=["GET"], dependencies=sees)
        router.add_api_route(
            f"{one}/echo",
            self.echo_peer,
            methods=["POST"],
            dependencies=[needs(Permission.OPERATE)],
            responses=_only(404, 409, 422),
        )
        router.add_api_route(one, self.read_peer, methods=["GET"], dependencies=sees, responses=_only(404, 422))
        made: dict[int | str, dict[str, object]] = {201: {"model": KnownPeer}, **_only(422)}
        router.add_api_route(one, self.put_peer, methods=["PUT"], dependencies=edits, responses=made)
        router.add_api_route(
            one, self.remove_peer, methods=["DELETE"], dependencies=edits, status_code=204, responses=_only(404, 422)
        )
        return router

    def list_peers(self) -> Sequence[KnownPeer]:
        """List all peers by their titles."""
        return [KnownPeer.of(record) for record in self._book.peers()]

    def read_peer(self, ae_title: str) -> KnownPeer:
        """Read one peer; raises InvalidValue, NotInLedger."""
        return KnownPeer.of(self._book.find(AETitle(ae_title)))

    def put_peer(self, ae_title: str, document: PeerDocument, response: Response) -> KnownPeer:
        """Make a peer what the document says, whether it was there (200) or not (201); raises InvalidValue."""
        title = AETitle(ae_title)
        if self._book.put(document.peer(title)):
            response.status_code = HTTPStatus.CREATED
        return KnownPeer.of(self._book.find(title))

    def remove_peer(self, ae_title: str) -> None:
        """Forget a peer; raises InvalidValue, NotInLedger."""
        self._book.remove(AETitle(ae_title))

    def echo_peer(self, ae_title: str) -> EchoDocument:
        """Ask a peer by C-ECHO whether it is there; a failure is an answer. Raises NotInLedger, PeerUnknown."""
        return EchoDocument.of(self._book.echo(AETitle(ae_title)))

    def list_refusals(self, limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Sequence[RefusalDocument]:
        """List who was turned away, the latest first, one entry for each visitor and cause."""
        return [RefusalDocument.of(record) for record in self._book.refusals(limit)]


def create_api(
    book: PeerBook,
    version: str,
    rules: RuleBook | None = None,
    operator: StudyOperator | None = None,
    further: Sequence[APIRouter] = (),
) -> FastAPI:
    """Make the application below /api; it describes itself at /api/openapi.json."""
    api = FastAPI(
        title="dicomnode",
        version=version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    api.include_router(PeerApi(book).router())
    if rules is not None:
        api.include_router(RulesApi(rules).router())
    if operator is not None:
        api.include_router(StudyApi(operator).router())
    for router in further:
        api.include_router(router)
    api.add_api_route(
        "/openapi.json", api.openapi, include_in_schema=False, dependencies=[needs(Permission.SEE_SYSTEM)]
    )
    api.add_exception_handler(DicomnodeError, _refused)
    api.add_exception_handler(RequestValidationError, _malformed)
    api.add_exception_handler(HTTPException, _not_offered)
    return api


def _only(*statuses: int) -> dict[int | str, dict[str, object]]:
    return {status: _PROBLEMS[status] for status in statuses}


def _refused(_request: Request, error: Exception) -> Response:
    """Say what went wrong and what to do about it."""
    if not isinstance(error, DicomnodeError):
        raise error
    status = HTTPStatus.UNPROCESSABLE_ENTITY if error.http_status == HTTPStatus.BAD_REQUEST else error.http_status
    return _problem(status, error.reason, error.help)


def _malformed(_request: Request, error: Exception) -> Response:
    """Name each value that has not the form it must have, without repeating it."""
    if not isinstance(error, RequestValidationError):
        raise error
    said = "; ".join(
        f"{'.'.join(str(part) for part in one['loc'][1:]) or 'body'}: {one['msg']}" for one in error.errors()
    )
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, said, "See /api/openapi.json for the form of each value.")


def _not_offered(_request: Request, error: Exception) -> Response:
    """Say that there is no such path or method."""
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.BAD_REQUEST
    return _problem(status, HTTPStatus(status).phrase, "See /api/openapi.json for what can be asked.")


def _problem(status: int, detail: str, advice: str) -> Response:
    """Answer with problem details (RFC 9457)."""
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, help=advice)
    return JSONResponse(problem.model_dump(), status_code=status, media_type=_PROBLEM_TYPE)
