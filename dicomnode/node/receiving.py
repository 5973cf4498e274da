"""The role `receive` in one process: the door, the listeners and the reception they hand instances to."""

from collections.abc import Callable, Sequence

from dicomnode.dimse.commitment import StorageCommitmentSCP
from dicomnode.dimse.mpps import PerformedStepSCP
from dicomnode.dimse.services import Service
from dicomnode.dimse.storage_scp import Listening, StorageSCP
from dicomnode.domain.capacity import Watermark
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import AETitle
from dicomnode.engine.places import Places
from dicomnode.engine.queues import Queues
from dicomnode.engine.ticker import Ticker
from dicomnode.journey.commit import CommitmentIntake
from dicomnode.journey.door import Doorkeeping, DoorPolicy
from dicomnode.journey.perform import Performing
from dicomnode.journey.receive import Receiving
from dicomnode.journey.sendings import Sendings
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.certificates import listener_credentials
from dicomnode.node.settings import ListenerSettings, Settings
from dicomnode.spool.space import SpoolSpace
from dicomnode.spool.store import Spool

_FLUSH_SECONDS = 1.0
_SENDINGS_SECONDS = 0.5
_GIB = 2**30


class Receiver:
    """One of the processes that listen at a node's addresses; it has a ledger and a spool of its own."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._stoppers: list[Callable[[], object]] = []

    def start(self, addresses: Sequence[ListenerSettings]) -> None:
        """Listen at addresses that other receivers may share; raises InvalidSettings."""
        ledger = Ledger(self._settings.database_url)
        self._stoppers.append(ledger.close)
        queues = Queues(ledger)
        self._stoppers.append(queues.close)
        door = doorkeeping(self._settings, ledger, self._clock)
        self._stoppers.append(door.close)
        flushing = Ticker("door", _FLUSH_SECONDS, door.flush)
        flushing.start()
        self._stoppers.append(flushing.stop)
        services = self._services(ledger, queues)
        sendings = self._sendings(ledger)
        receiving = reception(self._settings, ledger, Spool(self._settings.spool), self._clock)
        receiving.sendings = sendings
        for address in addresses:
            listener = StorageSCP(self._listening(address, door), receiving, services, sendings)
            listener.start()
            self._stoppers.append(listener.stop)

    def stop(self) -> None:
        """Abort what is open and stop to listen."""
        while self._stoppers:
            self._stoppers.pop()()

    def _sendings(self, ledger: Ledger) -> Sendings:
        """Follow who brings which study, until this process stops."""
        sendings, stopper = following(ledger, self._clock)
        self._stoppers.append(stopper)
        return sendings

    def _services(self, ledger: Ledger, queues: Queues) -> Sequence[Service]:
        """Build what a listener offers beside storage and verification."""
        return (
            StorageCommitmentSCP(CommitmentIntake(ledger, queues, self._clock)),
            PerformedStepSCP(Performing(ledger, self._clock)),
        )

    def _listening(self, address: ListenerSettings, door: Doorkeeping) -> Listening:
        return Listening(
            host=address.host,
            port=address.port,
            ae_title=AETitle(self._settings.ae_title),
            doorkeeper=door,
            reuse_port=True,
            credentials=listener_credentials(address, self._clock),
        )


def following(ledger: Ledger, clock: Clock) -> tuple[Sendings, Callable[[], None]]:
    """Follow the associations of this process, and bring what is noted into the ledger; gives what ends that too."""
    sendings = Sendings(ledger, clock)
    flushing = Ticker("sendings", _SENDINGS_SECONDS, sendings.flush)
    flushing.start()

    def stop() -> None:
        flushing.stop()
        sendings.close()

    return sendings, stop


def reception(settings: Settings, ledger: Ledger, spool: Spool, clock: Clock) -> Receiving:
    """Take instances from whichever listener, as long as there is room."""
    largest = int(settings.maximum_instance_gib * _GIB)
    return Receiving(ledger, spool, clock, spool_space(settings), largest)


def doorkeeping(settings: Settings, ledger: Ledger, clock: Clock) -> Doorkeeping:
    """Keep the door of this process; the places are counted over all receivers of the data folder."""
    policy = DoorPolicy(
        called_ae=(AETitle(settings.ae_title),),
        unknown_peers=settings.strangers,
        maximum_associations=settings.maximum_associations,
    )
    return Doorkeeping(ledger, clock, policy, Places(settings.data / "places"), spool_space(settings))


def spool_space(settings: Settings) -> SpoolSpace:
    """Watch the disk of the spool from the marks in the settings."""
    return SpoolSpace(
        settings.spool,
        warn=Watermark(percent=settings.warn_free_percent, size=settings.warn_free_gib * _GIB),
        refuse=Watermark(percent=settings.refuse_free_percent, size=settings.refuse_free_gib * _GIB),
    )
