"""What the pages stand on beside the ledger: destinations with their buttons, and the models of this host."""

from collections.abc import Sequence

from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import AETitle
from dicomnode.engine.queues import Queues
from dicomnode.imaging.trial_instance import write_trial_instance
from dicomnode.journey.destinations import DestinationBook, Trial
from dicomnode.ledger.transaction import Ledger
from dicomnode.synthesis.registry import Registry
from dicomnode.web.shelf import BrokenModel, InstalledModel


class ModelsOfHost:
    """The registry as the pages ask it (web.shelf.Models)."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def installed(self) -> Sequence[InstalledModel]:
        """List the models that can be used, by name."""
        entries = [self._registry.entry(name) for name in self._registry.names()]
        return [InstalledModel(card=one.card, identity=one.identity, missing=one.missing) for one in entries]

    def broken(self) -> Sequence[BrokenModel]:
        """List the plug-ins that cannot be used."""
        return [BrokenModel(name=one.name, reason=one.reason) for one in self._registry.broken]


def destination_book(
    calling: AETitle, endpoints: Sequence[Endpoint], ledger: Ledger, queues: Queues, clock: Clock
) -> DestinationBook:
    """Open the destinations for a person's buttons; `calling` is how this node calls itself there."""
    trial = Trial(
        make=write_trial_instance,
        destinations=[StorageSCU(place, calling) for place in endpoints],
    )
    return DestinationBook(ledger, queues, clock, VerificationSCU(calling), endpoints, trial)
