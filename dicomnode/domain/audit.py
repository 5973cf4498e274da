"""What the audit trail remembers: who did or saw what, when, from where, and whether it was done (PS3.15 A.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any


class AuditAction(StrEnum):
    """What happened, in the word that the audit page shows and filters by."""

    START = "start"
    STOP = "stop"
    LOGIN = "login"
    LOGOUT = "logout"
    SEE = "see"
    """A page of a study, or of its images."""
    RETRIEVE = "retrieve"
    """Headers or images of a study over DICOMweb."""
    SEARCH = "search"
    """A list of studies, by a page or over DICOMweb; what was searched for is not kept, for it may name a patient."""
    RECEIVE = "receive"
    STORE = "store"
    """STOW-RS."""
    CHANGE = "change"
    """A button or a request that changes something of the node; `kind` is the permission that it took."""
    ACCOUNT = "account"
    """Accounts, their roles and passwords, and tokens; `kind` says which."""
    SETTINGS = "settings"
    """The node started with other settings than before."""
    REFUSED = "refused"
    """Somebody asked for what the account does not allow."""
    READ_AUDIT = "read audit"


class AuditOutcome(IntEnum):
    """How it ended (EventOutcomeIndicator, PS3.15 A.5.1)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    """Nothing happened, and nothing is wrong with the node."""
    SERIOUS_FAILURE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """One line of the audit trail; it holds identifiers, and nothing else of a patient."""

    at: datetime
    who: str
    action: AuditAction
    kind: str = ""
    study_instance_uid: str = ""
    object: str = ""
    """What else it was done to: a derivation's key, a peer's title, an account's name."""
    outcome: AuditOutcome = AuditOutcome.SUCCESS
    address: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


class SyslogTransport(StrEnum):
    """How syslog messages travel."""

    UDP = "udp"
    """RFC 5426: nothing tells whether a message arrived."""
    TCP = "tcp"
    """RFC 6587 with octet counting."""
    TLS = "tls"
    """RFC 5425."""
