"""The pages of accounts: one's own with its password and tokens, and for the administrator everybody's."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import Response

from dicomnode.domain.account import AccountName, AccountRole, Permission
from dicomnode.domain.errors import DicomnodeError, InvalidValue
from dicomnode.journey.accounts import Accounts
from dicomnode.journey.passwords import LONGEST, SHORTEST
from dicomnode.journey.tokens import By, NewToken
from dicomnode.web.access import address_of, needs, needs_login, visitor_of
from dicomnode.web.entrance import keep_session
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.watch import TOLD

_OWN, _ALL = "/account", "/accounts"
_Text = Annotated[str, Form(max_length=LONGEST)]
_Words = Annotated[list[str], Form()]


class AccountPages:
    """Answers for /account and /accounts; what the verbs of accounts change, they write into the trail themselves."""

    def __init__(self, accounts: Accounts, renderer: Renderer) -> None:
        self._accounts = accounts
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        own, administers = [needs_login()], [needs(Permission.ADMINISTER)]
        one = f"{_ALL}/{{name}}"
        router.add_api_route(_OWN, self.own, methods=["GET"], dependencies=own)
        router.add_api_route(f"{_OWN}/password", self.change_password, methods=["POST"], dependencies=own)
        router.add_api_route(f"{_OWN}/tokens", self.make_token, methods=["POST"], dependencies=own)
        router.add_api_route(f"{_OWN}/tokens/{{prefix}}/revoke", self.revoke_own, methods=["POST"], dependencies=own)
        router.add_api_route(_ALL, self.all, methods=["GET"], dependencies=administers)
        router.add_api_route(_ALL, self.add, methods=["POST"], dependencies=administers)
        router.add_api_route(f"{one}/roles", self.change_roles, methods=["POST"], dependencies=administers)
        router.add_api_route(f"{one}/password", self.set_password, methods=["POST"], dependencies=administers)
        router.add_api_route(f"{one}/disable", self.disable, methods=["POST"], dependencies=administers)
        router.add_api_route(f"{one}/enable", self.enable, methods=["POST"], dependencies=administers)
        router.add_api_route("/tokens/{prefix}/revoke", self.revoke_any, methods=["POST"], dependencies=administers)
        return router

    def own(self, request: Request) -> Response:
        """Show the visitor's own account."""
        return self._own_page(request)

    def change_password(self, request: Request, old: _Text = "", new: _Text = "", again: _Text = "") -> Response:
        """Change the visitor's password; every session of the account ends, and this browser gets a new one."""
        request.scope[TOLD] = True
        name = AccountName(visitor_of(request).account)
        try:
            if new != again:
                raise InvalidValue("the two new passwords are not the same")
            session = self._accounts.change_own_password(name, old, new, address_of(request))
        except DicomnodeError as error:
            return self._own_page(request, error)
        response = back_to(_OWN, "The password is changed. Wherever else you were logged in, you no longer are.")
        keep_session(response, session, self._accounts.logins.lasts.total_seconds(), request.url.scheme)
        return response

    def make_token(
        self,
        request: Request,
        name: _Text = "",
        days: _Text = "",
        permissions: _Words = [],  # noqa: B006
    ) -> Response:
        """Make a token for the visitor's account and show it, this once."""
        request.scope[TOLD] = True
        try:
            made = self._accounts.tokens.make(
                AccountName(visitor_of(request).account),
                name,
                {_permission(word) for word in permissions},
                _days(days),
                _by(request),
            )
        except DicomnodeError as error:
            return self._own_page(request, error)
        return self._own_page(request, made=made)

    def revoke_own(self, request: Request, prefix: str) -> Response:
        """Revoke one of the visitor's own tokens; raises NotInLedger."""
        request.scope[TOLD] = True
        self._accounts.tokens.revoke(prefix, _by(request), AccountName(visitor_of(request).account))
        return back_to(_OWN, f"The token {prefix} lets nobody in any more.")

    def all(self, request: Request) -> Response:
        """Show all accounts and tokens."""
        return self._all_page(request)

    def add(
        self,
        request: Request,
        name: _Text = "",
        password: _Text = "",
        roles: _Words = [],  # noqa: B006
    ) -> Response:
        """Add an account."""

        def change() -> str:
            account = AccountName(name)
            self._accounts.add(account, password, [_role(word) for word in roles], _by(request))
            return f"There is an account {account} now."

        return self._change(request, change)

    def change_roles(self, request: Request, name: str, roles: _Words = []) -> Response:  # noqa: B006
        """Give an account other roles."""

        def change() -> str:
            account = AccountName(name)
            self._accounts.change_roles(account, [_role(word) for word in roles], _by(request))
            return f"{account} has other roles now."

        return self._change(request, change)

    def set_password(self, request: Request, name: str, password: _Text = "") -> Response:
        """Give an account another password."""

        def change() -> str:
            self._accounts.set_password(AccountName(name), password, _by(request))
            return f"{name} has another password now, and is logged in nowhere."

        return self._change(request, change)

    def disable(self, request: Request, name: str) -> Response:
        """Shut an account."""

        def change() -> str:
            self._accounts.disable(AccountName(name), _by(request))
            return f"{name} is shut: its sessions ended, and its tokens let nobody in."

        return self._change(request, change)

    def enable(self, request: Request, name: str) -> Response:
        """Open an account again."""

        def change() -> str:
            self._accounts.enable(AccountName(name), _by(request))
            return f"{name} may log in again."

        return self._change(request, change)

    def revoke_any(self, request: Request, prefix: str) -> Response:
        """Revoke a token, whosever it is."""

        def change() -> str:
            self._accounts.tokens.revoke(prefix, _by(request))
            return f"The token {prefix} lets nobody in any more."

        return self._change(request, change)

    def _change(self, request: Request, change: Callable[[], str]) -> Response:
        """Make a change and tell it; one that is refused is told on the same page."""
        request.scope[TOLD] = True
        try:
            said = change()
        except DicomnodeError as error:
            return self._all_page(request, error)
        return back_to(_ALL, said)

    def _own_page(
        self, request: Request, wrong: DicomnodeError | None = None, made: NewToken | None = None
    ) -> Response:
        name = AccountName(visitor_of(request).account)
        return self._renderer.show(
            request,
            "account.html",
            _status(wrong),
            here="account",
            own=self._accounts.find(name),
            tokens=self._accounts.tokens.tokens(name),
            permissions=sorted(visitor_of(request).permissions),
            made=made,
            wrong=wrong,
            shortest=SHORTEST,
        )

    def _all_page(self, request: Request, wrong: DicomnodeError | None = None) -> Response:
        return self._renderer.show(
            request,
            "accounts.html",
            _status(wrong),
            here="settings",
            accounts=self._accounts.accounts(),
            tokens=self._accounts.tokens.tokens(),
            roles=tuple(AccountRole),
            wrong=wrong,
            shortest=SHORTEST,
        )


def _status(wrong: DicomnodeError | None) -> int:
    if wrong is None:
        return HTTPStatus.OK
    return HTTPStatus.UNPROCESSABLE_ENTITY if wrong.http_status == HTTPStatus.BAD_REQUEST else wrong.http_status


def _by(request: Request) -> By:
    return By(who=visitor_of(request).name, address=address_of(request))


def _role(word: str) -> AccountRole:
    try:
        return AccountRole(word)
    except ValueError as error:
        raise InvalidValue(f"there is no such role; there are {', '.join(AccountRole)}") from error


def _permission(word: str) -> Permission:
    try:
        return Permission(word)
    except ValueError as error:
        raise InvalidValue(f"there is no such permission; there are {', '.join(Permission)}") from error


def _days(text: str) -> float | None:
    if not text.strip():
        return None
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise InvalidValue("the days that a token lasts are a whole number, or left out")
    return float(text)
