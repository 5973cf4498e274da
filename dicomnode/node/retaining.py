"""Retention as the settings want it, for the running node and for the command line beside it."""

from datetime import timedelta

from dicomnode.domain.capacity import Capacity
from dicomnode.domain.ports import Clock
from dicomnode.journey.retain import Retention, RetentionPolicy
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.settings import Settings
from dicomnode.spool.store import Spool


def retention(settings: Settings, ledger: Ledger, spool: Spool, clock: Clock, capacity: Capacity) -> Retention:
    """Build it with what the settings allow to be removed."""
    return Retention(ledger, spool, clock, capacity, retention_policy(settings))


def retention_policy(settings: Settings) -> RetentionPolicy:
    """Say what may be removed, and which destinations are asked whether they list what they stored."""
    return RetentionPolicy(
        keep=None if settings.keep_days is None else timedelta(days=settings.keep_days),
        make_room=settings.make_room,
        asked=frozenset(place.name for place in settings.destinations if place.dicomweb_url is not None),
    )
