"""A node's holdings filled through the ledger's own functions, and the application over them, for tests that look."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import anyio
import httpx
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydicom.dataset import Dataset
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from dicomnode.dicomweb.intake import Intake
from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.account import AccountRole, Visitor, permissions_of
from dicomnode.domain.association import Association
from dicomnode.domain.capacity import Capacity
from dicomnode.domain.derivation import (
    Derivation,
    DerivationInput,
    DerivationReport,
    DerivationState,
    DerivedInstance,
    ModelIdentity,
    derivation_key,
)
from dicomnode.domain.errors import DicomnodeError, NotInLedger
from dicomnode.domain.ports import Clock
from dicomnode.domain.rule import Decision, Explanation, RoleBinding
from dicomnode.domain.study import ReceivedInstance
from dicomnode.domain.tls import Certificates
from dicomnode.domain.uids import (
    AETitle,
    SeriesInstanceUID,
    SOPInstanceUID,
    StudyInstanceUID,
    TransferSyntaxUID,
)
from dicomnode.imaging.headers import read_header
from dicomnode.journey.archive import LedgerArchive
from dicomnode.journey.peers import PeerBook
from dicomnode.journey.quarantine import Quarantine
from dicomnode.journey.rule_book import RuleBook
from dicomnode.ledger.deliveries import queue_delivery
from dicomnode.ledger.derivations import (
    end_derivation,
    finish_derivation,
    held_derivations,
    request_derivation,
    retry_derivation,
    start_derivation,
)
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.revisions import begin_revision, record_decision
from dicomnode.ledger.studies import find_study
from dicomnode.ledger.timeline import write_event
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from dicomnode.web.app import create_app
from dicomnode.web.site import Listener, Site
from tests.builders import a_series, uid

MODEL = ModelIdentity(name="synth-flair", version="1.2.0", weights_digest="ab12" * 16)
HOST = "http://127.0.0.1:8080"
SENDER = Association(calling_ae=AETitle("SCANNER"), called_ae=AETitle("DICOMNODE"), peer_address="127.0.0.1")


class PressedButtons:
    """Notes which buttons were pressed; a derivation that nobody knows is refused as the node would."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.resent: list[tuple[str, str]] = []

    def retry(self, derivation_key: str, by: str = "") -> str:
        with self._ledger.transaction() as tx:
            round_ = retry_derivation(tx, derivation_key)
        return f"An operator asked for it again; round {round_} waits."

    def resend(self, derivation_key: str, destination: str, by: str = "") -> str:
        if not derivation_key.startswith("derive:"):
            raise NotInLedger("no derivation of this key")
        self.resent.append((derivation_key, destination))
        return f"An operator asked to send it to {destination} again."

    def complete_now(self, study_instance_uid: StudyInstanceUID, by: str) -> str:
        with self._ledger.transaction() as tx:
            find_study(tx, study_instance_uid)
        return f"{by} asked to take the study as complete now."

    def release_hold(self, study_instance_uid: StudyInstanceUID, by: str) -> str:
        with self._ledger.transaction() as tx:
            if not held_derivations(tx, study_instance_uid):
                raise NotInLedger("nothing of this study is held")
        return f"Released by {by}."


@dataclass
class Holdings:
    """Ledger and spool with studies in them."""

    ledger: Ledger
    spool: Spool
    clock: Clock
    archive: LedgerArchive = field(init=False)
    buttons: PressedButtons = field(init=False)

    def __post_init__(self) -> None:
        self.archive = LedgerArchive(self.ledger, self.spool)
        self.buttons = PressedButtons(self.ledger)

    def app(
        self,
        capacity: Capacity | None = None,
        intake: Intake | None = None,
        certificates: Certificates | None = None,
        rules: RuleBook | None = None,
        **further: Any,
    ) -> FastAPI:
        return create_app(
            Site(
                ledger=self.ledger,
                archive=self.archive,
                operator=self.buttons,
                peers=PeerBook(self.ledger, self.clock, VerificationSCU(AETitle("DICOMNODE"), 5)),
                clock=self.clock,
                lease=timedelta(seconds=30),
                listener=Listener(ae_title=AETitle("DICOMNODE"), host="127.0.0.1", port=11112),
                version="0.1.0",
                capacity=capacity,
                intake=intake,
                certificates=certificates,
                rules=rules,
                quarantine=Quarantine(self.ledger, self.spool, self.clock, AETitle("DICOMNODE")),
                **further,
            )
        )

    def receive(self, datasets: Sequence[Dataset]) -> Sequence[Dataset]:
        """Store instances as the receive step does."""
        for dataset in datasets:
            kept = self.spool.keep(encode(dataset))
            received = ReceivedInstance(
                header=read_header(self.spool.locate(kept.path)),
                transfer_syntax_uid=TransferSyntaxUID(dataset.file_meta.TransferSyntaxUID),
                digest=kept.digest,
                size=kept.size,
                path=kept.path,
                association=SENDER,
                received_at=self.clock.now(),
            )
            with self.ledger.transaction() as tx:
                record_received(tx, received)
        return datasets

    def complete(self, study: str) -> None:
        """Close the study into its next revision."""
        with self.ledger.transaction() as tx:
            begin_revision(tx, StudyInstanceUID(study), ("nothing received for 10 s",), self.clock.now())
            write_event(
                tx,
                study,
                at=self.clock.now(),
                step="complete",
                state="done",
                text="Complete as revision 1, because nothing received for 10 s.",
            )

    def decide(self, decision: Decision, study: str, key: str | None = None) -> None:
        """Record what a rule said."""
        with self.ledger.transaction() as tx:
            record_decision(tx, (StudyInstanceUID(study), 1), decision, key, self.clock.now())

    def ask(self, target: Sequence[Dataset], *others: Sequence[Dataset], rule: str = "make a FLAIR") -> Derivation:
        """Ask for a derivation from these series; the first one is the target."""
        roles = zip(("t2", "t1", "pd"), (target, *others), strict=False)
        inputs = tuple(
            DerivationInput(
                role=role,
                series_instance_uid=SeriesInstanceUID(series[0].SeriesInstanceUID),
                sop_instance_uids=tuple(sorted(SOPInstanceUID(one.SOPInstanceUID) for one in series)),
            )
            for role, series in roles
        )
        derivation = Derivation(
            key=derivation_key(inputs, rule, MODEL, "t2"),
            study_instance_uid=StudyInstanceUID(target[0].StudyInstanceUID),
            revision=1,
            rule=rule,
            model=MODEL,
            target_role="t2",
            inputs=inputs,
            destinations=("pacs",),
            priority=10,
            decided_at=self.clock.now(),
        )
        with self.ledger.transaction() as tx:
            request_derivation(tx, derivation)
        return derivation

    def derive(self, derivation: Derivation, derived: Sequence[Dataset], destination: str = "pacs") -> None:
        """Record a derived series as the derive step does, and queue its delivery."""
        instances = [self._keep(dataset) for dataset in derived]
        report = DerivationReport(
            durations={"read and check": 1.42, "model": 18.6, "write": 0.8},
            alignment={"t1": {"method": "header", "residual_mm": 0.0}},
            labels={"Modality": "MR", "SeriesNumber": str(derived[0].SeriesNumber), "SyntheticData": "YES"},
            checks={"labels": f"complete on all {len(derived)} instances", "dciodvfy": "0 errors"},
            series_description=derived[0].SeriesDescription,
        )
        with self.ledger.transaction() as tx:
            start_derivation(tx, derivation.key, self.clock.now())
            finish_derivation(tx, derivation, instances, report, self.clock.now())
            write_event(
                tx,
                derivation.study_instance_uid,
                at=self.clock.now(),
                step="derive",
                state="done",
                text=f"{MODEL.name} made “{report.series_description}”.",
                seconds=20.8,
            )
            owner = (derivation.key, derivation.study_instance_uid)
            queue_delivery(tx, owner, destination, instances, self.clock.now())

    def end(self, derivation: Derivation, state: DerivationState, error: DicomnodeError) -> None:
        """Record that there is no image."""
        with self.ledger.transaction() as tx:
            end_derivation(tx, derivation.key, state, error, self.clock.now())

    def _keep(self, dataset: Dataset) -> DerivedInstance:
        kept = self.spool.keep(encode(dataset))
        return DerivedInstance(
            sop_instance_uid=SOPInstanceUID(dataset.SOPInstanceUID),
            series_instance_uid=SeriesInstanceUID(dataset.SeriesInstanceUID),
            sop_class_uid=dataset.SOPClassUID,
            transfer_syntax_uid=dataset.file_meta.TransferSyntaxUID,
            digest=kept.digest,
            size=kept.size,
            path=kept.path,
            instance_number=int(dataset.InstanceNumber),
        )


@contextmanager
def empty_holdings(template: Path, folder: Path, clock: Clock) -> Iterator[Holdings]:
    """Holdings without a study, on a copy of a database that has all tables."""
    shutil.copyfile(template, folder / "node.db")
    ledger = Ledger(f"sqlite:///{folder / 'node.db'}")
    yield Holdings(ledger, Spool(folder / "spool"), clock)
    ledger.close()


def encode(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def a_synthetic_series(study: str, series: str, **attributes: Any) -> list[Dataset]:
    """A series that says of itself that a model made it."""
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = "109100", "DCM", "Synthesizing Equipment"
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [purpose]
    equipment.Manufacturer, equipment.ManufacturerModelName = "Maker of models", MODEL.name
    equipment.SoftwareVersions = MODEL.version
    labelled = {
        "SyntheticData": "YES",
        "ImageType": ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"],
        "SeriesDescription": "SYNTH FLAIR from T1+T2 (AI, RESEARCH)",
        "ContributingEquipmentSequence": [equipment],
        "SeriesNumber": 9001,
    }
    return a_series(study=study, series=series, **{**labelled, **attributes})


def a_decision(rule: str, *, fired: bool, problem: str | None = None, bindings: Sequence[Dataset] = ()) -> Decision:
    return Decision(
        rule=rule,
        rule_set_version="f00d" * 8,
        fired=fired,
        problem=problem,
        explanation=Explanation(
            holds=fired,
            text="all of these",
            children=(
                Explanation(holds=True, text="Modality is MR: found MR"),
                Explanation(holds=fired, text="BodyPartExamined is BRAIN: found BRAIN"),
            ),
        ),
        bindings=tuple(
            RoleBinding(
                role="t2", series_instance_uid=SeriesInstanceUID(one.SeriesInstanceUID), why="the only T2-weighted one"
            )
            for one in bindings
        ),
    )


def a_whole_study(holdings: Holdings, study: str = "study") -> tuple[str, str, str]:
    """One study from its arrival to its delivery: UIDs of the study, its target series and the derived series."""
    t1 = holdings.receive(a_series(study=study, series="t1", SeriesNumber=2, SeriesDescription="t1 se tra"))
    t2 = holdings.receive(a_series(study=study, series="t2", SeriesNumber=3, SeriesDescription="t2 tse tra"))
    holdings.complete(uid(study))
    derivation = holdings.ask(t2, t1)
    holdings.decide(a_decision("make a FLAIR", fired=True, bindings=t2[:1]), uid(study), derivation.key)
    holdings.decide(a_decision("spine", fired=False), uid(study))
    derived = a_synthetic_series(study, "derived", voxels=np.indices((8, 32, 24)).sum(axis=0) * 20)
    holdings.derive(derivation, derived)
    return uid(study), uid(study, "t2"), uid(study, "derived")


class _Disguise:
    """Says that every request comes from one visitor, behind the guard, where a login would have said so."""

    def __init__(self, app: ASGIApp, visitor: Visitor) -> None:
        self._app = app
        self._visitor = visitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, "visitor": self._visitor}, receive, send)


def visited_by(app: FastAPI, *roles: AccountRole, name: str = "somebody") -> FastAPI:
    """The same application for somebody with these roles; nobody may have asked it anything before."""
    assert app.middleware_stack is None
    visitor = Visitor(name=name, permissions=permissions_of(roles))
    app.user_middleware.append(Middleware(_Disguise, visitor=visitor))
    return app


class Browser:
    """Asks an application in this process, as a browser on this machine would."""

    def __init__(self, app: ASGIApp, base_url: str = HOST) -> None:
        self._app = app
        self._base_url = base_url
        self.cookies = httpx.Cookies()

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx.Response:
        return self.request("PUT", path, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        return self.request("DELETE", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return anyio.run(partial(self._request, method, path, **options))

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=self._base_url, cookies=self.cookies) as client:
            response = await client.request(method, path, **options)
            self.cookies = client.cookies
            return response


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an application on a free loopback port, and give its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
