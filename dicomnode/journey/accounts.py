"""The accounts of a node: the first one, and what an administrator does with the others."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dicomnode.domain.account import AccountName, AccountRole
from dicomnode.domain.audit import AuditAction, AuditEvent
from dicomnode.domain.errors import AccountConflict, AccountExists, InvalidValue, LastAdministrator, NotAllowed
from dicomnode.domain.ports import Clock
from dicomnode.journey.logins import LoginPolicy, Logins
from dicomnode.journey.passwords import Passwords, good_enough
from dicomnode.journey.secret_words import digest, new_secret
from dicomnode.journey.tokens import By, Tokens
from dicomnode.ledger.accounts import (
    AccountRecord,
    add_account,
    any_account,
    change_password,
    change_roles,
    enabled_administrators,
    find_account,
    list_accounts,
    set_disabled,
)
from dicomnode.ledger.audit import record_audit
from dicomnode.ledger.sessions import (
    add_setup_token,
    end_sessions,
    forget_setup_tokens,
    is_setup_token,
    take_setup_token,
)
from dicomnode.ledger.transaction import Ledger, Transaction

_USED_UP = "this link is used up, or was never given by this node"


class Accounts:
    """Who may log in; `logins` and `tokens` say who is there."""

    def __init__(
        self, ledger: Ledger, clock: Clock, policy: LoginPolicy | None = None, passwords: Passwords | None = None
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._passwords = passwords or Passwords()
        self.logins = Logins(ledger, clock, policy or LoginPolicy(), self._passwords)
        self.tokens = Tokens(ledger, clock)

    def setup_token(self) -> str | None:
        """Give a word that lets the first administrator in; none where there is an account already."""
        token = new_secret()
        with self._ledger.transaction() as tx:
            if any_account(tx):
                return None
            add_setup_token(tx, digest(token), self._clock.now())
        return token

    def is_setup_token(self, token: str) -> bool:
        """Whether a word would let the first administrator in."""
        with self._ledger.transaction() as tx:
            return is_setup_token(tx, digest(token))

    def set_up(self, token: str, name: str, password: str, address: str) -> str:
        """Make the first administrator and begin a session; raises NotAllowed, InvalidValue.

        The token is used up in the same transaction, so that of two people only one gets in.
        """
        account = AccountName(name)
        hashed = self._passwords.hash(good_enough(password, account))
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            if not take_setup_token(tx, digest(token)) or any_account(tx):
                raise NotAllowed(_USED_UP)
            add_account(tx, account, [AccountRole.ADMINISTRATOR], now, password=hashed)
            self._record(tx, By(who=account, address=address), "first administrator", account)
            return self.logins.begin(tx, account)

    def accounts(self) -> tuple[AccountRecord, ...]:
        """List all accounts by their names."""
        with self._ledger.transaction() as tx:
            return list_accounts(tx)

    def find(self, name: AccountName) -> AccountRecord:
        """Read one account; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            return find_account(tx, name)

    def add(self, name: AccountName, password: str, roles: Iterable[AccountRole], by: By) -> None:
        """Add an account; raises AccountExists, InvalidValue."""
        hashed = self._passwords.hash(good_enough(password, name))
        chosen = _some(roles)
        with self._ledger.transaction() as tx:
            if not add_account(tx, name, chosen, self._clock.now(), password=hashed):
                raise AccountExists(f"there is an account {name} already")
            forget_setup_tokens(tx)
            self._record(tx, by, "add", name, roles=sorted(chosen))

    def change_roles(self, name: AccountName, roles: Iterable[AccountRole], by: By) -> None:
        """Give an account other roles, at once; raises NotInLedger, LastAdministrator, InvalidValue."""
        chosen = _some(roles)
        with self._ledger.transaction() as tx, _an_administrator_stays(tx):
            before = find_account(tx, name).roles
            change_roles(tx, name, chosen, self._clock.now())
            self._record(tx, by, "roles", name, before=sorted(before), after=sorted(chosen))

    def disable(self, name: AccountName, by: By) -> None:
        """Shut an account and end all its sessions; raises NotInLedger, LastAdministrator."""
        with self._ledger.transaction() as tx, _an_administrator_stays(tx):
            set_disabled(tx, name, self._clock.now(), disabled=True)
            end_sessions(tx, name)
            self._record(tx, by, "disable", name)

    def enable(self, name: AccountName, by: By) -> None:
        """Open an account again; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            set_disabled(tx, name, self._clock.now(), disabled=False)
            self._record(tx, by, "enable", name)

    def set_password(self, name: AccountName, password: str, by: By) -> None:
        """Give an account another password and end all its sessions; raises NotInLedger, InvalidValue."""
        hashed = self._passwords.hash(good_enough(password, name))
        with self._ledger.transaction() as tx:
            if find_account(tx, name).subject is not None:
                raise AccountConflict(f"{name} logs in at the identity provider and has no password here")
            change_password(tx, name, hashed, self._clock.now())
            end_sessions(tx, name)
            self._record(tx, by, "password", name)

    def change_own_password(self, name: AccountName, old: str, new: str, address: str) -> str:
        """Change the password of whoever knows it: all sessions end and a new one begins, whose id is given.

        Raises NotLoggedIn, TooManyAttempts, InvalidValue, AccountConflict.
        """
        good_enough(new, name)
        self.logins.confirm(name, old, address)
        self.set_password(name, new, By(who=name, address=address))
        with self._ledger.transaction() as tx:
            return self.logins.begin(tx, name)

    def _record(self, tx: Transaction, by: By, kind: str, name: AccountName, **detail: object) -> None:
        event = AuditEvent(
            at=self._clock.now(),
            who=by.who,
            action=AuditAction.ACCOUNT,
            kind=kind,
            object=name,
            address=by.address,
            detail=detail,
        )
        record_audit(tx, event)


def _some(roles: Iterable[AccountRole]) -> frozenset[AccountRole]:
    chosen = frozenset(roles)
    if not chosen:
        raise InvalidValue("an account needs at least one role")
    return chosen


@contextmanager
def _an_administrator_stays(tx: Transaction) -> Iterator[None]:
    """Refuse a change that takes the last administrator away; raises LastAdministrator."""
    # Reading them first makes whoever changes another one meanwhile wait (PostgreSQL; SQLite waits by itself).
    enabled_administrators(tx)
    yield
    if not enabled_administrators(tx):
        raise LastAdministrator("nobody would be left who may administer this node")
