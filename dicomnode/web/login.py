"""The pages that let somebody in and out: login, logout, the first administrator, and an identity provider."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from dicomnode.domain.account import NOBODY
from dicomnode.domain.errors import DicomnodeError, InvalidValue, NotLoggedIn
from dicomnode.journey.accounts import Accounts
from dicomnode.journey.passwords import LONGEST, SHORTEST
from dicomnode.web.access import address_of, needs_login, open_to_all, visitor_of
from dicomnode.web.entrance import LOGIN, forget_session, keep_session, onward, own_path, session_cookie
from dicomnode.web.provider import IdentityProvider
from dicomnode.web.rendering import Renderer

_AWAY_COOKIE = "dicomnode-login"
_AWAY_SECONDS = 600
_RETURN = f"{LOGIN}/return"
_Text = Annotated[str, Form(max_length=LONGEST)]
_Path = Annotated[str, Form(max_length=2048)]


class LoginPages:
    """Answers for /login, /logout and /setup."""

    def __init__(self, accounts: Accounts, renderer: Renderer, provider: IdentityProvider | None = None) -> None:
        self._accounts = accounts
        self._renderer = renderer
        self._provider = provider

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        anybody = [open_to_all()]
        router.add_api_route(LOGIN, self.ask, methods=["GET"], dependencies=anybody)
        router.add_api_route(LOGIN, self.log_in, methods=["POST"], dependencies=anybody)
        router.add_api_route("/logout", self.log_out, methods=["POST"], dependencies=[needs_login()])
        router.add_api_route("/setup", self.ask_first, methods=["GET"], dependencies=anybody)
        router.add_api_route("/setup", self.set_up, methods=["POST"], dependencies=anybody)
        if self._provider is not None:
            router.add_api_route(f"{LOGIN}/provider", self.go, methods=["GET"], dependencies=anybody)
            router.add_api_route(_RETURN, self.come_back, methods=["GET"], dependencies=anybody)
        return router

    def ask(self, request: Request, next: str = "/") -> Response:  # noqa: A002  the name in the address
        """Show the login; whoever is logged in already goes on."""
        if visitor_of(request) != NOBODY:
            return RedirectResponse(own_path(next), status_code=HTTPStatus.SEE_OTHER)
        return self._login_page(own_path(next))

    def log_in(
        self,
        request: Request,
        name: _Text = "",
        password: _Text = "",
        next: _Path = "/",  # noqa: A002  the name in the form
    ) -> Response:
        """Begin a session under a new id, whatever cookie came; a wrong password is told on the page."""
        where = own_path(next)
        try:
            session = self._accounts.logins.log_in(name, password, address_of(request))
        except NotLoggedIn as error:
            return self._login_page(where, error, name)
        return self._let_in(request, session, RedirectResponse(where, status_code=HTTPStatus.SEE_OTHER))

    def log_out(self, request: Request) -> Response:
        """End the session and forget it."""
        session = request.cookies.get(session_cookie(request.url.scheme), "")
        self._accounts.logins.log_out(session, address_of(request))
        response = RedirectResponse(LOGIN, status_code=HTTPStatus.SEE_OTHER)
        forget_session(response, request.url.scheme)
        return response

    def ask_first(self, token: str = "") -> Response:
        """Show the form for the first administrator, where the link is good."""
        return self._setup_page(token)

    def set_up(
        self,
        request: Request,
        token: _Text = "",
        name: _Text = "",
        password: _Text = "",
        again: _Text = "",
    ) -> Response:
        """Make the first administrator and let them in; the link is then used up."""
        try:
            if password != again:
                raise InvalidValue("the two passwords are not the same")
            session = self._accounts.set_up(token, name, password, address_of(request))
        except DicomnodeError as error:
            return self._setup_page(token, error, name)
        return self._let_in(request, session, RedirectResponse("/", status_code=HTTPStatus.SEE_OTHER))

    async def go(self, request: Request, next: str = "/") -> Response:  # noqa: A002  the name in the address
        """Send the browser to the identity provider; raises IdentityProviderFailed."""
        provider = self._with_provider()
        begun = await provider.begin(str(request.url_for("come_back")), own_path(next))
        key = await run_in_threadpool(self._accounts.logins.begin_elsewhere, begun.login)
        response = RedirectResponse(begun.address, status_code=HTTPStatus.SEE_OTHER)
        # Lax: it must come back with the browser from the provider's page. It is good for one login.
        response.set_cookie(
            _AWAY_COOKIE,
            key,
            max_age=_AWAY_SECONDS,
            path=_RETURN,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return response

    async def come_back(self, request: Request) -> Response:
        """Take what the identity provider says and begin a session; raises NotLoggedIn, NotAllowed."""
        logins = self._accounts.logins
        login = await run_in_threadpool(logins.came_back, request.cookies.get(_AWAY_COOKIE, ""))
        asked = dict(request.query_params)
        person = await self._with_provider().person(str(request.url_for("come_back")), asked, login)
        session = await run_in_threadpool(logins.log_in_provided, person, address_of(request))
        response = onward(own_path(login.next_path))
        response.delete_cookie(_AWAY_COOKIE, path=_RETURN)
        return self._let_in(request, session, response)

    def _with_provider(self) -> IdentityProvider:
        if self._provider is None:
            raise NotLoggedIn("this node has no identity provider")
        return self._provider

    def _let_in(self, request: Request, session: str, response: Response) -> Response:
        keep_session(response, session, self._accounts.logins.lasts.total_seconds(), request.url.scheme)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _login_page(self, where: str, error: DicomnodeError | None = None, name: str = "") -> Response:
        return self._renderer.page(
            "login.html",
            error.http_status if error else HTTPStatus.OK,
            next=where,
            name=name,
            wrong=error,
            provider=self._provider.title if self._provider else "",
        )

    def _setup_page(self, token: str, error: DicomnodeError | None = None, name: str = "") -> Response:
        return self._renderer.page(
            "setup.html",
            error.http_status if error else HTTPStatus.OK,
            token=token,
            name=name,
            wrong=error,
            is_good=self._accounts.is_setup_token(token),
            shortest=SHORTEST,
        )
