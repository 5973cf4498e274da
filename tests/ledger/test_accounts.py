"""Accounts, sessions, tokens and attempts as rows, in both databases."""

from datetime import timedelta

import pytest

from dicomnode.domain.account import AccountName, AccountRole, Permission
from dicomnode.domain.errors import NotInLedger
from dicomnode.ledger.accounts import (
    ProviderSubject,
    add_account,
    any_account,
    change_password,
    change_roles,
    enabled_administrators,
    find_account,
    find_by_subject,
    list_accounts,
    note_login,
    password_of,
    set_disabled,
)
from dicomnode.ledger.api_tokens import ApiTokenRecord, add_token, find_token, list_tokens, note_used, revoke_token
from dicomnode.ledger.login_failures import count_attempt, count_attempts, forget_attempts
from dicomnode.ledger.sessions import (
    ProviderLogin,
    add_session,
    add_setup_token,
    begin_provider_login,
    end_session,
    end_sessions,
    find_session,
    is_setup_token,
    note_seen,
    take_provider_login,
    take_setup_token,
)
from dicomnode.ledger.transaction import Ledger
from tests.conftest import FakeClock

ANN, BOB = AccountName("ann"), AccountName("bob")
SUBJECT = ProviderSubject(issuer="https://idp.example", subject="248289761001")
HOUR = timedelta(hours=1)
LOGIN = ProviderLogin(state="s", nonce="n", code_verifier="v", next_path="/studies?page=2")


def _add(ledger: Ledger, clock: FakeClock, name: AccountName, *roles: AccountRole) -> None:
    with ledger.transaction() as tx:
        assert add_account(tx, name, roles or [AccountRole.VIEWER], clock.now(), password="hash")


def test_an_account_is_added_once(ledger: Ledger, clock: FakeClock) -> None:
    with ledger.transaction() as tx:
        assert not any_account(tx)
    _add(ledger, clock, ANN, AccountRole.OPERATOR, AccountRole.VIEWER)
    with ledger.transaction() as tx:
        assert not add_account(tx, ANN, [AccountRole.ADMINISTRATOR], clock.now(), password="other")
        assert any_account(tx)
        found = find_account(tx, ANN)
        assert password_of(tx, ANN) == "hash"
    assert found.roles == {AccountRole.OPERATOR, AccountRole.VIEWER}
    assert found.has_password
    assert not found.disabled
    assert found.logged_in_at is None


def test_what_is_changed_of_an_account_holds(ledger: Ledger, clock: FakeClock) -> None:
    _add(ledger, clock, BOB)
    _add(ledger, clock, ANN)
    later = clock.now() + HOUR
    with ledger.transaction() as tx:
        change_roles(tx, ANN, [AccountRole.ADMINISTRATOR], later)
        change_password(tx, ANN, "another", later)
        note_login(tx, ANN, later, rehashed="renewed")
        set_disabled(tx, BOB, later, disabled=True)
    with ledger.transaction() as tx:
        ann, bob = list_accounts(tx)
        assert (password_of(tx, ANN), password_of(tx, BOB)) == ("renewed", None)
        assert enabled_administrators(tx) == {ANN}
    assert ann.roles == {AccountRole.ADMINISTRATOR}
    assert ann.logged_in_at == ann.changed_at == later
    assert bob.disabled


def test_nobody_is_changed_who_is_not_there(ledger: Ledger, clock: FakeClock) -> None:
    with ledger.transaction() as tx:
        with pytest.raises(NotInLedger):
            change_roles(tx, ANN, [AccountRole.VIEWER], clock.now())
        with pytest.raises(NotInLedger):
            change_password(tx, ANN, "p", clock.now())
        with pytest.raises(NotInLedger):
            set_disabled(tx, ANN, clock.now(), disabled=True)
        with pytest.raises(NotInLedger):
            note_login(tx, ANN, clock.now())
        with pytest.raises(NotInLedger):
            find_account(tx, ANN)


def test_a_person_of_an_identity_provider_is_found_by_both_names(ledger: Ledger, clock: FakeClock) -> None:
    with ledger.transaction() as tx:
        assert add_account(tx, ANN, [AccountRole.VIEWER], clock.now(), subject=SUBJECT)
    with ledger.transaction() as tx:
        found = find_by_subject(tx, SUBJECT)
        assert found is not None
        assert (found.name, found.subject, found.has_password) == (ANN, SUBJECT, False)
        assert find_by_subject(tx, ProviderSubject(issuer="https://other.example", subject=SUBJECT.subject)) is None


def test_a_session_is_found_until_it_is_ended(ledger: Ledger, clock: FakeClock) -> None:
    _add(ledger, clock, ANN)
    with ledger.transaction() as tx:
        add_session(tx, "one", ANN, clock.now(), HOUR)
        add_session(tx, "two", ANN, clock.now(), HOUR)
        note_seen(tx, "one", clock.now() + HOUR / 2)
    with ledger.transaction() as tx:
        found = find_session(tx, "one")
        assert found is not None
        assert (found.account, found.seen_at, found.expires_at) == (ANN, clock.now() + HOUR / 2, clock.now() + HOUR)
        assert end_session(tx, "one") == ANN
        assert end_session(tx, "one") is None
    with ledger.transaction() as tx:
        assert find_session(tx, "one") is None
        assert find_session(tx, "two") is not None
        end_sessions(tx, ANN)
    with ledger.transaction() as tx:
        assert find_session(tx, "two") is None


def test_sessions_that_are_over_make_room(ledger: Ledger, clock: FakeClock) -> None:
    _add(ledger, clock, ANN)
    with ledger.transaction() as tx:
        add_session(tx, "old", ANN, clock.now(), HOUR)
    clock.advance(3601)
    with ledger.transaction() as tx:
        add_session(tx, "new", ANN, clock.now(), HOUR)
    with ledger.transaction() as tx:
        assert find_session(tx, "old") is None


def test_one_setup_token_uses_up_all(ledger: Ledger, clock: FakeClock) -> None:
    with ledger.transaction() as tx:
        add_setup_token(tx, "of-one-process", clock.now())
        add_setup_token(tx, "of-another", clock.now())
    with ledger.transaction() as tx:
        assert not take_setup_token(tx, "of-nobody")
        assert is_setup_token(tx, "of-another")
        assert take_setup_token(tx, "of-one-process")
    with ledger.transaction() as tx:
        assert not take_setup_token(tx, "of-one-process")
        assert not is_setup_token(tx, "of-another")


def test_a_login_elsewhere_is_taken_up_once_and_soon(ledger: Ledger, clock: FakeClock) -> None:
    with ledger.transaction() as tx:
        begin_provider_login(tx, "one", LOGIN, clock.now())
        begin_provider_login(tx, "slow", LOGIN, clock.now() - HOUR)
    with ledger.transaction() as tx:
        since = clock.now() - HOUR / 6
        assert take_provider_login(tx, "one", since) == LOGIN
        assert take_provider_login(tx, "one", since) is None
        assert take_provider_login(tx, "slow", since) is None
        assert take_provider_login(tx, "unknown", since) is None


def test_attempts_are_counted_for_a_name_and_for_an_address(ledger: Ledger, clock: FakeClock) -> None:
    def attempt(name: str, address: str) -> tuple[int, int]:
        with ledger.transaction() as tx:
            return count_attempt(tx, name, address, clock.now(), clock.now() - HOUR)

    assert attempt("ann", "10.0.0.1") == (1, 1)
    assert attempt("ann", "10.0.0.1") == (2, 2)
    assert attempt("bob", "10.0.0.1") == (1, 3)
    assert attempt("ann", "10.0.0.2") == (1, 1)
    with ledger.transaction() as tx:
        forget_attempts(tx, "ann", "10.0.0.1")
        assert count_attempts(tx, "ann", "10.0.0.1", clock.now() - HOUR) == (0, 1)
    clock.advance(3601)
    assert attempt("ann", "10.0.0.1") == (1, 1)


def test_a_token_is_found_with_its_owner(ledger: Ledger, clock: FakeClock) -> None:
    _add(ledger, clock, ANN, AccountRole.OPERATOR)
    record = ApiTokenRecord(
        prefix="dn_0123456789ab",
        name="router",
        account=ANN,
        permissions=frozenset({Permission.STORE, Permission.SEE_STUDIES}),
        created_at=clock.now(),
        expires_at=clock.now() + HOUR,
        used_at=None,
        revoked_at=None,
    )
    with ledger.transaction() as tx:
        add_token(tx, record, "d" * 64)
    with ledger.transaction() as tx:
        found = find_token(tx, record.prefix)
        assert found is not None
        assert (found.record, found.digest) == (record, "d" * 64)
        assert found.owner_roles == {AccountRole.OPERATOR}
        assert find_token(tx, "dn_unknown") is None
        note_used(tx, record.prefix, clock.now())
        with pytest.raises(NotInLedger):
            revoke_token(tx, record.prefix, clock.now(), BOB)
        revoke_token(tx, record.prefix, clock.now(), ANN)
        with pytest.raises(NotInLedger):
            revoke_token(tx, record.prefix, clock.now())
    with ledger.transaction() as tx:
        (listed,) = list_tokens(tx, ANN)
        assert list_tokens(tx, BOB) == ()
    assert listed.used_at == listed.revoked_at == clock.now()
    assert not listed.is_alive(clock.now())
    assert record.is_alive(clock.now())
    assert not record.is_alive(clock.now() + HOUR)
