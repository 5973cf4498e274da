"""Logging in at an identity provider: a real one over HTTP, which says the truth, and then something else."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from dicomnode.domain.account import AccountName, AccountRole
from dicomnode.domain.errors import InvalidSettings
from dicomnode.node.clock import SystemClock
from dicomnode.web.provider import IdentityProvider, ProviderTerms
from tests.web.holdings import Browser, Holdings, served
from tests.web.openid_provider import CLIENT, SECRET, OpenIdProvider
from tests.web.people import PASSWORD, TESTER, People, people

ROLES = {"pacs-admins": AccountRole.ADMINISTRATOR, "radiology": AccountRole.VIEWER}


@dataclass
class Meeting:
    """A node, an identity provider, and a browser between them."""

    provider: OpenIdProvider
    browser: Browser
    staff: People

    def go(self, next_path: str = "/") -> str:
        """Begin at the node and let the provider send the browser back; gives the way back."""
        there = self.browser.get("/login/provider", params={"next": next_path})
        assert there.status_code == 303, there.text
        assert there.headers["location"].startswith(f"{self.provider.issuer}/authorize?")
        return str(httpx.get(there.headers["location"]).headers["location"])

    def come_back(self, address: str) -> httpx.Response:
        parts = urlsplit(address)
        foreign = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        return self.browser.get(f"{parts.path}?{parts.query}", headers=foreign)


@pytest.fixture
def meeting(holdings: Holdings) -> Iterator[Meeting]:
    provider = OpenIdProvider()
    with served(provider.app()) as address:
        provider.issuer = address
        terms = ProviderTerms(issuer=address, client_id=CLIENT, client_secret=SECRET, title="Hospital", roles=ROLES)
        staff = people(holdings.ledger, holdings.clock)
        app = holdings.app(accounts=staff.accounts, provider=IdentityProvider(terms, SystemClock()))
        yield Meeting(provider, Browser(app), staff)


def test_somebody_whom_the_provider_knows_gets_in(meeting: Meeting) -> None:
    assert "Log in by Hospital" in meeting.browser.get("/login").text
    response = meeting.come_back(meeting.go("/studies?page=2"))
    assert response.status_code == 200
    assert 'content="0;url=/studies?page=2"' in response.text
    assert "SameSite=strict" in response.headers["set-cookie"]
    assert meeting.browser.get("/accounts").status_code == 200
    (account,) = meeting.staff.accounts.accounts()
    assert (account.name, account.has_password) == ("ann", False)
    assert account.roles == {AccountRole.ADMINISTRATOR}


def test_the_question_is_that_of_the_code_flow_with_pkce(meeting: Meeting) -> None:
    meeting.go()
    meeting.go()
    first, second = meeting.provider.asked
    assert first["response_type"] == "code"
    assert first["code_challenge_method"] == "S256"
    assert first["redirect_uri"] == "http://127.0.0.1:8080/login/return"
    assert "openid" in first["scope"].split()
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name]) >= 43
        assert first[name] != second[name]


def test_the_roles_are_those_of_today(meeting: Meeting) -> None:
    meeting.come_back(meeting.go())
    meeting.provider.person["groups"] = ["radiology"]
    meeting.browser.cookies.clear()
    meeting.come_back(meeting.go())
    assert meeting.browser.get("/accounts").status_code == 403
    assert meeting.browser.get("/studies").status_code == 200


def test_groups_may_be_told_by_the_user_info_alone(meeting: Meeting) -> None:
    meeting.provider.says_groups_in_token = False
    assert meeting.come_back(meeting.go()).status_code == 200
    assert [one.name for one in meeting.staff.accounts.accounts()] == ["ann"]


def test_somebody_without_a_role_here_stays_out(meeting: Meeting) -> None:
    meeting.provider.person["groups"] = ["cooks"]
    response = meeting.come_back(meeting.go())
    assert response.status_code == 403
    assert "gives you no role on this node" in response.text
    assert meeting.browser.get("/studies").status_code == 303


def test_an_account_that_is_shut_here_stays_shut(meeting: Meeting) -> None:
    meeting.staff.accounts.add(AccountName("root"), PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    meeting.come_back(meeting.go())
    meeting.staff.accounts.disable(AccountName("ann"), TESTER)
    meeting.browser.cookies.clear()
    assert meeting.come_back(meeting.go()).status_code == 403


def test_an_answer_is_good_once_and_in_its_own_browser(meeting: Meeting) -> None:
    back = meeting.go()
    victim = Meeting(meeting.provider, Browser(meeting.browser._app), meeting.staff)
    assert victim.come_back(back).status_code == 401
    assert meeting.come_back(back).status_code == 200
    meeting.browser.cookies.clear()
    assert meeting.come_back(back).status_code == 401


def test_an_answer_to_another_question_is_refused(meeting: Meeting) -> None:
    """Login CSRF: an attacker's code in somebody else's browser."""
    attackers = meeting.go()
    meeting.browser.cookies.clear()
    meeting.go()
    assert meeting.come_back(attackers).status_code == 401
    assert meeting.browser.get("/studies").status_code == 303


def test_an_answer_of_another_provider_is_refused(meeting: Meeting) -> None:
    back = meeting.go()
    assert meeting.come_back(back.partition("&iss=")[0] + "&iss=https%3A%2F%2Fevil.example").status_code == 401


def test_a_provider_that_says_no_is_believed(meeting: Meeting) -> None:
    state = parse_qs(urlsplit(meeting.go()).query)["state"][0]
    response = meeting.come_back(f"/login/return?error=access_denied&state={state}")
    assert response.status_code == 401
    assert "did not log you in" in response.text


@pytest.mark.parametrize(
    "bent",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"aud": ["dicomnode", "another-client"]},
        {"aud": ["dicomnode", "another-client"], "azp": "another-client"},
        {"azp": "another-client"},
        {"nonce": "another-nonce"},
        {"nonce": None},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"iat": None},
        {"sub": None},
    ],
)
def test_an_id_token_that_is_not_for_this_login_lets_nobody_in(meeting: Meeting, bent: dict[str, object]) -> None:
    meeting.provider.bent = bent
    assert meeting.come_back(meeting.go()).status_code == 502
    assert meeting.browser.get("/studies").status_code == 303
    assert meeting.staff.accounts.accounts() == ()


def test_an_id_token_that_somebody_else_signed_lets_nobody_in(meeting: Meeting) -> None:
    meeting.provider.shown = RSAKey.generate_key(2048, {"kid": "one"})
    assert meeting.come_back(meeting.go()).status_code == 502
    assert meeting.staff.accounts.accounts() == ()


def test_a_provider_under_another_name_is_not_asked(meeting: Meeting) -> None:
    meeting.provider.issuer = "https://evil.example"
    assert meeting.browser.get("/login/provider").status_code == 502


@pytest.mark.parametrize("issuer", ["http://idp.example", "ftp://127.0.0.1", "idp.example", ""])
def test_a_secret_is_sent_under_tls_only(issuer: str) -> None:
    with pytest.raises(InvalidSettings):
        IdentityProvider(ProviderTerms(issuer=issuer, client_id="a", client_secret="b"), SystemClock())


def test_what_was_agreed_does_not_show_the_secret() -> None:
    terms = ProviderTerms(issuer="https://idp.example", client_id="a", client_secret="very secret")
    assert "very secret" not in repr(terms)
