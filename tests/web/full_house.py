"""Holdings with something of everything that the pages can show, for tests that look at all pages."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.delivery import Endpoint, StoreOutcome
from dicomnode.domain.derivation import DerivationState, ModelIdentity
from dicomnode.domain.door import Cause, Visitor
from dicomnode.domain.errors import ContractViolation, ModelFailed
from dicomnode.domain.model_card import Evaluation, Figure, InputRole, ModelCard, OutputDeclaration
from dicomnode.domain.peer import EchoOutcome, Peer
from dicomnode.domain.uids import AETitle, SOPInstanceUID
from dicomnode.engine.leases import renew_lease
from dicomnode.engine.queues import Queues
from dicomnode.journey.destinations import DestinationBook
from dicomnode.journey.rule_book import RuleBook
from dicomnode.journey.rule_document import RuleScope
from dicomnode.ledger.deliveries import record_outcomes
from dicomnode.ledger.peers import add_peer, note_echo, note_heard
from dicomnode.ledger.quarantine import Stray, record_strays
from dicomnode.ledger.refusals import RefusalRecord, record_refusals
from dicomnode.node.settings import Settings
from dicomnode.node.settings_in_words import settings_in_words
from dicomnode.web.changes import Changes
from dicomnode.web.shelf import BrokenModel, InstalledModel
from tests.builders import a_series, uid
from tests.conftest import FakeClock
from tests.web.holdings import MODEL, Holdings, a_decision, a_synthetic_series, a_whole_study

CARD = ModelCard(
    name=MODEL.name,
    version=MODEL.version,
    vendor="Maker of models",
    summary="Makes a FLAIR of a T1 and a T2 of the same head.",
    intended_use="Research on adult brains at 1.5 and 3 T.",
    out_of_scope="Children, implants, and anything outside the head.",
    licence="Apache-2.0",
    training_data="400 studies of one site.",
    inputs={
        "t2": InputRole(weighting=("T2",), max_slice_spacing_mm=6, min_slices=8, body_parts=("BRAIN", "HEAD")),
        "t1": InputRole(weighting=("T1",), contrast_agent="never"),
    },
    target_role="t2",
    output=OutputDeclaration(label="FLAIR", weighting="FLAIR"),
    evaluation=Evaluation(
        metric_version="1",
        data="40 held-out studies of the same site",
        protocol="Each study once, against the FLAIR that was acquired.",
        figures=(Figure(metric="SSIM", region="brain", subject="mean of 40", value=0.91, baselines={"copy T2": 0.62}),),
        limits="One site and one scanner: nothing is known of others.",
    ),
)


class Shelf:
    """Two models, one of which cannot be used (web.shelf.Models)."""

    def installed(self) -> Sequence[InstalledModel]:
        return [
            InstalledModel(card=CARD, identity=MODEL),
            InstalledModel(
                card=CARD.model_copy(update={"name": "needs-much", "evaluation": None}),
                identity=ModelIdentity(name="needs-much", version="1.2.0", weights_digest="cd34" * 16),
                missing=("a GPU with 40 GiB",),
            ),
        ]

    def broken(self) -> Sequence[BrokenModel]:
        return [BrokenModel(name="half-written", reason="ImportError: no module named monai")]


def fill(holdings: Holdings, clock: FakeClock) -> dict[str, str]:
    """Put something of everything in; gives the paths of all pages by a name for each."""
    study, _target, _derived = a_whole_study(holdings)
    with holdings.ledger.transaction() as tx:
        renew_lease(tx, "worker", clock.now() + timedelta(hours=1))
    _fail_and_refuse(holdings, clock)
    clock.advance(60)
    holdings.receive(a_series(study="late", slices=2, AccessionNumber="ACC-LATE"))
    _know_peers(holdings, clock)
    with holdings.ledger.transaction() as tx:
        stray = Stray(path="quarantine/ab/abcd", size=2048, calling_ae="OLDMR", sop_instance_uid="1.2.3.4")
        record_strays(tx, [stray], "the data set is another instance than was announced", clock.now())
    return {
        "now": "/",
        "studies": "/studies",
        "nothing-found": "/studies?search=nobody",
        "study": f"/studies/{study}",
        "study-receiving": f"/studies/{uid('late')}",
        "study-failed": f"/studies/{uid('failed')}",
        "compare": f"/studies/{study}/compare",
        "quarantine": "/quarantine",
        "models": "/models",
        "model": f"/models/{MODEL.name}",
        "peers": "/peers",
        "peer": "/peers/MR1",
        "new-peer": "/new-peer?ae_title=CT7&networks=10.1.2.9",
        "refusals": "/refusals",
        "destinations": "/destinations",
        "settings": "/settings",
        "rules": "/rules",
        "rules-test": "/rules/test",
        "rules-whatif": "/rules/whatif",
        "rules-versions": "/rules/versions",
        "rules-draft": "/rules/draft",
        "rules-new": "/rules/new",
        "error": "/studies/1.2.3",
    }


RULES = {
    "rules": [
        {
            "name": "make-a-flair",
            "description": "A synthetic FLAIR of a T1 and a T2.",
            "when": {"rules": [{"field": "PatientName", "operator": "contains", "value": "Tilda"}]},
            "then": {
                "model": MODEL.name,
                "inputs": {
                    "t1": {"rules": [{"field": "Weighting", "value": "T1"}]},
                    "t2": {"rules": [{"field": "Weighting", "value": "T2"}]},
                },
                "target": "t2",
                "destinations": ["pacs"],
            },
        }
    ]
}


def rules_of(holdings: Holdings) -> RuleBook:
    """A rule book with one rule in force."""
    scope = RuleScope(models={MODEL.name: CARD.inputs}, destinations=("pacs", "archive"))
    book = RuleBook(holdings.ledger, holdings.spool, holdings.clock, scope)
    book.import_first(RULES, "the first start")
    return book


def site_of(holdings: Holdings, clock: FakeClock, queues: Queues) -> dict[str, Any]:
    """What a Site has besides, for `Holdings.app`."""
    endpoints = [
        Endpoint(name="pacs", ae_title=AETitle("ORTHANC"), host="127.0.0.1", port=4242, dicomweb_url="http://pacs/dw"),
        Endpoint(name="archive", ae_title=AETitle("ARCHIVE"), host="archive.example", port=104),
    ]
    verification = VerificationSCU(AETitle("DICOMNODE"), 5)
    return {
        "rules": rules_of(holdings),
        "models": Shelf(),
        "settings": settings_in_words(Settings()),
        "changes": Changes(holdings.ledger),
        "destinations": DestinationBook(holdings.ledger, queues, clock, verification, endpoints),
    }


def _fail_and_refuse(holdings: Holdings, clock: FakeClock) -> None:
    failed = holdings.receive(a_series(study="failed", series="f", slices=3, AccessionNumber="ACC-2"))
    holdings.complete(uid("failed"))
    holdings.end(holdings.ask(failed), DerivationState.FAILED, ModelFailed("the model ran out of memory"))
    refused = holdings.receive(a_series(study="refused", series="r", slices=3, AccessionNumber="ACC-3"))
    holdings.complete(uid("refused"))
    holdings.decide(a_decision("make a FLAIR", fired=True, problem="two series can be t2"), uid("refused"))
    holdings.end(holdings.ask(refused), DerivationState.REFUSED, ContractViolation("the input t2 has 3 slices"))
    half = holdings.receive(a_series(study="half", series="h", slices=3, AccessionNumber="ACC-4"))
    holdings.complete(uid("half"))
    derivation = holdings.ask(half)
    holdings.derive(derivation, a_synthetic_series("half", "half derived", voxels=np.ones((3, 8, 8)) * 9))
    outcome = StoreOutcome(
        sop_instance_uid=SOPInstanceUID(uid("half", "half derived", "0")),
        status=0xA900,
        stored=False,
        retryable=False,
        comment="no such class here",
    )
    with holdings.ledger.transaction() as tx:
        record_outcomes(tx, derivation.key, "pacs", [outcome], clock.now())


def _know_peers(holdings: Holdings, clock: FakeClock) -> None:
    now = clock.now()
    with holdings.ledger.transaction() as tx:
        add_peer(tx, Peer(ae_title=AETitle("MR1"), host="10.1.0.7", port=104, description="3T, room 2"), now)
        add_peer(tx, Peer(ae_title=AETitle("CT2"), maximum_associations=2), now)
        note_echo(tx, AETitle("MR1"), EchoOutcome(at=now, milliseconds=12.3, failure="MR1 does not answer"))
        note_heard(tx, AETitle("CT2"), "10.1.0.8", now)
        visitor = Visitor(peer_address="10.1.2.9", calling_ae="CT7", called_ae="DICOMNODE")
        said = "calling AE title CT7 is no peer of this node"
        refusal = RefusalRecord(visitor=visitor, cause=Cause.CALLING_AE, said=said, times=7, first_at=now, last_at=now)
        record_refusals(tx, [refusal])
