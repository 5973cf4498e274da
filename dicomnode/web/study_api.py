"""The interface for programs to studies: that one is taken as complete, or released, as JSON below /api/studies."""

from http import HTTPStatus
from typing import Protocol

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from dicomnode.domain.account import Permission
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.peer_documents import Problem


class StudyOperator(Protocol):
    """What a program can ask for."""

    def complete_now(self, study_instance_uid: StudyInstanceUID, by: str) -> str:
        """Take a study as complete now; says what was noted, and raises NotInLedger or NothingNew."""
        ...

    def release_hold(self, study_instance_uid: StudyInstanceUID, by: str) -> str:
        """Let the syntheses of a study begin that a rule holds; raises NotInLedger when none is held."""
        ...


class SaidDocument(BaseModel):
    """What the node says to a request that it takes."""

    said: str = Field(description="One sentence; the study's timeline has it too.")


_PROBLEMS: dict[int | str, dict[str, object]] = {
    404: {"model": Problem, "description": "No instance of such a study was received"},
    409: {"model": Problem, "description": "Nothing came since the last revision"},
    422: {"model": Problem, "description": "It is no UID"},
}


class StudyApi:
    """Answers for /api/studies."""

    def __init__(self, operator: StudyOperator) -> None:
        self._operator = operator

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter(prefix="/studies", tags=["studies"])
        router.add_api_route(
            "/{study_instance_uid}/complete",
            self.complete_study,
            methods=["POST"],
            status_code=HTTPStatus.ACCEPTED,
            dependencies=[needs(Permission.OPERATE)],
            responses=_PROBLEMS,
        )
        router.add_api_route(
            "/{study_instance_uid}/release",
            self.release_study,
            methods=["POST"],
            status_code=HTTPStatus.ACCEPTED,
            dependencies=[needs(Permission.OPERATE)],
            responses={404: {"model": Problem, "description": "Nothing of such a study is held"}, 422: _PROBLEMS[422]},
        )
        return router

    def complete_study(self, study_instance_uid: str, request: Request) -> SaidDocument:
        """Begin the next revision of a study now, whatever is still missing.

        Raises InvalidValue, NotInLedger, NothingNew.
        """
        visitor = visitor_of(request)
        return SaidDocument(said=self._operator.complete_now(StudyInstanceUID(study_instance_uid), visitor.name))

    def release_study(self, study_instance_uid: str, request: Request) -> SaidDocument:
        """Let the syntheses of a study begin that a rule holds; raises InvalidValue, NotInLedger."""
        visitor = visitor_of(request)
        return SaidDocument(said=self._operator.release_hold(StudyInstanceUID(study_instance_uid), visitor.name))
