"""Logging in by an identity provider: the authorization code flow of OpenID Connect Core 1.0 with PKCE (RFC 7636)."""

import base64
import hashlib
import secrets
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dicomnode.domain.account import AccountRole
from dicomnode.domain.errors import IdentityProviderFailed, InvalidSettings, NotLoggedIn
from dicomnode.domain.ports import Clock
from dicomnode.journey.logins import ProvidedPerson
from dicomnode.journey.secret_words import new_secret
from dicomnode.ledger.accounts import ProviderSubject
from dicomnode.ledger.sessions import ProviderLogin

_DISCOVERY = "/.well-known/openid-configuration"
_SECONDS = 10.0
_LEEWAY_SECONDS = 60
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that the provider alone can make; a shared secret would let this node make them too."""
_NOT_LOGGED_IN = "the identity provider did not log you in"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTerms:
    """What was agreed with an identity provider; `roles` says what the words of its claim make of somebody here."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    title: str = "your organisation"
    scope: str = "openid profile"
    name_claim: str = "preferred_username"
    roles_claim: str = "groups"
    roles: Mapping[str, AccountRole] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    """Whose certificates are believed; left out: those that this host believes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunLogin:
    """Where the browser is to go, and what has to be remembered until it comes back."""

    address: str
    login: ProviderLogin


class IdentityProvider:
    """Asks one identity provider who somebody is; raises InvalidSettings for one that is not reached under TLS."""

    def __init__(self, terms: ProviderTerms, clock: Clock) -> None:
        _check_address(terms.issuer)
        self._terms = terms
        self._clock = clock

    @property
    def title(self) -> str:
        """How the button is called."""
        return self._terms.title

    async def begin(self, return_to: str, next_path: str) -> BegunLogin:
        """Begin a login; raises IdentityProviderFailed."""
        metadata = await self._metadata()
        login = ProviderLogin(state=new_secret(), nonce=new_secret(), code_verifier=new_secret(), next_path=next_path)
        question = {
            "response_type": "code",
            "client_id": self._terms.client_id,
            "redirect_uri": return_to,
            "scope": self._terms.scope,
            "state": login.state,
            "nonce": login.nonce,
            "code_challenge": _challenge(login.code_verifier),
            "code_challenge_method": "S256",
        }
        where = _word(metadata, "authorization_endpoint")
        return BegunLogin(address=f"{where}{'&' if '?' in where else '?'}{urlencode(question)}", login=login)

    async def person(self, return_to: str, answer: Mapping[str, str], login: ProviderLogin) -> ProvidedPerson:
        """Find out who came back with an answer; raises NotLoggedIn, IdentityProviderFailed."""
        if not secrets.compare_digest(answer.get("state", "").encode(), login.state.encode()):
            raise NotLoggedIn("the answer of the identity provider belongs to another login")
        # RFC 9207: an answer of another provider is not taken for one of this.
        if "code" not in answer or answer.get("iss", self._terms.issuer) != self._terms.issuer:
            raise NotLoggedIn(_NOT_LOGGED_IN)
        metadata = await self._metadata()
        tokens = await self._exchange(metadata, answer["code"], return_to, login)
        claims = self._claims(tokens, await self._get(_word(metadata, "jwks_uri")), login)
        return self._described({**await self._more(metadata, tokens, claims), **claims})

    async def _metadata(self) -> Mapping[str, Any]:
        """Read what the provider says of itself (OpenID Connect Discovery 1.0 section 4)."""
        metadata = await self._get(self._terms.issuer.rstrip("/") + _DISCOVERY)
        if metadata.get("issuer") != self._terms.issuer:
            raise IdentityProviderFailed("the identity provider calls itself by another name than the settings do")
        return metadata

    async def _exchange(
        self, metadata: Mapping[str, Any], code: str, return_to: str, login: ProviderLogin
    ) -> Mapping[str, Any]:
        """Give the code for tokens; the verifier proves that it is the one that began (RFC 7636 section 4.5)."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": return_to,
            "code_verifier": login.code_verifier,
        }
        terms = self._terms
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        auth: httpx.Auth = httpx.Auth()
        if "client_secret_basic" in methods:
            auth = httpx.BasicAuth(terms.client_id, terms.client_secret)
        else:
            form |= {"client_id": terms.client_id, "client_secret": terms.client_secret}
        async with self._client() as client:
            try:
                response = await client.post(_word(metadata, "token_endpoint"), data=form, auth=auth)
            except httpx.HTTPError as error:
                raise _unreachable(error) from error
        if response.status_code == HTTPStatus.BAD_REQUEST:
            raise NotLoggedIn(_NOT_LOGGED_IN)
        return _read(response)

    def _claims(self, tokens: Mapping[str, Any], keys: Mapping[str, Any], login: ProviderLogin) -> dict[str, Any]:
        """Check the ID token (OpenID Connect Core 1.0 section 3.1.3.7) and give what it says."""
        client = self._terms.client_id
        rules = jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self._terms.issuer},
            aud={"essential": True, "value": client},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": login.nonce},
        )
        try:
            token = jwt.decode(_word(tokens, "id_token"), KeySet.import_key_set(keys), algorithms=_ALGORITHMS)  # type: ignore[arg-type]
            rules.validate(token.claims)
        except (JoseError, ValueError) as error:
            raise IdentityProviderFailed(f"its ID token is not good ({type(error).__name__})") from error
        audience = token.claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if token.claims.get("azp", None if several else client) != client:
            raise IdentityProviderFailed("its ID token was made for somebody else")
        return dict(token.claims)

    async def _more(
        self, metadata: Mapping[str, Any], tokens: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Ask the provider for what its ID token does not say (OpenID Connect Core 1.0 section 5.3)."""
        if _claim(claims, self._terms.roles_claim) is not None or "userinfo_endpoint" not in metadata:
            return {}
        bearer = {"Authorization": f"Bearer {_word(tokens, 'access_token')}"}
        more = await self._get(_word(metadata, "userinfo_endpoint"), bearer)
        if more.get("sub") != claims["sub"]:
            raise IdentityProviderFailed("it told about somebody else than who logged in")
        return more

    def _described(self, claims: Mapping[str, Any]) -> ProvidedPerson:
        said = _claim(claims, self._terms.roles_claim)
        words = [said] if isinstance(said, str) else said if isinstance(said, list) else []
        return ProvidedPerson(
            subject=ProviderSubject(issuer=self._terms.issuer, subject=str(claims["sub"])),
            name=str(_claim(claims, self._terms.name_claim) or ""),
            roles=frozenset(self._terms.roles[word] for word in words if word in self._terms.roles),
        )

    async def _get(self, where: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        async with self._client() as client:
            try:
                return _read(await client.get(where, headers=headers))
            except httpx.HTTPError as error:
                raise _unreachable(error) from error

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(timeout=_SECONDS, verify=self._terms.context or True, trust_env=False)


def _check_address(issuer: str) -> None:
    """Refuse to send the client's secret in the clear, but to this machine."""
    parts = urlsplit(issuer)
    try:
        is_here = parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        is_here = False
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        raise InvalidSettings("oidc.issuer: an https address")


def _challenge(verifier: str) -> str:
    """Make what is told of a verifier before it is shown (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _read(response: httpx.Response) -> Mapping[str, Any]:
    try:
        found = response.json() if response.is_success else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise IdentityProviderFailed(f"the identity provider answered {response.status_code} without what was asked")
    return found


def _word(document: Mapping[str, Any], name: str) -> str:
    found = document.get(name)
    if not isinstance(found, str):
        raise IdentityProviderFailed(f"the identity provider does not tell its {name}")
    return found


def _claim(claims: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401  a claim is any JSON
    """Read a claim; dots lead into the objects within, as some providers nest their roles."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _unreachable(error: httpx.HTTPError) -> IdentityProviderFailed:
    return IdentityProviderFailed(f"the identity provider does not answer ({type(error).__name__})")
