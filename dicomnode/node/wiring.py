"""Putting one process of a node together: which rooms it needs for its roles, and in which order they start."""

import fcntl
import logging
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from importlib.metadata import version
from typing import IO

from dicomnode.dicomweb.client import DicomwebClient
from dicomnode.dicomweb.intake import Intake
from dicomnode.dimse.commitment import CommitmentReportSender
from dicomnode.dimse.presentation import accepted_contexts, storage_sop_classes
from dicomnode.dimse.storage_scu import StorageSCU
from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.audit import AuditAction
from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import InvalidSettings
from dicomnode.domain.ports import Clock
from dicomnode.domain.uids import AETitle
from dicomnode.engine.children import Children
from dicomnode.engine.leases import Reaper, declare_all_dead, end_lease, renew_lease
from dicomnode.engine.queues import Queues
from dicomnode.engine.ticker import Ticker
from dicomnode.engine.worker import QueueLimit, Step, Worker, migrate_engine
from dicomnode.imaging.assembly import assemble_file
from dicomnode.journey.archive import LedgerArchive
from dicomnode.journey.audit import AuditTrail
from dicomnode.journey.commit import Committing, Reporting
from dicomnode.journey.decide import Deciding
from dicomnode.journey.deliver import Delivering, Outlet
from dicomnode.journey.derive import Deriving, SynthesisPlace
from dicomnode.journey.index import Indexing
from dicomnode.journey.jobs import (
    COMMIT,
    COMMIT_QUEUE,
    DECIDE,
    DELIVER,
    DERIVE,
    GPU_QUEUE,
    ORCHESTRATE_QUEUE,
    deliver_queue,
)
from dicomnode.journey.operator import Operator
from dicomnode.journey.peers import PeerBook
from dicomnode.journey.quarantine import Quarantine
from dicomnode.journey.reconcile import Reconciling
from dicomnode.journey.redecide import Redeciding
from dicomnode.journey.retain import STEP_SECONDS
from dicomnode.journey.rule_book import RuleBook
from dicomnode.ledger.schema import migrate
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.certificates import certificate_files, log_certificates
from dicomnode.node.completing import archive_asking, completion
from dicomnode.node.page_parts import ModelsOfHost, destination_book
from dicomnode.node.receivers import Receivers, no_receiver, prepare_receivers
from dicomnode.node.receiving import following, reception, spool_space
from dicomnode.node.retaining import retention
from dicomnode.node.rules_in_force import bring_first_rules, rule_book
from dicomnode.node.settings import DestinationSettings, Role, Settings
from dicomnode.node.settings_in_words import settings_in_words
from dicomnode.node.web_access import (
    audit_dispatch,
    identity_provider,
    open_accounts,
    settings_digest,
    setup_link,
    web_address,
    who_runs,
)
from dicomnode.node.web_server import WebServer
from dicomnode.spool.inventory import remove_abandoned
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import Registry
from dicomnode.web.app import create_app
from dicomnode.web.changes import Changes
from dicomnode.web.site import Listener, Site

_logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 1.0
_COMPLETION_SECONDS = 0.25
_GIB = 2**30
_HISTORY_SECONDS = 3600.0
_INCOMING_SECONDS = 60.0
_WORKING_ROLES = frozenset({Role.WORK, Role.GPU})


class Node:
    """One process of a node, built for its roles; `start` and `stop` are called once each."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.roles = frozenset(settings.roles)
        self._clock = clock
        self._stoppers: list[Callable[[], object]] = []
        self.setup_link: str | None = None
        """Where the first administrator makes an account; none where there is one, or no login."""
        self._receivers: Receivers | None = None
        self._book: RuleBook | None = None
        self._executor_id = f"{socket.gethostname()}:{'+'.join(sorted(self.roles))}:{uuid.uuid4().hex[:12]}"
        self._lease = timedelta(seconds=settings.lease_seconds)

    def start(self) -> None:
        """Bring up what the roles need, each room after those it stands on; raises InvalidSettings."""
        if Role.RECEIVE in self.roles:
            prepare_receivers()
        self.settings.data.mkdir(parents=True, exist_ok=True)
        log_certificates(self.settings, self._clock)
        alone = self._lock_data_folder()
        ledger = Ledger(self.settings.database_url)
        self._stoppers.append(ledger.close)
        migrate(ledger)
        self._follow_process(ledger)
        spool = Spool(self.settings.spool)
        if alone:
            # The locks prove that nobody writes: what has no row now will never get one.
            with no_receiver(self.settings.data):
                spool.clear_incoming()
                Reconciling(ledger, spool, self._clock).reconcile(settled=timedelta(0))
        if not self.roles & _WORKING_ROLES:
            migrate_engine(ledger)
        queues = Queues(ledger)
        self._stoppers.append(queues.close)
        if self.roles & _WORKING_ROLES:
            self._start_working(ledger, spool, queues, alone=alone)
        if Role.RECEIVE in self.roles:
            self._start_receiving()
        if Role.WEB in self.roles:
            self._start_web(ledger, spool, queues)

    def stop(self) -> None:
        """Stop listening and give the lease back; the process must end after this.

        Work in flight is abandoned as by a crash and taken up again at the next start: there is one way to recover,
        and it is used at every stop.
        """
        # First, whatever else may take its time: a signal to the whole process group ends them, and none is to return.
        if self._receivers is not None:
            self._receivers.stop()
        while self._stoppers:
            self._stoppers.pop()()

    def _lock_data_folder(self) -> bool:
        """Take the data folder for this process alone, where the database is embedded.

        The kernel gives the lock back when its holder dies, so having it proves that the predecessor is dead.
        """
        if self.settings.database is not None:
            return False
        lock: IO[str] = (self.settings.data / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise InvalidSettings(
                f"another node is running on the data folder {self.settings.data}; "
                "several processes need a PostgreSQL database"
            ) from error
        self._stoppers.append(lock.close)
        return True

    def _start_working(self, ledger: Ledger, spool: Spool, queues: Queues, *, alone: bool) -> None:
        """Start the worker of this process, and the tickers that keep the whole node's work going."""
        with ledger.transaction() as tx:
            renew_lease(tx, self._executor_id, self._clock.now())
            if alone:
                declare_all_dead(tx, survivor=self._executor_id)
        worker = Worker(ledger, self._executor_id, self._steps(ledger, spool, queues), self._queue_limits())
        worker.start()
        self._stoppers.append(lambda: _end_lease(ledger, self._executor_id))
        completing = completion(self.settings, ledger, queues, spool, self._clock)
        operator = Operator(ledger, queues, self._clock)
        reaper = Reaper(ledger, self._lease, operator.park)
        self._tick("lease", self.settings.lease_seconds / 4, lambda: _renew(ledger, self._executor_id, self._clock))
        self._tick("reaper", self.settings.lease_seconds / 4, lambda: _reap(reaper, self._clock))
        if Role.WORK in self.roles:
            history = timedelta(days=self.settings.history_days)
            self._tick("complete", _COMPLETION_SECONDS, completing.sweep)
            self._tick("sendings", _HISTORY_SECONDS, completing.forget)
            asking = archive_asking(self.settings, ledger, self._clock, map(endpoint, self.settings.destinations))
            if asking is not None:
                self._tick("archive", _SWEEP_SECONDS, asking.ask)
            self._tick("redecide", _SWEEP_SECONDS, Redeciding(ledger, queues, self._clock).sweep)
            self._tick("index", _SWEEP_SECONDS, Indexing(ledger, spool, self._clock).sweep)
            self._tick("incoming", _INCOMING_SECONDS, lambda: _remove_abandoned(spool, self._clock))
            self._tick("history", _HISTORY_SECONDS, lambda: queues.forget_finished(self._clock.now() - history))
            retaining = retention(self.settings, ledger, spool, self._clock, spool_space(self.settings))
            self._tick("retention", STEP_SECONDS, retaining.step)
            telling = audit_dispatch(self.settings, ledger, self._clock)
            if telling is not None:
                self._tick("audit", _SWEEP_SECONDS, telling.step)

    def _steps(self, ledger: Ledger, spool: Spool, queues: Queues) -> dict[str, Step]:
        """Build the steps that this process's roles can be asked for."""
        steps: dict[str, Step] = {}
        if Role.WORK in self.roles:
            rules = self._rules(ledger)
            steps[DECIDE] = Deciding(
                ledger,
                spool,
                queues,
                self._clock,
                rules.in_force,
                self._registry,
                destinations=rules.destinations(),
            )
            steps[DELIVER] = Delivering(
                ledger, spool, self._clock, outlets(self.settings), self.settings.delivery_attempts
            )
            reporting = Reporting(
                reporter=CommitmentReportSender(AETitle(self.settings.ae_title)),
                give_up_after=self.settings.delivery_attempts,
            )
            steps[COMMIT] = Committing(ledger, spool, self._clock, reporting)
        if Role.GPU in self.roles:
            place = SynthesisPlace(
                device=self.settings.device,
                timeout_seconds=self.settings.model_seconds,
                node_version=version("dicomnode"),
            )
            steps[DERIVE] = Deriving(ledger, spool, queues, self._clock, Children(), place)
        return steps

    @cached_property
    def _registry(self) -> Registry:
        """The models that are installed here; a process that only receives never looks."""
        return Registry.discover()

    def _rules(self, ledger: Ledger) -> RuleBook:
        """Open the rules, which the first start of a node brings from its settings; raises InvalidRule."""
        if self._book is None:
            self._book = rule_book(self.settings, ledger, self._clock, self._registry)
            bring_first_rules(self._book, self.settings)
        return self._book

    def _queue_limits(self) -> tuple[QueueLimit, ...]:
        """Say which queues this process serves, and how many jobs of each at a time."""
        limits = [QueueLimit(name=GPU_QUEUE, concurrency=1)] if Role.GPU in self.roles else []
        if Role.WORK in self.roles:
            limits += [QueueLimit(name=name, concurrency=2) for name in (ORCHESTRATE_QUEUE, COMMIT_QUEUE)]
            limits += [
                QueueLimit(name=deliver_queue(place.name), concurrency=1) for place in self.settings.destinations
            ]
        return tuple(limits)

    def _follow_process(self, ledger: Ledger) -> None:
        """Write into the audit trail that this process starts, and at the end that it stops."""
        trail, who = AuditTrail(ledger, self._clock), who_runs()
        roles: dict[str, object] = {"roles": sorted(self.roles)}
        trail.settings_are(settings_digest(self.settings), who)
        trail.process(AuditAction.START, who, roles)
        self._stoppers.append(lambda: trail.process(AuditAction.STOP, who, roles))

    def _start_receiving(self) -> None:
        """Receive in processes of their own, so that pages and work never keep a sender waiting."""
        receivers = Receivers(self.settings)
        receivers.start()
        self._receivers = receivers

    def _start_web(self, ledger: Ledger, spool: Spool, queues: Queues) -> None:
        settings, changes = self.settings, Changes(ledger)
        accounts = open_accounts(settings, ledger, self._clock)
        site = replace(self._site(ledger, spool, queues), changes=changes, accounts=accounts)
        server = WebServer(create_app(site), web_address(settings, self._clock))
        server.start()
        if accounts is not None:
            self.setup_link = setup_link(settings, accounts)
        self._stoppers.append(server.stop)
        self._tick("changes", _SWEEP_SECONDS, changes.look)
        self._stoppers.append(changes.stop)

    def _site(self, ledger: Ledger, spool: Spool, queues: Queues) -> Site:
        """Gather what the pages stand on."""
        settings = self.settings
        listener = settings.all_listeners[0]
        places = [endpoint(one) for one in settings.destinations]
        return Site(
            ledger=ledger,
            archive=LedgerArchive(ledger, spool),
            operator=Operator(ledger, queues, self._clock),
            peers=PeerBook(ledger, self._clock, VerificationSCU(AETitle(settings.ae_title))),
            clock=self._clock,
            lease=self._lease,
            listener=Listener(
                ae_title=AETitle(settings.ae_title),
                host=listener.host,
                port=listener.port,
                is_under_tls=listener.tls is not None,
            ),
            version=version("dicomnode"),
            capacity=spool_space(settings),
            certificates=certificate_files(settings, self._clock),
            intake=self._intake(ledger, spool) if Role.RECEIVE in self.roles else None,
            rules=self._rules(ledger),
            destinations=destination_book(AETitle(settings.ae_title), places, ledger, queues, self._clock),
            quarantine=Quarantine(ledger, spool, self._clock, AETitle(settings.ae_title)),
            models=ModelsOfHost(self._registry),
            settings=settings_in_words(settings),
            provider=identity_provider(settings, self._clock),
            audit=AuditTrail(ledger, self._clock),
            hosts=settings.web_trusted_hosts,
        )

    def _intake(self, ledger: Ledger, spool: Spool) -> Intake:
        """Take over DICOMweb what the listener takes."""
        sendings, stop = following(ledger, self._clock)
        self._stoppers.append(stop)
        receiving = reception(self.settings, ledger, spool, self._clock)
        receiving.sendings = sendings
        return Intake(
            reception=receiving,
            called_ae=AETitle(self.settings.ae_title),
            sop_classes=frozenset(storage_sop_classes()),
            transfer_syntaxes=frozenset(
                syntax for context in accepted_contexts() for syntax in context.transfer_syntax
            ),
            assemble=assemble_file,
            ends=sendings,
        )

    def _tick(self, name: str, seconds: float, verb: Callable[[], object]) -> None:
        ticker = Ticker(name, seconds, verb)
        ticker.start()
        self._stoppers.append(ticker.stop)


def outlets(settings: Settings) -> Mapping[str, Outlet]:
    """Build the configured destinations."""
    calling = AETitle(settings.ae_title)
    return {place.name: _outlet(place, calling) for place in settings.destinations}


def endpoint(place: DestinationSettings) -> Endpoint:
    """Turn a configured destination into the domain's value."""
    return Endpoint(
        name=place.name,
        ae_title=AETitle(place.ae_title),
        host=place.host,
        port=place.port,
        dicomweb_url=place.dicomweb_url,
        tls=place.tls.value if place.tls else None,
    )


def _outlet(place: DestinationSettings, calling: AETitle) -> Outlet:
    where = endpoint(place)
    inquiry = DicomwebClient(where) if where.dicomweb_url else None
    return Outlet(destination=StorageSCU(where, calling), inquiry=inquiry)


def _renew(ledger: Ledger, executor_id: str, clock: Clock) -> None:
    with ledger.transaction() as tx:
        renew_lease(tx, executor_id, clock.now())


def _end_lease(ledger: Ledger, executor_id: str) -> None:
    with ledger.transaction() as tx:
        end_lease(tx, executor_id)


def _remove_abandoned(spool: Spool, clock: Clock) -> None:
    """Remove what receivers that died left half-written; the pause keeps clear of files that are just being opened."""
    remove_abandoned(spool, clock.now() - timedelta(seconds=_INCOMING_SECONDS))


def _reap(reaper: Reaper, clock: Clock) -> None:
    """Take over what the dead left, and tell about jobs that broke."""
    found = reaper.reap(clock.now())
    if found.resumed or found.parked:
        _logger.warning("jobs of dead workers: %d taken over, %d parked", len(found.resumed), len(found.parked))
    reaper.report_broken(clock.now())
