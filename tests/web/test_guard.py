"""Who may talk to the pages."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from dicomnode.web.guard import Guard
from tests.web.holdings import Browser

HERE = "http://127.0.0.1:8080"


@pytest.fixture
def browser() -> Browser:
    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.method)

    return Browser(Guard(Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])), HERE)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "127.0.0.2", "localhost", "LOCALHOST:1", "[::1]:8080", "[::1]"])
def test_this_machine_is_answered(browser: Browser, host: str) -> None:
    assert browser.get("/", headers={"Host": host}).text == "GET"


@pytest.mark.parametrize(
    "host", ["node.example", "127.0.0.1.example", "192.0.2.7:8080", "[2001:db8::1]", "localhost.example", ""]
)
def test_a_name_that_is_not_this_machine_is_refused(browser: Browser, host: str) -> None:
    response = browser.get("/", headers={"Host": host})
    assert response.status_code == 421
    assert "127.0.0.1" in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": HERE},
        {"Sec-Fetch-Site": "same-origin", "Origin": HERE},
    ],
)
def test_a_button_of_a_page_of_this_node_works(browser: Browser, headers: dict[str, str]) -> None:
    assert browser.post("/", headers=headers).text == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": HERE},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8080"},
        {"Origin": "null"},
    ],
)
def test_a_button_of_anyone_else_does_not(browser: Browser, headers: dict[str, str]) -> None:
    response = browser.post("/", headers=headers)
    assert response.status_code == 403
    assert response.text != "POST"


def test_every_answer_tells_the_browser_to_run_only_our_own(browser: Browser) -> None:
    for response in (browser.get("/"), browser.get("/", headers={"Host": "node.example"}), browser.post("/")):
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
