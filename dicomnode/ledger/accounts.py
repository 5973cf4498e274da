"""Accounts as rows: who may log in, and as what."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult

from dicomnode.domain.account import AccountName, AccountRole
from dicomnode.domain.errors import NotInLedger
from dicomnode.ledger.account_tables import AccountRow
from dicomnode.ledger.transaction import Transaction, insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSubject:
    """A person as an identity provider knows them: its address, and its name for them, which never changes."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """An account as the ledger holds it, without its password."""

    name: AccountName
    roles: frozenset[AccountRole]
    disabled: bool
    has_password: bool
    subject: ProviderSubject | None
    created_at: datetime
    changed_at: datetime
    logged_in_at: datetime | None


def any_account(tx: Transaction) -> bool:
    """Whether there is an account at all."""
    return tx.session.execute(sa.select(AccountRow.name).limit(1)).first() is not None


def list_accounts(tx: Transaction) -> tuple[AccountRecord, ...]:
    """List all accounts by their names."""
    rows = tx.session.execute(sa.select(AccountRow).order_by(AccountRow.name)).scalars()
    return tuple(_record_of(row) for row in rows)


def find_account(tx: Transaction, name: AccountName) -> AccountRecord:
    """Read one account; raises NotInLedger."""
    row = tx.session.get(AccountRow, name)
    if row is None:
        raise NotInLedger(f"there is no account {name}")
    return _record_of(row)


def find_by_subject(tx: Transaction, subject: ProviderSubject) -> AccountRecord | None:
    """Find the account of a person whom an identity provider knows."""
    found = tx.session.execute(
        sa.select(AccountRow).where(AccountRow.issuer == subject.issuer, AccountRow.subject == subject.subject)
    ).scalar_one_or_none()
    return None if found is None else _record_of(found)


def password_of(tx: Transaction, name: AccountName) -> str | None:
    """Read the hash of the password of an account that may log in; none where there is no such account or password."""
    row = tx.session.get(AccountRow, name)
    return None if row is None or row.disabled else row.password


def enabled_administrators(tx: Transaction) -> frozenset[AccountName]:
    """Name those who may administer the node now; until the end of the transaction nobody else changes them."""
    enabled = sa.select(AccountRow.name, AccountRow.roles).where(~AccountRow.disabled).order_by(AccountRow.name)
    rows = tx.session.execute(enabled.with_for_update())
    return frozenset(AccountName(name) for name, roles in rows if AccountRole.ADMINISTRATOR in roles)


def add_account(
    tx: Transaction,
    name: AccountName,
    roles: Iterable[AccountRole],
    at: datetime,
    *,
    password: str | None = None,
    subject: ProviderSubject | None = None,
) -> bool:
    """Add an account unless one of its name is there; says whether it was added."""
    return insert_new(
        tx,
        AccountRow,
        name=name,
        password=password,
        roles=sorted(roles),
        disabled=False,
        issuer=subject.issuer if subject else None,
        subject=subject.subject if subject else None,
        created_at=at,
        changed_at=at,
        logged_in_at=None,
    )


def change_roles(tx: Transaction, name: AccountName, roles: Iterable[AccountRole], at: datetime) -> None:
    """Give an account other roles; raises NotInLedger."""
    _update(tx, name, roles=sorted(roles), changed_at=at)


def change_password(tx: Transaction, name: AccountName, password: str, at: datetime) -> None:
    """Give an account another password, as its hash; raises NotInLedger."""
    _update(tx, name, password=password, changed_at=at)


def set_disabled(tx: Transaction, name: AccountName, at: datetime, *, disabled: bool) -> None:
    """Shut an account, or open it again; raises NotInLedger."""
    _update(tx, name, disabled=disabled, changed_at=at)


def note_login(tx: Transaction, name: AccountName, at: datetime, *, rehashed: str | None = None) -> None:
    """Record that somebody logged in; with a new hash of the same password where its parameters grew old."""
    _update(tx, name, logged_in_at=at, **({} if rehashed is None else {"password": rehashed}))


def _update(tx: Transaction, name: AccountName, **values: Any) -> None:  # noqa: ANN401  any column
    changed = tx.session.execute(sa.update(AccountRow).where(AccountRow.name == name).values(**values))
    if not cast(CursorResult[Any], changed).rowcount:
        raise NotInLedger(f"there is no account {name}")


def _record_of(row: AccountRow) -> AccountRecord:
    subject = None
    if row.issuer is not None and row.subject is not None:
        subject = ProviderSubject(issuer=row.issuer, subject=row.subject)
    return AccountRecord(
        name=AccountName(row.name),
        roles=frozenset(AccountRole(role) for role in row.roles),
        disabled=row.disabled,
        has_password=row.password is not None,
        subject=subject,
        created_at=row.created_at,
        changed_at=row.changed_at,
        logged_in_at=row.logged_in_at,
    )
