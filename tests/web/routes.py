"""All routes of an application, mounted ones too, each with what it declares that it asks for."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dicomnode.dicomweb.intake import Intake
from dicomnode.dicomweb.service import dicomweb_service
from dicomnode.domain.archive import Archive
from dicomnode.web.access import Fenced, Requirement
from tests.builders import uid

_HELD = {"study": uid("study"), "study_instance_uid": uid("study"), "entry": "1", "number": "1", "series": uid("x")}
_HEAD = "HEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """One method of one route, and what it asks for; none: it declares nothing."""

    method: str
    path: str
    requirement: Requirement | None

    @property
    def address(self) -> str:
        """A path that the route answers, with names that are in their form."""
        written = self.path
        while "{" in written:
            before, _, rest = written.partition("{")
            name, _, after = rest.partition("}")
            written = f"{before}{_HELD.get(name.partition(':')[0], 'x')}{after}"
        return written


def routes_of(app: FastAPI, archive: Archive, intake: Intake) -> Iterator[Declared]:
    """Walk through all routes; those of DICOMweb are read from a service of the same make, behind the fence."""
    for route in iter_route_contexts(app.routes):
        original = route.original_route
        if not isinstance(original, Mount):
            yield from _declared("", route)
        elif isinstance(original.app, FastAPI):
            for inner in iter_route_contexts(original.app.routes):
                yield from _declared(original.path, inner)
        elif isinstance(original.app, Fenced):
            yield from _fenced(original, original.app, archive, intake)
        else:
            assert isinstance(original.app, StaticFiles), f"{original.path} is mounted, and nobody knows what it asks"


def _declared(prefix: str, route: Any) -> Iterator[Declared]:
    dependant = getattr(route, "dependant", None)
    found = [] if dependant is None else [one.call for one in dependant.dependencies]
    requirements = [one for one in found if isinstance(one, Requirement)]
    assert len(requirements) < 2, f"{prefix}{route.path} asks for two things"
    for method in sorted((route.methods or set()) - {_HEAD}):
        requirement = requirements[0] if requirements else None
        yield Declared(method=method, path=f"{prefix}{route.path}", requirement=requirement)


def _fenced(mount: Mount, fence: Fenced, archive: Archive, intake: Intake) -> Iterator[Declared]:
    for route in dicomweb_service(archive, intake).routes:
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {_HEAD}):
            requirement = Requirement(fence.permission(method))
            yield Declared(method=method, path=f"{mount.path}{route.path}", requirement=requirement)
