"""API tokens: made by people for programs, with no more rights than their maker has."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta

from dicomnode.domain.account import AccountName, Permission, Visitor, permissions_of
from dicomnode.domain.audit import AuditAction, AuditEvent
from dicomnode.domain.errors import InvalidValue, NotAllowed
from dicomnode.domain.ports import Clock
from dicomnode.journey.secret_words import digest, is_same, new_token, prefix_of
from dicomnode.ledger.accounts import find_account
from dicomnode.ledger.api_tokens import ApiTokenRecord, add_token, find_token, list_tokens, note_used, revoke_token
from dicomnode.ledger.audit import record_audit
from dicomnode.ledger.transaction import Ledger

_USED = timedelta(minutes=1)
_LONGEST_NAME = 64
_LONGEST_DAYS = 3660


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that was just made; its secret is shown once and then known to nobody."""

    record: ApiTokenRecord
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who asks for a change, and from where."""

    who: str
    address: str = ""


class Tokens:
    """The tokens of all accounts."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def make(
        self, account: AccountName, name: str, permissions: Set[Permission], days: float | None, by: By
    ) -> NewToken:
        """Make a token for an account; raises InvalidValue, NotInLedger, NotAllowed for more than the account may."""
        _check(name, permissions, days)
        now = self._clock.now()
        prefix, secret = new_token()
        record = ApiTokenRecord(
            prefix=prefix,
            name=name.strip(),
            account=account,
            permissions=frozenset(permissions),
            created_at=now,
            expires_at=None if days is None else now + timedelta(days=days),
            used_at=None,
            revoked_at=None,
        )
        with self._ledger.transaction() as tx:
            owner = find_account(tx, account)
            beyond = permissions - permissions_of(owner.roles)
            if owner.disabled or beyond:
                raise NotAllowed(f"{account} has not the permission {', '.join(sorted(beyond)) or 'to log in'}")
            add_token(tx, record, digest(secret))
            record_audit(tx, self._event(by, "token made", prefix))
        return NewToken(record=record, secret=secret)

    def tokens(self, account: AccountName | None = None) -> tuple[ApiTokenRecord, ...]:
        """List the tokens of an account, or all; the latest first."""
        with self._ledger.transaction() as tx:
            return list_tokens(tx, account)

    def revoke(self, prefix: str, by: By, account: AccountName | None = None) -> None:
        """Let nobody in by a token any more; only one of an account's own where it is named. Raises NotInLedger."""
        with self._ledger.transaction() as tx:
            revoke_token(tx, prefix, self._clock.now(), account)
            record_audit(tx, self._event(by, "token revoked", prefix))

    def visitor(self, token: str) -> Visitor | None:
        """Find who comes with a token; it may what it was made for and its owner may today."""
        prefix, now = prefix_of(token), self._clock.now()
        if prefix is None:
            return None
        with self._ledger.transaction() as tx:
            found = find_token(tx, prefix)
            if found is None or not is_same(found.digest, token):
                return None
            record = found.record
            if found.owner_disabled or not record.is_alive(now):
                return None
            if record.used_at is None or now - record.used_at >= _USED:
                note_used(tx, prefix, now)
        return Visitor(
            name=f"{record.account}, token {record.name}",
            permissions=record.permissions & permissions_of(found.owner_roles),
            account=record.account,
            token=prefix,
        )

    def _event(self, by: By, kind: str, prefix: str) -> AuditEvent:
        return AuditEvent(
            at=self._clock.now(),
            who=by.who,
            action=AuditAction.ACCOUNT,
            kind=kind,
            object=prefix,
            address=by.address,
        )


def _check(name: str, permissions: Set[Permission], days: float | None) -> None:
    if not 1 <= len(name.strip()) <= _LONGEST_NAME or not name.isprintable():
        raise InvalidValue(f"the name of a token has 1 to {_LONGEST_NAME} printable characters")
    if not permissions:
        raise InvalidValue("a token needs at least one permission")
    if days is not None and not 0 < days <= _LONGEST_DAYS:
        raise InvalidValue("a token lasts for more than 0 days and at most ten years")
