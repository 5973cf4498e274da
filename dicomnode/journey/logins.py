"""Logging in and out, and finding out who comes: by a password, a session, or an identity provider."""

from dataclasses import dataclass
from datetime import timedelta

from dicomnode.domain.account import AccountName, AccountRole, Visitor, permissions_of
from dicomnode.domain.audit import AuditAction, AuditEvent, AuditOutcome
from dicomnode.domain.errors import InvalidValue, NotAllowed, NotLoggedIn, TooManyAttempts
from dicomnode.domain.ports import Clock
from dicomnode.journey.passwords import Passwords
from dicomnode.journey.secret_words import digest, new_secret
from dicomnode.ledger.accounts import (
    AccountRecord,
    ProviderSubject,
    add_account,
    change_roles,
    find_by_subject,
    note_login,
    password_of,
)
from dicomnode.ledger.audit import record_audit
from dicomnode.ledger.login_failures import count_attempt, forget_attempts
from dicomnode.ledger.sessions import (
    ProviderLogin,
    add_session,
    begin_provider_login,
    end_session,
    find_session,
    note_seen,
    take_provider_login,
)
from dicomnode.ledger.transaction import Ledger, Transaction

_WINDOW = timedelta(minutes=15)
_MOST_FOR_NAME = 5
_MOST_FROM_ADDRESS = 30
_SEEN = timedelta(minutes=1)
"""A session in use is written down at most so often."""
_PROVIDER_LOGIN = timedelta(minutes=10)
_SESSION_NAME = 16
_WRONG = "the name or the password is wrong"
_UNKNOWN = "(unknown)"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPolicy:
    """How long a session lasts, and how long it may stand unused."""

    session: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(minutes=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvidedPerson:
    """A person as an identity provider describes them, and the roles that its word gives them here."""

    subject: ProviderSubject
    name: str
    roles: frozenset[AccountRole]


class Logins:
    """Lets people in; each login has a session with an id of its own, which only the browser knows."""

    def __init__(self, ledger: Ledger, clock: Clock, policy: LoginPolicy, passwords: Passwords) -> None:
        self._ledger = ledger
        self._clock = clock
        self._policy = policy
        self._passwords = passwords

    @property
    def lasts(self) -> timedelta:
        """How long a session lasts."""
        return self._policy.session

    def log_in(self, name: str, password: str, address: str) -> str:
        """Begin a session and give its id; raises NotLoggedIn, TooManyAttempts.

        Nothing tells whether there is an account of the name: neither the words nor the time that it takes.
        """
        account = _account_name(name)
        rehashed = self._check(account, digest(name.strip().lower()), password, address)
        if account is None:
            raise NotLoggedIn(_WRONG)
        with self._ledger.transaction() as tx:
            note_login(tx, account, self._clock.now(), rehashed=rehashed)
            self._record(tx, account, address, kind="password")
            return self.begin(tx, account)

    def confirm(self, account: AccountName, password: str, address: str) -> None:
        """Check the password of whoever is logged in already; raises NotLoggedIn, TooManyAttempts."""
        self._check(account, digest(account), password, address)

    def _check(self, account: AccountName | None, key: str, password: str, address: str) -> str | None:
        """Check a password, and give the hash to keep instead where the old one is out of date."""
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            for_name, from_address = count_attempt(tx, key, address, now, now - _WINDOW)
            hashed = None if account is None else password_of(tx, account)
            if for_name == _MOST_FOR_NAME + 1 or from_address == _MOST_FROM_ADDRESS + 1:
                # Said once: whoever goes on trying must not fill the trail.
                self._record(tx, account if hashed else None, address, kind="rate limit", failed=True)
        if for_name > _MOST_FOR_NAME or from_address > _MOST_FROM_ADDRESS:
            raise TooManyAttempts("too many attempts to log in; none is looked at for a while")
        right, rehashed = self._passwords.check(password, hashed)
        with self._ledger.transaction() as tx:
            if right:
                forget_attempts(tx, key, address)
            else:
                self._record(tx, account if hashed else None, address, kind="password", failed=True)
        if not right:
            raise NotLoggedIn(_WRONG)
        return rehashed

    def begin(self, tx: Transaction, account: AccountName) -> str:
        """Begin a session under a new id in a transaction that is open; no id that came from outside is ever used."""
        session = new_secret()
        add_session(tx, digest(session), account, self._clock.now(), self._policy.session)
        return session

    def log_out(self, session: str, address: str) -> None:
        """End a session; one that is not there ends nothing."""
        with self._ledger.transaction() as tx:
            account = end_session(tx, digest(session))
            if account is not None:
                event = AuditEvent(at=self._clock.now(), who=account, action=AuditAction.LOGOUT, address=address)
                record_audit(tx, event)

    def visitor(self, session: str, *, by_itself: bool = False) -> Visitor | None:
        """Find who comes with a session; nobody where it is over, stood unused, or its account is shut.

        What an open page asks for by itself is no use of a session: it would never stand unused.
        """
        now, key = self._clock.now(), digest(session)
        with self._ledger.transaction() as tx:
            found = find_session(tx, key)
            if found is None or found.disabled:
                return None
            if found.expires_at <= now or now - found.seen_at >= self._policy.idle:
                end_session(tx, key)
                return None
            if not by_itself and now - found.seen_at >= min(_SEEN, self._policy.idle / 4):
                note_seen(tx, key, now)
        return Visitor(
            name=found.account,
            permissions=permissions_of(found.roles),
            account=found.account,
            session=key[:_SESSION_NAME],
        )

    def begin_elsewhere(self, login: ProviderLogin) -> str:
        """Remember that a browser was sent to the identity provider; gives what it has to come back with."""
        key = new_secret()
        with self._ledger.transaction() as tx:
            begin_provider_login(tx, digest(key), login, self._clock.now())
        return key

    def came_back(self, key: str) -> ProviderLogin:
        """Take up a login that began here; raises NotLoggedIn for one that is unknown, used up or too old."""
        with self._ledger.transaction() as tx:
            found = take_provider_login(tx, digest(key), self._clock.now() - _PROVIDER_LOGIN)
        if found is None:
            raise NotLoggedIn("this login did not begin here, or took too long: begin again")
        return found

    def log_in_provided(self, person: ProvidedPerson, address: str) -> str:
        """Begin a session for a person whom the identity provider vouches for; raises NotAllowed.

        The roles are what the provider says today. An account that has a password here is never taken over by name.
        """
        now = self._clock.now()
        with self._ledger.transaction() as tx:
            account = find_by_subject(tx, person.subject)
            allowed = bool(person.roles) and (account is None or not account.disabled)
            if allowed:
                name = self._known(tx, person, account)
                note_login(tx, name, now)
                self._record(tx, name, address, kind="identity provider")
                return self.begin(tx, name)
            self._record(tx, account.name if account else None, address, kind="identity provider", failed=True)
        if account is not None and account.disabled:
            raise NotAllowed("this account is shut")
        raise NotAllowed("the identity provider knows you, but gives you no role on this node")

    def _known(self, tx: Transaction, person: ProvidedPerson, account: AccountRecord | None) -> AccountName:
        """Find or make the account of a person, with the roles of today."""
        now = self._clock.now()
        if account is not None:
            if account.roles != person.roles:
                change_roles(tx, account.name, person.roles, now)
            return account.name
        for name in _names_for(person):
            if add_account(tx, name, person.roles, now, subject=person.subject):
                event = AuditEvent(at=now, who=name, action=AuditAction.ACCOUNT, kind="add", object=name)
                record_audit(tx, event)
                return name
        raise NotAllowed("no account can be made for you: its names are taken")

    def _record(
        self, tx: Transaction, account: AccountName | None, address: str, *, kind: str, failed: bool = False
    ) -> None:
        """Write down an attempt; a name that is no account's is not repeated, for it may be a password."""
        event = AuditEvent(
            at=self._clock.now(),
            who=account or _UNKNOWN,
            action=AuditAction.LOGIN,
            kind=kind,
            outcome=AuditOutcome.MINOR_FAILURE if failed else AuditOutcome.SUCCESS,
            address=address,
        )
        record_audit(tx, event)


def _account_name(text: str) -> AccountName | None:
    try:
        return AccountName(text)
    except InvalidValue:
        return None


def _names_for(person: ProvidedPerson) -> tuple[AccountName, ...]:
    """Choose names for a new account: as the provider says, or with a few letters that tell it from another."""
    name = _account_name(person.name)
    mark = digest(f"{person.subject.issuer} {person.subject.subject}")[:8]
    plain = () if name is None else (name, AccountName(f"{name[:55]}-{mark}"))
    return (*plain, AccountName(f"person-{mark}"))
