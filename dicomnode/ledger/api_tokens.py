"""The tokens of programs as rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult

from dicomnode.domain.account import AccountName, AccountRole, Permission
from dicomnode.domain.errors import NotInLedger
from dicomnode.ledger.account_tables import AccountRow, ApiTokenRow
from dicomnode.ledger.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiTokenRecord:
    """A token as people see it: everything but what lets somebody in."""

    prefix: str
    name: str
    account: AccountName
    permissions: frozenset[Permission]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None

    def is_alive(self, now: datetime) -> bool:
        """Whether it still lets anybody in."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedToken:
    """A token, its digest, and what its owner is now."""

    record: ApiTokenRecord
    digest: str
    owner_roles: frozenset[AccountRole]
    owner_disabled: bool


def add_token(tx: Transaction, record: ApiTokenRecord, digest: str) -> None:
    """Add a token."""
    tx.session.add(
        ApiTokenRow(
            prefix=record.prefix,
            digest=digest,
            name=record.name,
            account=record.account,
            permissions=sorted(record.permissions),
            created_at=record.created_at,
            expires_at=record.expires_at,
            used_at=record.used_at,
            revoked_at=record.revoked_at,
        )
    )


def list_tokens(tx: Transaction, account: AccountName | None = None) -> tuple[ApiTokenRecord, ...]:
    """List the tokens of an account, or all; the latest first."""
    query = sa.select(ApiTokenRow).order_by(ApiTokenRow.created_at.desc(), ApiTokenRow.prefix)
    if account is not None:
        query = query.where(ApiTokenRow.account == account)
    return tuple(_record_of(row) for row in tx.session.execute(query).scalars())


def find_token(tx: Transaction, prefix: str) -> OwnedToken | None:
    """Find a token by its public name, alive or not."""
    found = tx.session.execute(
        sa.select(ApiTokenRow, AccountRow)
        .join(AccountRow, AccountRow.name == ApiTokenRow.account)
        .where(ApiTokenRow.prefix == prefix)
    ).first()
    if found is None:
        return None
    token, owner = found
    return OwnedToken(
        record=_record_of(token),
        digest=token.digest,
        owner_roles=frozenset(AccountRole(role) for role in owner.roles),
        owner_disabled=owner.disabled,
    )


def note_used(tx: Transaction, prefix: str, at: datetime) -> None:
    """Record that a token is in use."""
    tx.session.execute(sa.update(ApiTokenRow).where(ApiTokenRow.prefix == prefix).values(used_at=at))


def revoke_token(tx: Transaction, prefix: str, at: datetime, account: AccountName | None = None) -> None:
    """Let nobody in by a token any more; of a certain account where one is named. Raises NotInLedger."""
    query = sa.update(ApiTokenRow).where(ApiTokenRow.prefix == prefix, ApiTokenRow.revoked_at.is_(None))
    if account is not None:
        query = query.where(ApiTokenRow.account == account)
    if not cast(CursorResult[Any], tx.session.execute(query.values(revoked_at=at))).rowcount:
        raise NotInLedger("there is no such token, or it is revoked already")


def _record_of(row: ApiTokenRow) -> ApiTokenRecord:
    return ApiTokenRecord(
        prefix=row.prefix,
        name=row.name,
        account=AccountName(row.account),
        permissions=_permissions(row.permissions),
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )


def _permissions(words: Iterable[str]) -> frozenset[Permission]:
    return frozenset(Permission(word) for word in words)
