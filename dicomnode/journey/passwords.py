"""Passwords: which are good enough, and whether one is right, at the same cost whoever asks."""

import threading

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from dicomnode.domain.account import AccountName
from dicomnode.domain.errors import InvalidValue

SHORTEST = 12
LONGEST = 256
_AT_A_TIME = 4
"""Each check takes 64 MiB; more of them at the same moment wait for each other."""


class Passwords:
    """Makes hashes of passwords (Argon2id, RFC 9106) and compares with them."""

    def __init__(self, hashes: PasswordHash | None = None) -> None:
        self._hashes = hashes or PasswordHash((Argon2Hasher(),))
        self._room = threading.BoundedSemaphore(_AT_A_TIME)
        self._nobodys = self.hash("the password of an account that is not there")

    def hash(self, password: str) -> str:
        """Make the hash to keep."""
        with self._room:
            return self._hashes.hash(password)

    def check(self, password: str, hashed: str | None) -> tuple[bool, str | None]:
        """Say whether a password is right, and give a new hash where the old one's parameters are out of date.

        Without a hash it is wrong, and takes as long to find out.
        """
        with self._room:
            try:
                right, renewed = self._hashes.verify_and_update(password[:LONGEST], hashed or self._nobodys)
            except UnknownHashError:
                return False, None
        return right and hashed is not None, renewed if hashed is not None else None


def good_enough(password: str, name: AccountName) -> str:
    """Give back a password that may be used for an account; raises InvalidValue.

    Length is what counts (NIST SP 800-63B section 5.1.1): no rule asks for kinds of characters.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidValue(f"a password has {SHORTEST} to {LONGEST} characters")
    if name in password.lower() and len(password) < SHORTEST + len(name):
        raise InvalidValue("the password is little more than the name of the account")
    if len(set(password)) < SHORTEST // 2:
        raise InvalidValue("the password repeats too few characters")
    return password
