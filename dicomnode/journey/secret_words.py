"""Words that let somebody in: long, random, and kept as digests only."""

import hashlib
import secrets

_BYTES = 32
_PREFIX_BYTES = 6
_KIND = "dn"


def new_secret() -> str:
    """Make a word of 256 random bits that fits into a cookie or an address."""
    return secrets.token_urlsafe(_BYTES)


def digest(secret: str) -> str:
    """Make what is kept of a secret; it has too many bits to be guessed, so it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_same(digest_of_one: str, other: str) -> bool:
    """Compare a digest with that of a secret, in a time that tells nothing."""
    return secrets.compare_digest(digest_of_one, digest(other))


def new_token() -> tuple[str, str]:
    """Make an API token, such as `dn_1f2e…_…`: its public name and the whole."""
    prefix = f"{_KIND}_{secrets.token_hex(_PREFIX_BYTES)}"
    return prefix, f"{prefix}_{new_secret()}"


def prefix_of(token: str) -> str | None:
    """Read the public name of a token; none where it has not a token's form."""
    kind, _, rest = token.partition("_")
    name, _, secret = rest.partition("_")
    return f"{kind}_{name}" if kind == _KIND and len(name) == 2 * _PREFIX_BYTES and secret else None
