"""How a node's settings make studies complete: its sweep, and whom it asks how much an archive has."""

from collections.abc import Iterable

from dicomnode.dicomweb.client import DicomwebClient
from dicomnode.dimse.study_count import StudyCountSCU
from dicomnode.domain.completion import InstanceCounter
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import AETitle
from dicomnode.engine.queues import Queues
from dicomnode.journey.ask_archive import ArchiveAsking
from dicomnode.journey.complete import Completion
from dicomnode.journey.index import HeaderIndex
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.settings import Settings
from dicomnode.spool.store import Spool

_ARCHIVE_SECONDS = 3.0


def completion(settings: Settings, ledger: Ledger, queues: Queues, spool: Spool, clock: Clock) -> Completion:
    """Judge the studies of a node by the policies of its settings."""
    return Completion(ledger, queues, clock, settings.completion_policies, HeaderIndex(ledger, spool))


def archive_asking(
    settings: Settings, ledger: Ledger, clock: Clock, destinations: Iterable[Endpoint]
) -> ArchiveAsking | None:
    """Ask the destinations that the policies name as archives; None where they name none."""
    policies = settings.completion_policies
    asked = {policy.archive for policy in (policies.default, *policies.by_ae.values())}
    calling = AETitle(settings.ae_title)
    counters = {place.name: _counter(place, calling) for place in destinations if place.name in asked}
    return ArchiveAsking(ledger, clock, policies, counters) if counters else None


def _counter(archive: Endpoint, calling: AETitle) -> InstanceCounter:
    """Ask an archive by QIDO-RS, which has to tell the number, or else by C-FIND, which may."""
    if archive.dicomweb_url is None:
        return StudyCountSCU(archive, calling, _ARCHIVE_SECONDS)
    return DicomwebClient(archive, _ARCHIVE_SECONDS)
