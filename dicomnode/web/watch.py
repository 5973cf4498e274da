"""Writing down what visitors saw and changed, before the answer leaves: what the trail cannot keep is not shown."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicomnode.domain.account import LOCAL_VISITOR, Permission, Visitor
from dicomnode.domain.audit import AuditAction, AuditOutcome
from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.journey.audit import CAME_FROM, AuditTrail, Deed
from dicomnode.web.access import SAFE_METHODS

TOLD = "audited"
"""Set in a request's scope by whoever writes its line in the transaction of the change itself."""
_DICOMWEB = "/dicom-web/"
_FIRST_PAGE = "/"
_AUDIT = "/audit"
_STUDY = ("study", "study_instance_uid")
"""How routes call the study in their addresses: pages and DICOMweb, and the interface for programs."""
_RULES = (Permission.EDIT_RULES, Permission.PUBLISH_RULES)
_SEEING = (AuditAction.SEE, AuditAction.RETRIEVE, AuditAction.SEARCH, AuditAction.READ_AUDIT, AuditAction.REFUSED)


class Watch:
    """Passes requests on, and writes a line for each that showed or changed something."""

    def __init__(self, app: ASGIApp, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102  ASGI's own form
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        CAME_FROM.set(_address_of(scope))

        begun = False

        async def send_when_written(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                await self._write(scope, path, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, send_when_written)
        finally:
            if not begun:
                await self._write(scope, path, HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _write(self, scope: Scope, path: str, status: int) -> None:
        deed = deed_of(scope, path, status)
        if deed is not None:
            await run_in_threadpool(self._write_deed, scope, deed)

    def _write_deed(self, scope: Scope, deed: Deed) -> None:
        visitor: Visitor = scope.get("visitor", LOCAL_VISITOR)
        address = _address_of(scope)
        if deed.action in _SEEING:
            self._trail.look(visitor, deed, address)
        else:
            self._trail.note(visitor, deed, address, _route_of(scope))


def _address_of(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def deed_of(scope: Mapping[str, Any], path: str, status: int) -> Deed | None:
    """Say what a request was, from its route and from how it was answered; none where nothing has to be kept."""
    permission: Permission | None = scope.get("permission")
    if permission is None or scope.get(TOLD):
        return None
    parameters: Mapping[str, object] = scope.get("path_params", {})
    study = _study_in(parameters)
    if status == HTTPStatus.FORBIDDEN:
        return Deed(
            action=AuditAction.REFUSED,
            kind=permission,
            study_instance_uid=study,
            outcome=AuditOutcome.MINOR_FAILURE,
        )
    if scope["method"] not in SAFE_METHODS:
        if permission in _RULES and status < HTTPStatus.BAD_REQUEST:
            # The rule book writes the line of a change itself, with its version; asking what one would do is none.
            return None
        return _change(permission, path, parameters, status)
    if status >= HTTPStatus.BAD_REQUEST:
        return None
    return _look(permission, path, study)


def _change(permission: Permission, path: str, parameters: Mapping[str, object], status: int) -> Deed:
    done = status < HTTPStatus.BAD_REQUEST
    broken = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    others = " ".join(str(value) for name, value in parameters.items() if name not in _STUDY)
    return Deed(
        action=AuditAction.STORE if path.startswith(_DICOMWEB) else AuditAction.CHANGE,
        kind=permission,
        study_instance_uid=_study_in(parameters),
        # What nothing was found for may be anything that somebody typed.
        object=others if done else "",
        outcome=AuditOutcome.SUCCESS
        if done
        else AuditOutcome.SERIOUS_FAILURE
        if broken
        else AuditOutcome.MINOR_FAILURE,
    )


def _look(permission: Permission, path: str, study: str) -> Deed | None:
    if path.startswith(_AUDIT) and permission is Permission.ADMINISTER:
        return Deed(action=AuditAction.READ_AUDIT, object=_AUDIT)
    if permission is not Permission.SEE_STUDIES and path != _FIRST_PAGE:
        return None
    if not study:
        return Deed(action=AuditAction.SEARCH, object=_DICOMWEB if path.startswith(_DICOMWEB) else path)
    action = AuditAction.RETRIEVE if path.startswith(_DICOMWEB) else AuditAction.SEE
    return Deed(action=action, study_instance_uid=study)


def _study_in(parameters: Mapping[str, object]) -> str:
    given = next((parameters[name] for name in _STUDY if name in parameters), "")
    try:
        return StudyInstanceUID(str(given))
    except InvalidValue:
        return ""


def _route_of(scope: Scope) -> dict[str, object]:
    """Name the function that answered, which is the button that was pressed."""
    name = getattr(scope.get("endpoint"), "__name__", "")
    return {"done": name} if name else {}
