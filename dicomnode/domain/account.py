"""Who may do what on the pages and over the interface for programs."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from dicomnode.domain.errors import InvalidValue

_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


class Permission(StrEnum):
    """One kind of thing that a visitor may be allowed to do; every route asks for exactly one."""

    SEE_SYSTEM = "see-system"
    """Links, queues, peers, models, refusals: nothing of a patient."""
    SEE_STUDIES = "see-studies"
    """Studies, their timelines and images, over pages and DICOMweb."""
    SEE_NAMES = "see-names"
    """Patient names and ids; without it they are masked on the pages."""
    STORE = "store"
    """STOW-RS."""
    OPERATE = "operate"
    """Retry, send again, complete now, release from quarantine, pause a destination."""
    EDIT_RULES = "edit-rules"
    """Change the draft of the rules, test it and ask what it would do."""
    PUBLISH_RULES = "publish-rules"
    """Put a version of the rules in force, or an earlier one again."""
    EDIT_PEERS = "edit-peers"
    ADMINISTER = "administer"
    """Accounts, tokens of others, the audit trail, settings."""


class AccountRole(StrEnum):
    """What a person is to the node; an account may have several."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"
    ML_ENGINEER = "ml-engineer"


_LOOK = frozenset({Permission.SEE_SYSTEM, Permission.SEE_STUDIES})
PERMISSIONS: Mapping[AccountRole, frozenset[Permission]] = {
    AccountRole.VIEWER: _LOOK | {Permission.SEE_NAMES},
    AccountRole.OPERATOR: _LOOK | {Permission.SEE_NAMES, Permission.OPERATE, Permission.STORE},
    AccountRole.ADMINISTRATOR: frozenset(Permission),
    AccountRole.ML_ENGINEER: _LOOK | {Permission.EDIT_RULES},
}
"""An ML engineer sees no names: what models need of a study is in its images and facts."""


class AccountName(str):
    """Names an account: lower case, so that no two accounts look alike."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check the form; raises InvalidValue."""
        text = str(value).strip().lower()
        if not _NAME.fullmatch(text):
            raise InvalidValue("the name of an account is 1 to 64 letters, digits or characters of . - _ @")
        return super().__new__(cls, text)


def permissions_of(roles: Iterable[AccountRole]) -> frozenset[Permission]:
    """Collect what roles allow together."""
    return frozenset[Permission]().union(*(PERMISSIONS[role] for role in roles))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who makes a request, and what that one may do."""

    name: str
    """The account's name, a token's name in it, or `local` where the node has no login."""
    permissions: frozenset[Permission]
    account: str = ""
    """The account behind it; empty where there is none."""
    session: str = ""
    """Names the session it came by, and lets nobody in; empty where it came by a token, or there is no login."""
    token: str = ""
    """Names the token it came by, in the same way."""

    def may(self, permission: Permission) -> bool:
        """Whether the visitor is allowed something."""
        return permission in self.permissions


LOCAL_VISITOR = Visitor(name="local", permissions=frozenset(Permission))
"""Whoever comes where the node has no login; it then answers on loopback only."""

NOBODY = Visitor(name="", permissions=frozenset())
"""Whoever did not log in where the node has a login."""
