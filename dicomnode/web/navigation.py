"""The pages that the bar on top leads to, for those who may open them."""

from collections.abc import Sequence
from dataclasses import dataclass

from dicomnode.domain.account import Permission, Visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class NavigationEntry:
    """One page of the bar: the name a page calls itself by (`here`), its title, its path, and what it asks for."""

    name: str
    title: str
    path: str
    permission: Permission


_ENTRIES = (
    NavigationEntry(name="now", title="Now", path="/", permission=Permission.SEE_SYSTEM),
    NavigationEntry(name="studies", title="Studies", path="/studies", permission=Permission.SEE_STUDIES),
    NavigationEntry(name="rules", title="Rules", path="/rules", permission=Permission.SEE_SYSTEM),
    NavigationEntry(name="models", title="Models", path="/models", permission=Permission.SEE_SYSTEM),
    NavigationEntry(name="peers", title="Peers", path="/peers", permission=Permission.SEE_SYSTEM),
    NavigationEntry(name="audit", title="Audit", path="/audit", permission=Permission.ADMINISTER),
    NavigationEntry(name="settings", title="Settings", path="/settings", permission=Permission.ADMINISTER),
)


def navigation(visitor: Visitor) -> Sequence[NavigationEntry]:
    """List the pages that a visitor may open."""
    return [entry for entry in _ENTRIES if visitor.may(entry.permission)]
