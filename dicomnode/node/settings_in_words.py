"""The settings in force in words, for the page that shows them: nothing secret, and no path of a key."""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from urllib.parse import urlsplit

from pydantic import BaseModel
from pydantic.types import SecretStr

from dicomnode.node.settings import Settings
from dicomnode.web.shelf import SettingGroup, SettingLine

_GROUPS: Mapping[str, Sequence[str]] = {
    "Node": ("data", "database", "roles"),
    "Receiving": (
        "ae_title",
        "dicom_host",
        "dicom_port",
        "plain_listener",
        "listeners",
        "unknown_peers",
        "maximum_associations",
        "receivers",
        "maximum_instance_gib",
    ),
    "Completion and rules": ("quiet_seconds", "completion", "completion_by_ae", "rules", "rules_second_person"),
    "Sending": ("destinations", "delivery_attempts"),
    "Models": ("device", "model_seconds"),
    "Disk and retention": (
        "warn_free_percent",
        "warn_free_gib",
        "refuse_free_percent",
        "refuse_free_gib",
        "keep_days",
        "make_room",
    ),
    "Work": ("lease_seconds", "history_days"),
}
_PAGES = "Pages and accounts"
_WEB_PREFIXES = ("web_", "oidc", "session", "idle_", "login", "audit", "token")
_OTHER = "Other"
_SECRET = re.compile(r"(^|_)(key|secret|password|passphrase|token)s?$")
_HIDDEN = "set, not shown"


def settings_in_words(settings: Settings) -> tuple[SettingGroup, ...]:
    """Write every setting with its description, what belongs together in one group."""
    titles = {name: title for title, names in _GROUPS.items() for name in names}
    groups: dict[str, list[SettingLine]] = {title: [] for title in (*_GROUPS, _PAGES, _OTHER)}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        title = titles.get(name) or (_PAGES if name.startswith(_WEB_PREFIXES) else _OTHER)
        groups[title].append(
            SettingLine(
                name=name,
                value=_written(name, value),
                description=field.description or "",
                is_default=name not in settings.model_fields_set,
            )
        )
    return tuple(SettingGroup(title=title, lines=tuple(lines)) for title, lines in groups.items() if lines)


def _written(name: str, value: object) -> str:
    """Write one value."""
    if value is None:
        return ""
    if isinstance(value, SecretStr) or _SECRET.search(name):
        return _HIDDEN
    if isinstance(value, BaseModel):
        return _pairs({field: getattr(value, field) for field in type(value).model_fields})
    if isinstance(value, Mapping):
        return _pairs(value)
    if isinstance(value, tuple | list | frozenset | set):
        return "; ".join(_written(name, item) for item in value)
    return _without_password(str(value)) if name == "database" else _plain(value)


def _plain(value: object) -> str:
    """Write a value that has no parts."""
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case Enum():
            return str(value.value)
        case _:
            return str(value)


def _pairs(values: Mapping[str, object]) -> str:
    """Write what has names of its own, leaving out what is not set."""
    written = {str(name): _written(str(name), value) for name, value in values.items()}
    return ", ".join(f"{name} {text}" for name, text in written.items() if text)


def _without_password(url: str) -> str:
    """Write the URL of a database with its place only: name and password may stand before it."""
    parts = urlsplit(url)
    where = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    return f"{parts.scheme}://{where}{parts.path}"
