"""The tables of accounts, of what lets somebody in, and of the audit trail.

Secrets are kept as digests only: who reads the database can log in as nobody.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from dicomnode.ledger.tables import JSON, UID, Base

_DIGEST = sa.String(64)
_NAME = sa.String(64)
_ADDRESS = sa.String(64)


class AccountRow(Base):
    """A person who may log in, by a password, by an identity provider, or both."""

    __tablename__ = "account"
    __table_args__ = (sa.UniqueConstraint("issuer", "subject"),)

    name: Mapped[str] = mapped_column(_NAME, primary_key=True)
    password: Mapped[str | None] = mapped_column(sa.Text)
    """Its Argon2 hash; none: this account has no password here."""
    roles: Mapped[list[Any]]
    disabled: Mapped[bool]
    issuer: Mapped[str | None] = mapped_column(sa.Text)
    subject: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    logged_in_at: Mapped[datetime | None]


class LoginSessionRow(Base):
    """One browser that is logged in; the digest is of the id in its cookie."""

    __tablename__ = "login_session"

    digest: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    account: Mapped[str] = mapped_column(_NAME, index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class ApiTokenRow(Base):
    """A token of a program; the prefix is its public name, the digest is of the whole token."""

    __tablename__ = "api_token"

    prefix: Mapped[str] = mapped_column(sa.String(16), primary_key=True)
    digest: Mapped[str] = mapped_column(_DIGEST)
    name: Mapped[str] = mapped_column(_NAME)
    account: Mapped[str] = mapped_column(_NAME, index=True)
    permissions: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SetupTokenRow(Base):
    """What lets the first administrator make an account; gone as soon as there is one."""

    __tablename__ = "setup_token"

    digest: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    created_at: Mapped[datetime]


class LoginFailureRow(Base):
    """How often somebody at an address tried to log in under a name since the last success.

    The name is a digest: people type passwords into the wrong field.
    """

    __tablename__ = "login_failure"

    name_digest: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    address: Mapped[str] = mapped_column(_ADDRESS, primary_key=True)
    times: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)


class ProviderLoginRow(Base):
    """A login that is under way at the identity provider; the digest is of the id in the browser's cookie."""

    __tablename__ = "provider_login"

    digest: Mapped[str] = mapped_column(_DIGEST, primary_key=True)
    state: Mapped[str] = mapped_column(sa.String(128))
    nonce: Mapped[str] = mapped_column(sa.String(128))
    code_verifier: Mapped[str] = mapped_column(sa.String(128))
    next_path: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(index=True)


class AuditRow(Base):
    """One line of the audit trail, and when it was written to the file and sent to the repository."""

    __tablename__ = "audit"
    __table_args__ = (
        sa.Index(
            "ix_audit_unfiled",
            "id",
            sqlite_where=sa.text("filed_at IS NULL"),
            postgresql_where=sa.text("filed_at IS NULL"),
        ),
        sa.Index(
            "ix_audit_unsent",
            "id",
            sqlite_where=sa.text("sent_at IS NULL"),
            postgresql_where=sa.text("sent_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    who: Mapped[str] = mapped_column(sa.String(160), index=True)
    action: Mapped[str] = mapped_column(sa.String(16))
    kind: Mapped[str] = mapped_column(sa.String(32))
    study_instance_uid: Mapped[str] = mapped_column(UID, index=True)
    object: Mapped[str] = mapped_column(sa.Text)
    outcome: Mapped[int]
    address: Mapped[str] = mapped_column(_ADDRESS)
    detail: Mapped[JSON]
    filed_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
