"""The first page's lines: each link says whether it works, what waits and since when."""

from datetime import timedelta

import pytest

from dicomnode.domain.commitment import CommitmentRequest, InstanceReference, TransactionUID
from dicomnode.domain.derivation import DerivationState
from dicomnode.domain.errors import ModelFailed
from dicomnode.domain.uids import SOPInstanceUID
from dicomnode.engine.leases import end_lease, renew_lease
from dicomnode.ledger.commitments import end_commitment, record_commitment
from dicomnode.ledger.deliveries import queue_delivery, record_outcomes
from dicomnode.ledger.derivations import end_derivation, finish_derivation, request_derivation, start_derivation
from dicomnode.ledger.destinations import Pause, pause_destination
from dicomnode.ledger.links import LinkState, link_states
from dicomnode.ledger.reception import record_quarantined, record_received
from dicomnode.ledger.refusals import record_refusals
from dicomnode.ledger.revisions import begin_revision
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import (
    MR_IMAGE_STORAGE,
    NOW,
    REPORT,
    SENDER,
    STUDY,
    a_derivation,
    a_refusal,
    derived,
    later,
    outcomes,
    received,
)

LEASE = timedelta(seconds=30)


def _links(ledger: Ledger, at: float = 100) -> dict[str, LinkState]:
    with ledger.transaction() as tx:
        return {link.name: link for link in link_states(tx, later(at), LEASE)}


def test_a_fresh_node_listens_and_has_nothing_to_do(ledger: Ledger) -> None:
    links = _links(ledger)
    assert {name: link.state for name, link in links.items()} == {
        "receive": "listening",
        "complete": "ok",
        "derive": "ok",
        "workers": "down",
    }
    assert all(link.waiting == 0 and link.oldest_waiting_at is None for link in links.values())


def test_receiving_shows_the_last_instance_and_what_was_turned_away(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1, at=later(5)))
        record_refusals(tx, [a_refusal(times=3)])
        record_quarantined(tx, SENDER, SOPInstanceUID("1.2"), ("quarantine/x", 1), "broken", NOW)
    link = _links(ledger)["receive"]
    said = "3 refused (last: SCANNER from 10.1.2.3, called AE title), 1 in quarantine"
    assert (link.state, link.last_success_at, link.note) == ("ok", later(5), said)


def test_a_study_that_still_receives_waits_to_be_complete(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        record_received(tx, received(1, at=later(5)))
    link = _links(ledger)["complete"]
    assert (link.state, link.waiting, link.oldest_waiting_at) == ("waiting", 1, later(5))

    with ledger.transaction() as tx:
        begin_revision(tx, STUDY, ("quiet",), later(40))
    assert _links(ledger)["complete"].state == "ok"


@pytest.mark.parametrize(
    ("begun", "state"), [((), "ok"), (("waiting",), "waiting"), (("waiting", "running"), "running")]
)
def test_deriving_shows_what_waits_and_runs(ledger: Ledger, begun: tuple[str, ...], state: str) -> None:
    with ledger.transaction() as tx:
        for name in begun:
            request_derivation(tx, a_derivation(name, rule=name))
            if name == "running":
                start_derivation(tx, name, later(1))
    link = _links(ledger)["derive"]
    assert (link.state, link.waiting) == (state, len(begun))
    assert link.oldest_waiting_at == (NOW if begun else None)


def test_a_failed_derivation_is_what_the_operator_sees_first(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        request_derivation(tx, a_derivation("made", rule="made"))
        finish_derivation(tx, a_derivation("made", rule="made"), derived(), REPORT, later(7))
        request_derivation(tx, a_derivation("broken", rule="broken"))
        end_derivation(tx, "broken", DerivationState.FAILED, ModelFailed("out of memory"), later(8))
        request_derivation(tx, a_derivation("waiting", rule="waiting"))
    link = _links(ledger)["derive"]
    assert (link.state, link.waiting, link.last_success_at) == ("failed", 1, later(7))
    assert link.note == "1 failed, 0 refused"


def test_each_destination_has_a_line_of_its_own(ledger: Ledger) -> None:
    instances, key = derived(2), a_derivation().key
    with ledger.transaction() as tx:
        for destination in ("pacs", "archive", "broken"):
            queue_delivery(tx, (key, STUDY), destination, instances, NOW)
        record_outcomes(tx, key, "pacs", outcomes(instances), later(9))
        record_outcomes(tx, key, "broken", outcomes(instances, status=0x0122, stored=False), later(9))
    links = _links(ledger)
    assert [name for name in links if name.startswith("deliver")] == [
        "deliver to archive",
        "deliver to broken",
        "deliver to pacs",
    ]
    archive, broken, pacs = (links[f"deliver to {name}"] for name in ("archive", "broken", "pacs"))
    assert (archive.state, archive.waiting, archive.oldest_waiting_at) == ("waiting", 2, NOW)
    assert (pacs.state, pacs.waiting, pacs.last_success_at) == ("ok", 0, later(9))
    assert (broken.state, broken.note) == ("failed", "2 instances refused")


def test_a_worker_is_alive_as_long_as_its_lease_runs(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        renew_lease(tx, "one", later(80))
        renew_lease(tx, "two", later(75))
        renew_lease(tx, "dead", later(60))
    link = _links(ledger, at=100)["workers"]
    assert (link.state, link.note, link.last_success_at) == ("ok", "2 alive", later(80))

    with ledger.transaction() as tx:
        end_lease(tx, "one")
        end_lease(tx, "two")
    assert _links(ledger, at=100)["workers"].state == "down"


def test_reports_of_commitment_that_are_owed_have_a_line(ledger: Ledger) -> None:
    assert "commit" not in _links(ledger), "nobody ever asked for one"
    request = CommitmentRequest(
        transaction_uid=TransactionUID("1.2.9"),
        association=SENDER,
        references=(InstanceReference(sop_class_uid=MR_IMAGE_STORAGE, sop_instance_uid=SOPInstanceUID("1.2.3")),),
    )
    with ledger.transaction() as tx:
        record_commitment(tx, request, later(5))
    link = _links(ledger)["commit"]
    assert (link.state, link.waiting, link.oldest_waiting_at, link.last_success_at) == ("waiting", 1, later(5), None)
    with ledger.transaction() as tx:
        end_commitment(tx, request.transaction_uid, (), later(9))
    link = _links(ledger)["commit"]
    assert (link.state, link.waiting, link.last_success_at) == ("ok", 0, later(9))


def test_a_paused_destination_has_a_line_that_says_who_and_why(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        pause_destination(tx, "pacs", Pause(at=NOW, by="olga", reason="it is moved"))
        links = {link.name: link for link in link_states(tx, NOW, LEASE, ("pacs", "archive"))}
    assert links["deliver to archive"].state == "ok"
    assert links["deliver to pacs"].state == "paused"
    assert links["deliver to pacs"].note.endswith("paused by olga: it is moved")
