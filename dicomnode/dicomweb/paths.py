"""The UIDs in a request's path and the address of the service (PS3.18 sections 8.2 and 10.1)."""

from typing import TypeVar

from starlette.requests import Request

from dicomnode.domain.uids import UID, SeriesInstanceUID, SOPInstanceUID, StudyInstanceUID

_AnyUID = TypeVar("_AnyUID", bound=UID)


def study_in(request: Request) -> StudyInstanceUID | None:
    """Read the study that a path names, if any; raises InvalidValue."""
    return _uid(request, "study", StudyInstanceUID)


def series_in(request: Request) -> SeriesInstanceUID | None:
    """Read the series that a path names, if any; raises InvalidValue."""
    return _uid(request, "series", SeriesInstanceUID)


def instance_in(request: Request) -> SOPInstanceUID | None:
    """Read the instance that a path names, if any; raises InvalidValue."""
    return _uid(request, "instance", SOPInstanceUID)


def service_path(request: Request) -> str:
    """Tell the path under which the service is mounted, as the client sees it."""
    return str(request.scope.get("root_path", ""))


def _uid(request: Request, name: str, kind: type[_AnyUID]) -> _AnyUID | None:
    text = request.path_params.get(name)
    return None if text is None else kind(text)
