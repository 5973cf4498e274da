"""The client against the node's own service on a socket, and against servers that answer badly."""

from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from dicomnode.dicomweb.client import DicomwebClient
from dicomnode.dicomweb.service import dicomweb_service
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import DestinationRefused, DestinationUnreachable, InvalidSettings, InvalidValue
from dicomnode.domain.uids import AETitle
from tests.builders import a_series, uid
from tests.web.holdings import Holdings, encode, served

STUDY, SERIES = uid("study"), uid("study", "series")


def client_of(url: str | None) -> DicomwebClient:
    where = Endpoint(name="pacs", ae_title=AETitle("PACS"), host="127.0.0.1", port=104, dicomweb_url=url)
    return DicomwebClient(where, timeout_seconds=5)


@pytest.fixture
def client(holdings: Holdings) -> Iterator[DicomwebClient]:
    holdings.receive(a_series(slices=5))
    app = Starlette(routes=[Mount("/dicom-web", dicomweb_service(holdings.archive))])
    with served(app) as address, client_of(f"{address}/dicom-web/") as client:
        yield client


def answering(answer: Callable[[Request], Response]) -> Starlette:
    return Starlette(routes=[Route("/{path:path}", answer)])


def test_the_instances_of_a_series_are_listed(client: DicomwebClient) -> None:
    assert client.search_instances(STUDY, SERIES) == tuple(uid("study", "series", str(index)) for index in range(5))


def test_a_series_that_is_not_there_has_no_instances(client: DicomwebClient) -> None:
    assert client.search_instances(STUDY, "1.2.3") == ()


def test_the_instances_of_a_study_are_counted(client: DicomwebClient) -> None:
    assert client.count_instances(STUDY) == 5
    assert client.count_instances("1.2.3") == 0


@pytest.mark.parametrize(
    "answer",
    [
        [{"0020000D": {"vr": "UI", "Value": [STUDY]}}],
        [{"00201208": {"vr": "IS"}}],
        [{"00201208": {"vr": "IS", "Value": ["many"]}}],
        [{"00201208": {"vr": "IS", "Value": [5]}}] * 2,
        {"studies": []},
    ],
)
def test_a_server_that_does_not_say_how_many_it_has_is_no_witness(answer: object) -> None:
    app = answering(lambda _request: JSONResponse(answer))
    with served(app) as address, client_of(address) as client, pytest.raises(DestinationRefused):
        client.count_instances(STUDY)


def test_a_series_is_read_back_byte_by_byte(client: DicomwebClient) -> None:
    assert client.retrieve_series(STUDY, SERIES) == [encode(dataset) for dataset in a_series(slices=5)]


def test_a_series_that_is_not_there_cannot_be_read_back(client: DicomwebClient) -> None:
    with pytest.raises(DestinationRefused, match="404"):
        client.retrieve_series(STUDY, "1.2.3")


def test_what_is_no_uid_is_never_asked_for(client: DicomwebClient) -> None:
    with pytest.raises(InvalidValue):
        client.search_instances("../..", SERIES)


@pytest.mark.parametrize("knows_the_offset", [True, False])
def test_a_server_that_gives_less_than_asked_is_asked_again(knows_the_offset: bool) -> None:
    every = [f"1.2.{index}" for index in range(7)]

    def answer(request: Request) -> Response:
        offset = int(request.query_params["offset"]) if knows_the_offset else 0
        page = every[offset : offset + 3] if knows_the_offset else every
        return JSONResponse([{"00080018": {"vr": "UI", "Value": [one]}} for one in page])

    with served(answering(answer)) as address, client_of(address) as client:
        assert client.search_instances(STUDY, SERIES) == tuple(every)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_tried_again(status: int) -> None:
    app = answering(lambda _request: PlainTextResponse("", status_code=status))
    with served(app) as address, client_of(address) as client, pytest.raises(DestinationUnreachable, match=str(status)):
        client.search_instances(STUDY, SERIES)


@pytest.mark.parametrize(
    "response",
    [
        PlainTextResponse("", status_code=401),
        PlainTextResponse("", status_code=404),
        RedirectResponse("http://127.0.0.1:1/elsewhere"),
        PlainTextResponse("<html>"),
        JSONResponse({"studies": []}),
        JSONResponse([{"00080018": {"vr": "UI"}}]),
        JSONResponse([{"00080018": {"vr": "UI", "Value": ["no uid"]}}]),
        JSONResponse(7),
    ],
    ids=lambda response: f"{response.status_code} {bytes(response.body)[:20]!r}",
)
def test_a_server_that_answers_something_else_is_left_to_a_person(response: Response) -> None:
    app = answering(lambda _request: response)
    with served(app) as address, client_of(address) as client, pytest.raises(DestinationRefused):
        client.search_instances(STUDY, SERIES)


def test_a_body_without_parts_is_no_series() -> None:
    app = answering(lambda _request: PlainTextResponse("hello"))
    with served(app) as address, client_of(address) as client, pytest.raises(DestinationRefused, match="multipart"):
        client.retrieve_series(STUDY, SERIES)


def test_nobody_there_is_tried_again() -> None:
    with served(answering(lambda _request: Response())) as address:
        pass
    with client_of(address) as client, pytest.raises(DestinationUnreachable, match="ConnectError"):
        client.search_instances(STUDY, SERIES)


def test_a_destination_without_an_address_cannot_be_asked() -> None:
    with pytest.raises(InvalidSettings):
        client_of(None)
