"""What the pages stand on; `node` hands it in."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from dicomnode.dicomweb.intake import Intake
from dicomnode.domain.archive import Archive
from dicomnode.domain.capacity import Capacity
from dicomnode.domain.ports import Clock
from dicomnode.domain.tls import Certificates
from dicomnode.domain.uids import AETitle, StudyInstanceUID
from dicomnode.journey.accounts import Accounts
from dicomnode.journey.audit import AuditTrail
from dicomnode.journey.destinations import DestinationBook
from dicomnode.journey.peers import PeerBook
from dicomnode.journey.quarantine import Quarantine
from dicomnode.journey.rule_book import RuleBook
from dicomnode.ledger.transaction import Ledger
from dicomnode.web.changes import Changes
from dicomnode.web.provider import IdentityProvider
from dicomnode.web.shelf import Models, SettingGroup


class Operator(Protocol):
    """What a person can ask for by a button; each answers with a sentence to show and raises a DicomnodeError."""

    def retry(self, derivation_key: str, by: str = "") -> str:
        """Try a failed or refused derivation once more."""
        ...

    def resend(self, derivation_key: str, destination: str, by: str = "") -> str:
        """Send a derived series to a destination once more."""
        ...

    def complete_now(self, study_instance_uid: StudyInstanceUID, by: str) -> str:
        """Take a study as complete now, whatever is still missing."""
        ...

    def release_hold(self, study_instance_uid: StudyInstanceUID, by: str) -> str:
        """Let the syntheses of a study begin that a rule holds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where studies are to be sent, for the pages that say how."""

    ae_title: AETitle
    host: str
    port: int
    is_under_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The node behind the pages; a worker silent for longer than `lease` is taken to be dead."""

    ledger: Ledger
    archive: Archive
    operator: Operator
    peers: PeerBook
    clock: Clock
    lease: timedelta
    listener: Listener
    version: str
    capacity: Capacity | None = None
    """Tells how much room the spool's disk has left; left out: the first page has no line about it."""
    certificates: Certificates | None = None
    """Tells how long the node's certificates are valid, a line for each on the first page."""
    intake: Intake | None = None
    """Takes instances over DICOMweb, where this process receives."""
    rules: RuleBook | None = None
    """The rules, their draft and their versions."""
    destinations: DestinationBook | None = None
    """Where derived series go."""
    quarantine: Quarantine | None = None
    """What was refused but kept."""
    models: Models | None = None
    """The models that are installed on this host."""
    settings: tuple[SettingGroup, ...] = ()
    """The settings in force, in words."""
    changes: Changes | None = None
    """Tells open pages that something changed; left out: they ask again and again."""
    accounts: Accounts | None = None
    """Who may log in; left out: there is no login, and everybody on this machine may everything."""
    provider: IdentityProvider | None = None
    """Where people may log in besides."""
    audit: AuditTrail | None = None
    """Keeps who saw and changed what."""
    hosts: tuple[str, ...] = ()
    """Further names that the node answers under."""
