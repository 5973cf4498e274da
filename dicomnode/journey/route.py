"""Route: series that a rule chose go to destinations as they were received, over the same queues as derived ones."""

from collections.abc import Sequence
from datetime import datetime

from dicomnode.domain.delivery import Consignment
from dicomnode.domain.rule import RouteAction
from dicomnode.domain.study import StoredInstance
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.engine.queues import Queues
from dicomnode.journey.jobs import deliver_job
from dicomnode.ledger.deliveries import ROUTE_PREFIX, queue_delivery, routed_before
from dicomnode.ledger.transaction import Transaction


def route_key(revision: tuple[StudyInstanceUID, int], rule: str) -> str:
    """Name what a rule routes of one revision of a study, as a derivation is named by its key."""
    return f"{ROUTE_PREFIX}{revision[0]}:{revision[1]}:{rule}"


def put_down_route(
    tx: Transaction,
    queues: Queues,
    work: tuple[str, RouteAction],
    instances: Sequence[StoredInstance],
    now: datetime,
) -> dict[str, int]:
    """Queue the instances of the chosen series; gives how many go to each destination.

    `work` is the key of the routing and what is asked for. What an earlier revision of the study sent to a destination
    by the same rule, or is about to send, does not go there again.
    """
    key, action = work
    study, _, rule = key.removeprefix(ROUTE_PREFIX).split(":")
    chosen = [one for one in instances if one.series_instance_uid in action.series]
    consignment = Consignment(key=key, study_instance_uid=StudyInstanceUID(study), priority=action.priority)
    sent: dict[str, int] = {}
    for destination in action.destinations:
        known = routed_before(tx, f"{ROUTE_PREFIX}{study}:%:{rule}", destination)
        new = [one for one in chosen if one.sop_instance_uid not in known]
        queue_delivery(tx, (key, study), destination, new, now)
        if new:
            queues.enqueue(tx, deliver_job(consignment, destination))
        sent[destination] = len(new)
    return sent
