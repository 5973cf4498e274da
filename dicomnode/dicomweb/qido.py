"""QIDO-RS: searching for studies, series and instances (PS3.18 section 10.6)."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dicomnode.dicomweb.media_types import DICOM_JSON, require_json
from dicomnode.dicomweb.paths import series_in, service_path, study_in
from dicomnode.domain.archive import Archive, DicomJson, Query
from dicomnode.domain.errors import InvalidValue

_MOST_RESULTS = 1000
_NO_CACHE = {"Cache-Control": "private, no-cache"}
_CONTROLS = ("limit", "offset", "fuzzymatching", "includefield")
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_RETRIEVE_URL = "00081190"
_NO_FUZZY = '299 dicomnode "The fuzzymatching parameter is not supported. Only literal matching has been performed."'
_MORE = '299 dicomnode "There are additional results that can be requested."'
_Search = Callable[[Request, Query], Sequence[DicomJson]]


def search_routes(archive: Archive) -> list[Route]:
    """Make the routes of the search transactions of all resources over an archive."""

    def studies(_request: Request, query: Query) -> Sequence[DicomJson]:
        return archive.search_studies(query)

    def series(request: Request, query: Query) -> Sequence[DicomJson]:
        return archive.search_series(query, study_in(request))

    def instances(request: Request, query: Query) -> Sequence[DicomJson]:
        return archive.search_instances(query, study_in(request), series_in(request))

    return [
        _route("/studies", studies),
        _route("/series", series),
        _route("/studies/{study}/series", series),
        _route("/instances", instances),
        _route("/studies/{study}/instances", instances),
        _route("/studies/{study}/series/{series}/instances", instances),
    ]


def _route(path: str, search: _Search) -> Route:
    def answer(request: Request) -> Response:
        return _answer(request, search)

    return Route(path, answer, methods=["GET"])


def _answer(request: Request, search: _Search) -> Response:
    """Answer one search; raises InvalidValue for a query that cannot be understood, NotAcceptable."""
    require_json(request.headers.get("accept"))
    limit = min(_number(request, "limit", _MOST_RESULTS), _MOST_RESULTS)
    query = Query(
        limit=limit + 1,
        offset=_number(request, "offset", 0),
        matching=_matching(request),
        include=_included(request),
    )
    found = search(request, query)
    response = _listed(request, found[:limit]) if limit and found else Response(status_code=204, headers=_NO_CACHE)
    if request.query_params.get("fuzzymatching", "false").lower() == "true":
        response.headers.append("Warning", _NO_FUZZY)
    if len(found) > limit:
        response.headers.append("Warning", _MORE)
    return response


def _listed(request: Request, found: Sequence[DicomJson]) -> Response:
    where = f"{request.url.scheme}://{request.url.netloc}{service_path(request)}"
    answers = [{**header, _RETRIEVE_URL: _retrieve_url(where, header)} for header in found]
    return JSONResponse(answers, media_type=DICOM_JSON, headers=_NO_CACHE)


def _retrieve_url(where: str, header: DicomJson) -> Mapping[str, object]:
    """Say where a result can be retrieved (Retrieve URL, PS3.18 Table 10.6.3-3)."""
    levels = zip(("studies", "series", "instances"), (_STUDY, _SERIES, _INSTANCE), strict=True)
    steps = ((name, header[tag]["Value"][0]) for name, tag in levels if tag in header)
    return {"vr": "UR", "Value": ["/".join([where, *chain.from_iterable(steps)])]}


def _matching(request: Request) -> dict[str, str]:
    """Collect the attributes to match; an attribute that is given twice is a list of UIDs."""
    matching: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in _CONTROLS:
            matching[name] = f"{matching[name]},{value}" if name in matching else value
    return matching


def _included(request: Request) -> tuple[str, ...]:
    """Collect the attributes that are asked for beyond the usual ones; they may be given in one list or in several."""
    lists = request.query_params.getlist("includefield")
    return tuple(name for names in lists for name in names.split(",") if name)


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, str(otherwise))
    if not (text.isascii() and text.isdigit()):
        raise InvalidValue(f"{name} is not a whole number")
    return int(text)
