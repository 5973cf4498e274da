"""The accounts of a node: the first one, changes, and that somebody who may administer is always left."""

from collections.abc import Callable

import pytest

from dicomnode.domain.account import AccountName, AccountRole, Permission
from dicomnode.domain.audit import AuditAction, AuditOutcome
from dicomnode.domain.errors import (
    AccountConflict,
    AccountExists,
    InvalidValue,
    LastAdministrator,
    NotAllowed,
    NotInLedger,
    NotLoggedIn,
    TooManyAttempts,
)
from dicomnode.journey.accounts import Accounts
from dicomnode.journey.logins import ProvidedPerson
from dicomnode.ledger.accounts import ProviderSubject
from dicomnode.ledger.audit import AuditQuery, AuditRecord, list_audit
from dicomnode.ledger.transaction import Ledger
from tests.conftest import FakeClock
from tests.web.people import PASSWORD, TESTER, people

ANN, BOB = AccountName("ann"), AccountName("bob")
SUBJECT = ProviderSubject(issuer="https://idp.example", subject="1001")


@pytest.fixture
def accounts(ledger: Ledger, clock: FakeClock) -> Accounts:
    return people(ledger, clock).accounts


def _trail(ledger: Ledger) -> tuple[AuditRecord, ...]:
    with ledger.transaction() as tx:
        return list_audit(tx, AuditQuery())


def test_the_first_administrator_comes_by_a_token_once(accounts: Accounts, ledger: Ledger) -> None:
    token, other = accounts.setup_token(), accounts.setup_token()
    assert token is not None
    assert other is not None
    assert accounts.is_setup_token(token)
    session = accounts.set_up(token, "Ann", PASSWORD, "10.0.0.1")
    visitor = accounts.logins.visitor(session)
    assert visitor is not None
    assert visitor.may(Permission.ADMINISTER)
    for used in (token, other, "guessed", ""):
        with pytest.raises(NotAllowed):
            accounts.set_up(used, "eve", PASSWORD, "10.0.0.2")
    assert [one.name for one in accounts.accounts()] == [ANN]
    assert accounts.setup_token() is None
    assert [one.event.kind for one in _trail(ledger)] == ["first administrator"]


def test_a_token_of_the_first_start_is_dead_once_there_is_an_account(accounts: Accounts) -> None:
    token = accounts.setup_token()
    assert token is not None
    accounts.add(ANN, PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    with pytest.raises(NotAllowed):
        accounts.set_up(token, "eve", PASSWORD, "10.0.0.2")


def test_a_refused_password_does_not_use_the_token_up(accounts: Accounts) -> None:
    token = accounts.setup_token()
    assert token is not None
    with pytest.raises(InvalidValue):
        accounts.set_up(token, "ann", "short", "10.0.0.1")
    with pytest.raises(InvalidValue):
        accounts.set_up(token, "not a name!", PASSWORD, "10.0.0.1")
    accounts.set_up(token, "ann", PASSWORD, "10.0.0.1")


@pytest.mark.parametrize("password", ["", "elevenchars", "aaaaaaaaaaaaaaaa", "ann-ann-ann1", "x" * 257])
def test_a_password_that_is_easily_guessed_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(InvalidValue):
        accounts.add(ANN, password, [AccountRole.VIEWER], TESTER)
    assert accounts.accounts() == ()


def test_an_account_is_added_once_and_has_a_role(accounts: Accounts) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.VIEWER], TESTER)
    with pytest.raises(AccountExists):
        accounts.add(AccountName("ANN"), PASSWORD, [AccountRole.VIEWER], TESTER)
    with pytest.raises(InvalidValue):
        accounts.add(BOB, PASSWORD, [], TESTER)


@pytest.mark.parametrize(
    "change",
    [
        lambda accounts: accounts.disable(ANN, TESTER),
        lambda accounts: accounts.change_roles(ANN, [AccountRole.OPERATOR], TESTER),
    ],
)
def test_the_last_administrator_stays(accounts: Accounts, change: Callable[[Accounts], None]) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    accounts.add(BOB, PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    accounts.disable(BOB, TESTER)
    with pytest.raises(LastAdministrator):
        change(accounts)
    assert accounts.find(ANN).roles == {AccountRole.ADMINISTRATOR}
    assert not accounts.find(ANN).disabled
    accounts.enable(BOB, TESTER)
    change(accounts)


def test_every_change_is_in_the_trail_with_who_made_it(accounts: Accounts, ledger: Ledger) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    accounts.add(BOB, PASSWORD, [AccountRole.VIEWER], TESTER)
    accounts.change_roles(BOB, [AccountRole.OPERATOR], TESTER)
    accounts.set_password(BOB, "another good password", TESTER)
    accounts.disable(BOB, TESTER)
    accounts.enable(BOB, TESTER)
    token = accounts.tokens.make(BOB, "router", {Permission.STORE}, 30, TESTER)
    accounts.tokens.revoke(token.record.prefix, TESTER)
    kinds = [one.event.kind for one in _trail(ledger)][::-1]
    assert kinds == ["add", "add", "roles", "password", "disable", "enable", "token made", "token revoked"]
    assert {one.event.who for one in _trail(ledger)} == {"tests"}
    roles = next(one.event for one in _trail(ledger) if one.event.kind == "roles")
    assert roles.detail == {"before": ["viewer"], "after": ["operator"]}
    whole = repr(_trail(ledger))
    for secret in (PASSWORD, "another good password", token.secret):
        assert secret not in whole


def test_a_change_that_is_refused_is_in_no_trail(accounts: Accounts, ledger: Ledger) -> None:
    with pytest.raises(NotInLedger):
        accounts.disable(ANN, TESTER)
    assert _trail(ledger) == ()


def test_ones_own_password_takes_the_one_before(accounts: Accounts) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.VIEWER], TESTER)
    before = accounts.logins.log_in("ann", PASSWORD, "10.0.0.1")
    with pytest.raises(NotLoggedIn):
        accounts.change_own_password(ANN, "a wrong password", "another good password", "10.0.0.1")
    after = accounts.change_own_password(ANN, PASSWORD, "another good password", "10.0.0.1")
    assert accounts.logins.visitor(before) is None
    assert accounts.logins.visitor(after) is not None
    accounts.logins.log_in("ann", "another good password", "10.0.0.1")


def test_who_holds_a_session_cannot_guess_the_password(accounts: Accounts) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.VIEWER], TESTER)
    for _ in range(5):
        with pytest.raises(NotLoggedIn):
            accounts.change_own_password(ANN, "a wrong password", "another good password", "10.0.0.1")
    with pytest.raises(TooManyAttempts):
        accounts.change_own_password(ANN, PASSWORD, "another good password", "10.0.0.1")


def test_logins_are_in_the_trail_and_what_was_typed_is_not(accounts: Accounts, ledger: Ledger) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.VIEWER], TESTER)
    session = accounts.logins.log_in("Ann", PASSWORD, "10.0.0.1")
    accounts.logins.log_out(session, "10.0.0.1")
    for name, password in (("ann", "a wrong password"), ("my-password-in-the-wrong-field", "x")):
        with pytest.raises(NotLoggedIn):
            accounts.logins.log_in(name, password, "10.0.0.9")
    found = [(one.event.action, one.event.who, one.event.outcome) for one in _trail(ledger)]
    assert found[:4] == [
        (AuditAction.LOGIN, "(unknown)", AuditOutcome.MINOR_FAILURE),
        (AuditAction.LOGIN, "ann", AuditOutcome.MINOR_FAILURE),
        (AuditAction.LOGOUT, "ann", AuditOutcome.SUCCESS),
        (AuditAction.LOGIN, "ann", AuditOutcome.SUCCESS),
    ]
    assert "my-password-in-the-wrong-field" not in repr(_trail(ledger))


def test_an_attack_fills_the_trail_with_one_line_more(accounts: Accounts, ledger: Ledger) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.VIEWER], TESTER)
    for _ in range(20):
        with pytest.raises(NotLoggedIn):
            accounts.logins.log_in("ann", "a wrong password", "10.0.0.9")
    kinds = [one.event.kind for one in _trail(ledger)]
    assert kinds == ["rate limit", *["password"] * 5, "add"]


def _person(*roles: AccountRole, name: str = "ann", subject: ProviderSubject = SUBJECT) -> ProvidedPerson:
    return ProvidedPerson(subject=subject, name=name, roles=frozenset(roles))


def test_a_person_of_an_identity_provider_has_the_roles_of_today(accounts: Accounts) -> None:
    logins = accounts.logins
    first = logins.visitor(logins.log_in_provided(_person(AccountRole.OPERATOR), "10.0.0.1"))
    assert first is not None
    assert first.may(Permission.OPERATE)
    again = logins.visitor(logins.log_in_provided(_person(AccountRole.VIEWER), "10.0.0.1"))
    assert again is not None
    assert (again.account, again.may(Permission.OPERATE)) == ("ann", False)
    with pytest.raises(AccountConflict):
        accounts.set_password(ANN, PASSWORD, TESTER)


def test_a_person_without_a_role_or_with_a_shut_account_stays_out(accounts: Accounts) -> None:
    with pytest.raises(NotAllowed):
        accounts.logins.log_in_provided(_person(), "10.0.0.1")
    assert accounts.accounts() == ()
    accounts.add(BOB, PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    accounts.logins.log_in_provided(_person(AccountRole.VIEWER), "10.0.0.1")
    accounts.disable(ANN, TESTER)
    with pytest.raises(NotAllowed):
        accounts.logins.log_in_provided(_person(AccountRole.VIEWER), "10.0.0.1")


def test_a_name_that_the_provider_says_takes_no_account_over(accounts: Accounts) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    session = accounts.logins.log_in_provided(_person(AccountRole.VIEWER, name="Ann"), "10.0.0.1")
    visitor = accounts.logins.visitor(session)
    assert visitor is not None
    assert visitor.account.startswith("ann-")
    assert not visitor.may(Permission.ADMINISTER)
    odd = _person(AccountRole.VIEWER, name="Ann Å.", subject=ProviderSubject(issuer="https://idp.example", subject="2"))
    other = accounts.logins.visitor(accounts.logins.log_in_provided(odd, "10.0.0.1"))
    assert other is not None
    assert other.account.startswith("person-")


def test_a_token_may_no_more_than_its_owner(accounts: Accounts, clock: FakeClock) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.ADMINISTRATOR], TESTER)
    accounts.add(BOB, PASSWORD, [AccountRole.OPERATOR], TESTER)
    tokens = accounts.tokens
    with pytest.raises(NotAllowed):
        tokens.make(BOB, "too much", {Permission.ADMINISTER}, None, TESTER)
    made = tokens.make(BOB, "router", {Permission.STORE, Permission.SEE_STUDIES}, 30, TESTER)
    visitor = tokens.visitor(made.secret)
    assert visitor is not None
    assert visitor.name == "bob, token router"
    assert visitor.permissions == {Permission.STORE, Permission.SEE_STUDIES}
    accounts.change_roles(BOB, [AccountRole.VIEWER], TESTER)
    lesser = tokens.visitor(made.secret)
    assert lesser is not None
    assert lesser.permissions == {Permission.SEE_STUDIES}
    accounts.disable(BOB, TESTER)
    assert tokens.visitor(made.secret) is None
    accounts.enable(BOB, TESTER)
    clock.advance(30 * 86_400)
    assert tokens.visitor(made.secret) is None


def test_a_token_that_is_not_quite_right_lets_nobody_in(accounts: Accounts) -> None:
    accounts.add(ANN, PASSWORD, [AccountRole.OPERATOR], TESTER)
    made = accounts.tokens.make(ANN, "router", {Permission.STORE}, None, TESTER)
    prefix = made.record.prefix
    wrong = (
        "",
        "x",
        prefix,
        f"{prefix}_",
        f"{prefix}_guessed",
        made.secret + "x",
        made.secret[:-1],
        made.secret.upper(),
    )
    assert [accounts.tokens.visitor(word) for word in wrong] == [None] * len(wrong)
    accounts.tokens.revoke(prefix, TESTER)
    assert accounts.tokens.visitor(made.secret) is None
