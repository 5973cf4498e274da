"""The pages of accounts, of the first start and of tokens, as people use them."""

import re

import pytest
from fastapi import FastAPI

from dicomnode.domain.account import AccountName, AccountRole
from tests.web.holdings import Browser, Holdings
from tests.web.people import FROM_HERE, PASSWORD, People, log_in, people

ANOTHER = "another good password"


@pytest.fixture
def staff(holdings: Holdings) -> People:
    return people(holdings.ledger, holdings.clock)


@pytest.fixture
def app(holdings: Holdings, staff: People) -> FastAPI:
    return holdings.app(accounts=staff.accounts)


def _press(browser: Browser, path: str, **fields: str | list[str]) -> int:
    return browser.post(path, data=fields, headers=FROM_HERE).status_code


def test_the_first_administrator_comes_by_the_link_and_is_logged_in(app: FastAPI, staff: People) -> None:
    token = staff.accounts.setup_token()
    assert token is not None
    browser = Browser(app)
    page = browser.get("/setup", params={"token": token})
    assert f'value="{token}"' in page.text
    form = {"token": token, "name": "ann", "password": PASSWORD, "again": PASSWORD}
    mistyped = browser.post("/setup", data={**form, "again": "something else"}, headers=FROM_HERE)
    assert mistyped.status_code == 400
    assert "The two passwords are not the same." in mistyped.text
    assert PASSWORD not in mistyped.text
    assert browser.post("/setup", data=form, headers=FROM_HERE).headers["location"] == "/"
    assert browser.get("/accounts").status_code == 200
    assert "This link is used up" in browser.get("/setup", params={"token": token}).text
    assert Browser(app).post("/setup", data={**form, "name": "eve"}, headers=FROM_HERE).status_code == 403
    assert [one.name for one in staff.accounts.accounts()] == ["ann"]


def test_a_guessed_link_shows_no_form(app: FastAPI, staff: People) -> None:
    staff.accounts.setup_token()
    for link in ("/setup", "/setup?token=guessed"):
        page = Browser(app).get(link)
        assert page.status_code == 200
        assert "<form" not in page.text


def test_there_is_no_account_before_somebody_makes_one(app: FastAPI) -> None:
    browser = Browser(app)
    for name in ("admin", "administrator", "dicomnode", "root"):
        for password in ("", name, "admin", "password", "orthanc"):
            assert _press(browser, "/login", name=name, password=password) in (401, 429)


def test_an_administrator_adds_changes_and_shuts_accounts(app: FastAPI, staff: People) -> None:
    browser = staff.browser(app, AccountRole.ADMINISTRATOR)
    assert _press(browser, "/accounts", name="bob", password=PASSWORD, roles=["viewer", "operator"]) == 303
    page = browser.get("/accounts")
    assert "There is an account bob now." in page.text
    assert staff.accounts.find(AccountName("bob")).roles == {AccountRole.VIEWER, AccountRole.OPERATOR}
    bob = Browser(app)
    log_in(bob, "bob")
    assert _press(browser, "/accounts/bob/roles", roles=["viewer"]) == 303
    assert staff.accounts.find(AccountName("bob")).roles == {AccountRole.VIEWER}
    assert bob.get("/studies").status_code == 200
    assert _press(browser, "/accounts/bob/password", password=ANOTHER) == 303
    assert bob.get("/studies").status_code == 303
    log_in(bob, "bob", ANOTHER)
    assert _press(browser, "/accounts/bob/disable") == 303
    assert bob.get("/studies").status_code == 303
    assert _press(browser, "/accounts/bob/enable") == 303
    log_in(bob, "bob", ANOTHER)


@pytest.mark.parametrize(
    ("path", "fields", "status", "said"),
    [
        ("/accounts", {"name": "bob", "password": "short", "roles": "viewer"}, 422, "A password has 12 to 256"),
        ("/accounts", {"name": "b o b", "password": PASSWORD, "roles": "viewer"}, 422, "The name of an account"),
        ("/accounts", {"name": "bob", "password": PASSWORD}, 422, "needs at least one role"),
        ("/accounts", {"name": "bob", "password": PASSWORD, "roles": "king"}, 422, "There is no such role"),
        ("/accounts", {"name": "administrator", "password": PASSWORD, "roles": "viewer"}, 409, "already"),
        ("/accounts/administrator/roles", {"roles": "viewer"}, 409, "Nobody would be left"),
        ("/accounts/administrator/disable", {}, 409, "Nobody would be left"),
        ("/accounts/nobody/disable", {}, 404, "There is no account nobody"),
        ("/tokens/dn_unknown/revoke", {}, 404, "There is no such token"),
    ],
)
def test_what_cannot_be_is_told_on_the_page(
    app: FastAPI, staff: People, path: str, fields: dict[str, str], status: int, said: str
) -> None:
    browser = staff.browser(app, AccountRole.ADMINISTRATOR)
    response = browser.post(path, data=fields, headers=FROM_HERE)
    assert response.status_code == status
    assert said in response.text
    assert "<h1>Accounts</h1>" in response.text
    assert [one.name for one in staff.accounts.accounts()] == ["administrator"]


def test_somebody_changes_the_own_password_and_stays_logged_in_here_alone(app: FastAPI, staff: People) -> None:
    here, elsewhere = staff.browser(app, AccountRole.VIEWER), staff.browser(app, AccountRole.VIEWER)
    form = {"old": PASSWORD, "new": ANOTHER, "again": ANOTHER}
    before = here.cookies["dicomnode"]
    wrong = here.post("/account/password", data={**form, "old": "not my password"}, headers=FROM_HERE)
    assert wrong.status_code == 401
    assert here.post("/account/password", data=form, headers=FROM_HERE).headers["location"] == "/account"
    assert here.cookies["dicomnode"] != before
    assert "The password is changed." in here.get("/account").text
    assert elsewhere.get("/account").status_code == 303


def test_a_token_is_shown_once_and_lets_its_program_in_until_it_is_revoked(app: FastAPI, staff: People) -> None:
    browser = staff.browser(app, AccountRole.OPERATOR)
    fields = {"name": "router", "days": "30", "permissions": ["see-studies", "store"]}
    made = browser.post("/account/tokens", data=fields, headers=FROM_HERE)
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    token = re.search(r"dn_[0-9a-f]{12}_[\w-]+", made.text).group()  # type: ignore[union-attr]
    assert token not in browser.get("/account").text
    program = Browser(app)
    for credentials in ({"headers": {"Authorization": f"Bearer {token}"}}, {"auth": ("any", token)}):
        assert program.get("/dicom-web/studies", **credentials).status_code == 204
        assert program.get("/api/peers", **credentials).status_code == 403
        assert program.get("/account", **credentials).status_code == 401
    prefix = token.rpartition("_")[0] if token.count("_") == 2 else "_".join(token.split("_")[:2])
    assert _press(browser, f"/account/tokens/{prefix}/revoke") == 303
    assert program.get("/dicom-web/studies", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_wrong_token_is_not_made_good_by_a_session(app: FastAPI, staff: People) -> None:
    browser = staff.browser(app, AccountRole.ADMINISTRATOR)
    for authorization in ("Bearer wrong", "Basic wrong", "Basic dXNlcg==", "Negotiate abc", "Bearer", ""):
        assert browser.get("/api/peers", headers={"Authorization": authorization}).status_code == 401
    assert browser.get("/api/peers").status_code == 200


def test_a_token_for_more_than_one_may_is_refused(app: FastAPI, staff: People) -> None:
    browser = staff.browser(app, AccountRole.VIEWER)
    form = {"name": "too much", "permissions": "administer"}
    assert browser.post("/account/tokens", data=form, headers=FROM_HERE).status_code == 403
    for wrong in ({"name": "", "permissions": "see-studies"}, {"name": "x"}, {"name": "x", "permissions": "fly"}):
        assert browser.post("/account/tokens", data=wrong, headers=FROM_HERE).status_code == 422
    form = {"name": "x", "permissions": "see-studies", "days": "-1"}
    assert browser.post("/account/tokens", data=form, headers=FROM_HERE).status_code == 422
    assert staff.accounts.tokens.tokens() == ()


def test_one_revokes_only_ones_own_tokens_an_administrator_all(app: FastAPI, staff: People) -> None:
    operator, viewer = (staff.browser(app, role) for role in (AccountRole.OPERATOR, AccountRole.VIEWER))
    operator.post("/account/tokens", data={"name": "router", "permissions": "store"}, headers=FROM_HERE)
    (token,) = staff.accounts.tokens.tokens()
    assert _press(viewer, f"/account/tokens/{token.prefix}/revoke") == 404
    administrator = staff.browser(app, AccountRole.ADMINISTRATOR)
    assert "router" in administrator.get("/accounts").text
    assert _press(administrator, f"/tokens/{token.prefix}/revoke") == 303
    (token,) = staff.accounts.tokens.tokens()
    assert token.revoked_at is not None


def test_without_a_login_there_are_no_pages_of_accounts(holdings: Holdings) -> None:
    browser = Browser(holdings.app())
    for path in ("/login", "/setup", "/account", "/accounts"):
        assert browser.get(path).status_code == 404
