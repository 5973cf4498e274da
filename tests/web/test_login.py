"""Logging in: who gets in and who does not, and what the cookie can be used for."""

from datetime import timedelta

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.domain.account import AccountName, AccountRole
from dicomnode.journey.logins import LoginPolicy
from dicomnode.web.entrance import own_path
from tests.builders import uid
from tests.conftest import FakeClock
from tests.web.holdings import Browser, Holdings, a_whole_study
from tests.web.people import FROM_HERE, PASSWORD, TESTER, People, log_in, people

COOKIE = "dicomnode"


@pytest.fixture
def staff(holdings: Holdings) -> People:
    policy = LoginPolicy(session=timedelta(hours=8), idle=timedelta(minutes=30))
    return people(holdings.ledger, holdings.clock, policy)


@pytest.fixture
def app(holdings: Holdings, staff: People) -> FastAPI:
    return holdings.app(accounts=staff.accounts)


@pytest.fixture
def browser(app: FastAPI, staff: People) -> Browser:
    """A browser in which nobody is logged in; there is an administrator."""
    staff.named(AccountRole.ADMINISTRATOR)
    return Browser(app)


def _post_login(browser: Browser, **fields: str) -> int:
    return browser.post("/login", data=fields, headers=FROM_HERE).status_code


def test_nobody_sees_a_page(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    for path in ("/", "/studies", f"/studies/{study}", f"/studies/{study}/compare", "/accounts", "/nowhere"):
        response = browser.get(path)
        assert response.status_code == 303
        assert response.headers["location"].startswith("/login")
        assert response.headers["cache-control"] == "no-store"


def test_the_login_page_itself_names_nothing_of_the_node(browser: Browser) -> None:
    page = browser.get("/login")
    assert page.status_code == 200
    assert 'href="/studies"' not in page.text
    assert 'type="password"' in page.text
    assert browser.get("/static/style.css").status_code == 200


def test_a_program_is_told_to_send_a_token(browser: Browser, holdings: Holdings) -> None:
    study, _target, _derived = a_whole_study(holdings)
    for path in ("/api/peers", "/api/openapi.json", "/dicom-web/studies", f"/dicom-web/studies/{study}/metadata"):
        response = browser.get(path)
        assert response.status_code == 401
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers.get_list("www-authenticate") == [
            'Bearer realm="dicomnode"',
            'Basic realm="dicomnode", charset="UTF-8"',
        ]


def test_a_script_of_a_page_is_told_without_a_window_of_the_browser(browser: Browser) -> None:
    response = browser.get("/studies", headers={"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
    assert response.status_code == 401
    assert response.headers.get_list("www-authenticate") == ['Bearer realm="dicomnode"']
    by_htmx = browser.get("/studies", headers={"Sec-Fetch-Mode": "cors", "HX-Request": "true"})
    assert by_htmx.headers["hx-redirect"] == "/login"


def test_the_right_password_gets_in_and_logging_out_ends_it(browser: Browser) -> None:
    log_in(browser, "administrator")
    session = browser.cookies[COOKIE]
    assert browser.get("/studies").status_code == 200
    assert browser.get("/login").headers["location"] == "/"
    left = browser.post("/logout", headers=FROM_HERE)
    assert left.headers["location"] == "/login"
    assert COOKIE not in browser.cookies
    browser.cookies.set(COOKIE, session)
    assert browser.get("/studies").status_code == 303


def test_the_cookie_is_for_pages_of_this_node_alone(browser: Browser) -> None:
    form = {"name": "administrator", "password": PASSWORD}
    cookie = browser.post("/login", data=form, headers=FROM_HERE).headers["set-cookie"]
    assert cookie.startswith("dicomnode=")
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=28800"):
        assert attribute in cookie
    assert "Domain" not in cookie


def test_under_tls_no_other_host_can_set_the_cookie(app: FastAPI, staff: People) -> None:
    staff.named(AccountRole.VIEWER)
    browser = Browser(app, "https://127.0.0.1:8443")
    response = browser.post("/login", data={"name": "viewer", "password": PASSWORD}, headers=FROM_HERE)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("__Host-dicomnode=")
    assert "Secure" in cookie
    assert response.headers["strict-transport-security"] == "max-age=31536000"
    plain = Browser(app)
    plain.cookies.set(COOKIE, cookie.partition("=")[2].partition(";")[0])
    assert plain.get("/studies").status_code == 200
    renamed = Browser(app, "https://127.0.0.1:8443")
    renamed.cookies.set(COOKIE, plain.cookies[COOKIE])
    assert renamed.get("/studies").status_code == 303


def test_a_session_id_from_outside_is_never_used(browser: Browser) -> None:
    """Session fixation: whoever plants a cookie does not know the one that counts after the login."""
    planted = "planted-by-somebody-else-0123456789-0123456789"
    browser.cookies.set(COOKIE, planted)
    response = browser.post("/login", data={"name": "administrator", "password": PASSWORD}, headers=FROM_HERE)
    given_id = response.headers["set-cookie"].partition("=")[2].partition(";")[0]
    assert given_id != planted
    attacker = Browser(browser._app)
    attacker.cookies.set(COOKIE, planted)
    assert attacker.get("/studies").status_code == 303


def test_each_login_has_an_id_of_its_own(app: FastAPI, browser: Browser) -> None:
    second = Browser(app)
    for one in (browser, second):
        log_in(one, "administrator")
    assert browser.cookies[COOKIE] != second.cookies[COOKIE]
    browser.post("/logout", headers=FROM_HERE)
    assert second.get("/studies").status_code == 200


@pytest.mark.parametrize(
    ("name", "password"),
    [("administrator", "guessed-it"), ("nobody-here", PASSWORD), ("", ""), ("administrator", ""), ("a b", PASSWORD)],
)
def test_a_wrong_name_and_a_wrong_password_are_told_in_the_same_words(
    browser: Browser, name: str, password: str
) -> None:
    response = browser.post("/login", data={"name": name, "password": password}, headers=FROM_HERE)
    assert response.status_code == 401
    assert "The name or the password is wrong." in response.text
    assert COOKIE not in browser.cookies
    assert password == "" or password not in response.text


def test_guessing_is_slow(browser: Browser, clock: FakeClock) -> None:
    for _ in range(5):
        assert _post_login(browser, name="administrator", password="wrong") == 401
    assert _post_login(browser, name="administrator", password=PASSWORD) == 429
    clock.advance(15 * 60 + 1)
    assert _post_login(browser, name="administrator", password=PASSWORD) == 303


def test_many_names_from_one_address_are_as_slow(browser: Browser) -> None:
    answers = [_post_login(browser, name=f"name-{number}", password="wrong") for number in range(31)]
    assert answers == [401] * 30 + [429]
    assert _post_login(browser, name="administrator", password=PASSWORD) == 429


def test_the_right_password_forgets_the_wrong_ones(browser: Browser) -> None:
    for _ in range(3):
        for _ in range(4):
            assert _post_login(browser, name="administrator", password="wrong") == 401
        assert _post_login(browser, name="administrator", password=PASSWORD) == 303


def test_a_session_ends_after_its_time(browser: Browser, clock: FakeClock) -> None:
    log_in(browser, "administrator")
    for _ in range(16):
        clock.advance(29 * 60)
        assert browser.get("/studies").status_code == 200
    clock.advance(17 * 60)
    assert browser.get("/studies").status_code == 303


def test_a_session_that_nobody_uses_ends_sooner(browser: Browser, clock: FakeClock) -> None:
    log_in(browser, "administrator")
    clock.advance(30 * 60)
    assert browser.get("/studies").status_code == 303


def test_another_password_ends_all_sessions(browser: Browser, staff: People) -> None:
    log_in(browser, "administrator")
    staff.accounts.set_password(AccountName("administrator"), "another good password", TESTER)
    assert browser.get("/studies").status_code == 303
    assert _post_login(browser, name="administrator", password=PASSWORD) == 401
    log_in(browser, "administrator", "another good password")


def test_an_account_that_is_shut_is_out_at_once(app: FastAPI, browser: Browser, staff: People) -> None:
    viewer = staff.browser(app, AccountRole.VIEWER)
    assert viewer.get("/studies").status_code == 200
    staff.accounts.disable(AccountName("viewer"), TESTER)
    assert viewer.get("/studies").status_code == 303
    assert _post_login(browser, name="viewer", password=PASSWORD) == 401


def test_roles_that_are_taken_away_are_gone_with_the_next_request(app: FastAPI, staff: People) -> None:
    staff.named(AccountRole.ADMINISTRATOR)
    name = AccountName("second")
    staff.accounts.add(name, PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    browser = Browser(app)
    log_in(browser, name)
    assert browser.get("/accounts").status_code == 200
    staff.accounts.change_roles(name, [AccountRole.VIEWER], TESTER)
    assert browser.get("/accounts").status_code == 403
    assert browser.get("/studies").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize("path", ["/login", "/logout", "/setup", "/account/password", "/accounts", "/account/tokens"])
def test_a_form_of_another_site_does_nothing(browser: Browser, headers: dict[str, str], path: str) -> None:
    """Cross-site request forgery, of the login itself too: nobody is to work under an account that is not theirs."""
    log_in(browser, "administrator")
    form = {"name": "administrator", "password": PASSWORD, "roles": "administrator"}
    assert browser.post(path, data=form, headers=headers).status_code == 403
    assert browser.get("/studies").status_code == 200


def test_the_login_leads_on_to_where_somebody_wanted_to_go(browser: Browser) -> None:
    study = f"/studies/{uid('study')}?page=2"
    where = browser.get(study).headers["location"]
    assert where == f"/login?next=/studies/{uid('study')}%3Fpage%3D2"
    page = browser.get(where)
    assert f'value="{study}"' in page.text
    form = {"name": "administrator", "password": PASSWORD, "next": study}
    assert browser.post("/login", data=form, headers=FROM_HERE).headers["location"] == study


ELSEWHERE = [
    "//elsewhere.example",
    "///elsewhere.example",
    "/\\elsewhere.example",
    "\\\\elsewhere.example",
    "https://elsewhere.example/",
    "http:elsewhere.example",
    "javascript:alert(1)",
    "/\t/elsewhere.example",
    "/\n/elsewhere.example",
    " //elsewhere.example",
    "elsewhere.example",
    "/studies\r\nSet-Cookie: a=b",
    "/login?next=/login",
    "",
]


@pytest.mark.parametrize("where", ELSEWHERE)
def test_the_login_leads_to_no_other_site(browser: Browser, where: str) -> None:
    """Open redirect."""
    form = {"name": "administrator", "password": PASSWORD, "next": where}
    assert browser.post("/login", data=form, headers=FROM_HERE).headers["location"] == "/"
    assert browser.get("/login", params={"next": where}).headers["location"] == "/"


@given(st.text())
def test_no_text_leads_to_another_site(text: str) -> None:
    where = own_path(text)
    assert where[0] == "/"
    assert where[1:2] not in ("/", "\\")
    assert where.isprintable()
    assert where.isascii()


def test_a_link_on_another_site_leads_in_without_a_second_login(browser: Browser) -> None:
    """The strict cookie does not come with the click; the page between asks again from here, and then it does."""
    foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    between = browser.get("/studies", headers=foreign)
    assert between.status_code == 200
    assert 'content="0;url=/login?next=/studies"' in between.text
    log_in(browser, "administrator")
    assert browser.get("/login?next=/studies", headers=FROM_HERE).headers["location"] == "/studies"


def test_the_headers_are_those_of_every_answer(browser: Browser) -> None:
    for response in (browser.get("/login"), browser.get("/studies"), browser.get("/api/peers")):
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert "geolocation=()" in response.headers["permissions-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert "strict-transport-security" not in response.headers


def test_where_a_login_is_asked_for_a_name_of_the_settings_is_answered(holdings: Holdings, staff: People) -> None:
    app = holdings.app(accounts=staff.accounts, hosts=("node.hospital.example",))
    assert Browser(app, "http://NODE.hospital.example").get("/login").status_code == 200
    assert Browser(app, "http://other.hospital.example").get("/login").status_code == 421
    assert Browser(app, "http://192.0.2.7").get("/login").status_code == 200
    by_another = Browser(app).get("/login", headers={"Host": "192.0.2.7"})
    assert by_another.status_code == 421
