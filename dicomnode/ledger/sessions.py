"""What lets somebody in, as rows: sessions, the token of the first start, and logins under way elsewhere."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult

from dicomnode.domain.account import AccountName, AccountRole
from dicomnode.ledger.account_tables import AccountRow, LoginSessionRow, ProviderLoginRow, SetupTokenRow
from dicomnode.ledger.transaction import Transaction

_MOST_PROVIDER_LOGINS = 1000
"""Anybody can begin a login: the oldest rows make room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRecord:
    """A session that is found by its digest, and what its account is now."""

    account: AccountName
    roles: frozenset[AccountRole]
    disabled: bool
    seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderLogin:
    """A login that is under way at an identity provider (OpenID Connect Core 1.0 section 3.1.2.1, RFC 7636)."""

    state: str
    nonce: str
    code_verifier: str
    next_path: str


def add_session(tx: Transaction, digest: str, account: AccountName, at: datetime, lasts: timedelta) -> None:
    """Let a browser in; sessions that are over make room."""
    tx.session.execute(sa.delete(LoginSessionRow).where(LoginSessionRow.expires_at < at))
    tx.session.add(
        LoginSessionRow(digest=digest, account=account, created_at=at, seen_at=at, expires_at=at + lasts),
    )


def find_session(tx: Transaction, digest: str) -> SessionRecord | None:
    """Find a session, whether or not it is over."""
    found = tx.session.execute(
        sa.select(LoginSessionRow, AccountRow)
        .join(AccountRow, AccountRow.name == LoginSessionRow.account)
        .where(LoginSessionRow.digest == digest)
    ).first()
    if found is None:
        return None
    session, account = found
    return SessionRecord(
        account=AccountName(account.name),
        roles=frozenset(AccountRole(role) for role in account.roles),
        disabled=account.disabled,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
    )


def note_seen(tx: Transaction, digest: str, at: datetime) -> None:
    """Record that a session is in use."""
    tx.session.execute(sa.update(LoginSessionRow).where(LoginSessionRow.digest == digest).values(seen_at=at))


def end_session(tx: Transaction, digest: str) -> AccountName | None:
    """End one session; says whose it was."""
    account = tx.session.execute(
        sa.select(LoginSessionRow.account).where(LoginSessionRow.digest == digest)
    ).scalar_one_or_none()
    tx.session.execute(sa.delete(LoginSessionRow).where(LoginSessionRow.digest == digest))
    return None if account is None else AccountName(account)


def end_sessions(tx: Transaction, account: AccountName) -> None:
    """End all sessions of an account."""
    tx.session.execute(sa.delete(LoginSessionRow).where(LoginSessionRow.account == account))


def add_setup_token(tx: Transaction, digest: str, at: datetime) -> None:
    """Let the first administrator in; several processes may each have told a token of their own."""
    tx.session.add(SetupTokenRow(digest=digest, created_at=at))


def take_setup_token(tx: Transaction, digest: str) -> bool:
    """Use a token up, and with it all others; says whether it was one, to whoever comes first only."""
    taken = tx.session.execute(sa.delete(SetupTokenRow).where(SetupTokenRow.digest == digest))
    if not cast(CursorResult[Any], taken).rowcount:
        return False
    forget_setup_tokens(tx)
    return True


def is_setup_token(tx: Transaction, digest: str) -> bool:
    """Whether a token would let the first administrator in."""
    return tx.session.get(SetupTokenRow, digest) is not None


def forget_setup_tokens(tx: Transaction) -> None:
    """Let nobody in by a token any more."""
    tx.session.execute(sa.delete(SetupTokenRow))


def begin_provider_login(tx: Transaction, digest: str, login: ProviderLogin, at: datetime) -> None:
    """Remember a login until the browser comes back from the identity provider."""
    kept = sa.select(ProviderLoginRow.digest).order_by(ProviderLoginRow.created_at.desc()).limit(_MOST_PROVIDER_LOGINS)
    tx.session.execute(sa.delete(ProviderLoginRow).where(ProviderLoginRow.digest.not_in(kept)))
    tx.session.add(
        ProviderLoginRow(
            digest=digest,
            state=login.state,
            nonce=login.nonce,
            code_verifier=login.code_verifier,
            next_path=login.next_path,
            created_at=at,
        )
    )


def take_provider_login(tx: Transaction, digest: str, since: datetime) -> ProviderLogin | None:
    """Use up a login that began at most so long ago; a second time there is none."""
    row = tx.session.execute(
        sa.select(ProviderLoginRow).where(ProviderLoginRow.digest == digest).with_for_update()
    ).scalar_one_or_none()
    if row is None:
        return None
    taken = tx.session.execute(sa.delete(ProviderLoginRow).where(ProviderLoginRow.digest == digest))
    if not cast(CursorResult[Any], taken).rowcount or row.created_at < since:
        return None
    return ProviderLogin(state=row.state, nonce=row.nonce, code_verifier=row.code_verifier, next_path=row.next_path)
