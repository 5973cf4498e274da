"""The command `dicomnode`, for the administrator of a PACS."""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dicomnode.domain.errors import DicomnodeError
from dicomnode.node.account_commands import account_app, token_app
from dicomnode.node.destination_commands import destination_app
from dicomnode.node.peer_commands import peer_app, refusals
from dicomnode.node.retention_commands import retention_app
from dicomnode.node.rules_commands import rules_app
from dicomnode.node.settings import Role, Settings, read_settings
from dicomnode.node.study_commands import complete, release
from dicomnode.node.web_settings import LoginMode

if TYPE_CHECKING:
    from dicomnode.journey.quarantine import Quarantine
    from dicomnode.spool.store import Spool

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Receives studies, decides by rules, synthesises, labels and delivers derived series. "
    "Research use only; not a medical device.",
)
model_app = typer.Typer(no_args_is_help=True, help="See which models are installed and whether they can run.")
quarantine_app = typer.Typer(no_args_is_help=True, help="See what was refused but kept, and release or discard it.")
app.add_typer(rules_app, name="rules")
app.add_typer(model_app, name="model")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(retention_app, name="retention")
app.add_typer(peer_app, name="peer")
app.add_typer(destination_app, name="destination")
app.add_typer(account_app, name="account")
app.add_typer(token_app, name="token")
app.command()(refusals)
app.command()(complete)
app.command()(release)

_console = Console()
_NOT_OK = 1

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file; left out: dicomnode.toml in this folder, if there is one.")
]
EntryId = Annotated[int, typer.Argument(help="Number of the entry, as `dicomnode quarantine list` gives it.")]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the node's spool and database.")]


def main() -> None:
    """Run the command; an error of the node's own kind ends it with its reason and what to do."""
    try:
        app()
    except DicomnodeError as error:
        _console.print(f"[bold red]✗[/] {escape(error.reason)}", highlight=False)
        _console.print(f"  {escape(error.help)}", style="dim", highlight=False)
        raise SystemExit(_NOT_OK) from None


def _settings(file: Path | None, **overrides: object) -> Settings:
    return read_settings(file, **{name: value for name, value in overrides.items() if value is not None})


@app.command()
def serve(
    settings: SettingsFile = None,
    data: DataFolder = None,
    roles: Annotated[
        str | None, typer.Option(help="What this process does, by commas: receive, work, gpu, web. Left out: all.")
    ] = None,
) -> None:
    """Run the node until Ctrl-C. Every setting can also be given as DICOMNODE_… in the environment."""
    from dicomnode.node.certificates import log_certificates
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.logs import write_logs
    from dicomnode.node.wiring import Node

    wanted = tuple(Role(role.strip()) for role in roles.split(",")) if roles else None
    read = _settings(settings, data=data, roles=wanted)
    write_logs(logging.INFO)
    clock = SystemClock()
    node = Node(read, clock)
    node.start()
    # Listeners look at their TLS files at each connection: there is nothing to be read again, only to be told.
    signal.signal(signal.SIGHUP, lambda *_: log_certificates(read, clock))
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _announce(read, node.setup_link)
    stopping.wait()
    node.stop()
    # Threads that still work are abandoned as by a crash; their jobs are taken up again at the next start.
    os._exit(0)


def _announce(settings: Settings, setup_link: str | None) -> None:
    """Say where the node listens."""
    roles = ", ".join(settings.roles)
    _console.print(f"[bold]dicomnode[/] runs the roles {roles}; data in {settings.data}", highlight=False)
    if Role.RECEIVE in settings.roles:
        for listener in settings.all_listeners:
            under = " under TLS" if listener.tls else ""
            _console.print(f"  DICOM  {settings.ae_title} at {listener.name}{under}", highlight=False)
    if Role.WEB in settings.roles:
        _console.print(f"  pages  {settings.web_url}/", highlight=False)
        if settings.login is LoginMode.OFF:
            _console.print("  there is no login: everybody on this machine may do everything", highlight=False)
    if setup_link is not None:
        # Where nobody watches, what is printed ends in a journal that many may read.
        where = setup_link if _console.is_terminal else f"the link in {settings.data / 'setup-link'}"
        _console.print(f"  first  make the first account: {where}", soft_wrap=True, highlight=False)


@app.command()
def demo(
    study: Annotated[Path, typer.Option(help="Folder with the zip files of the study to send.")] = Path(
        "tests/data/siemens-trio-brain"
    ),
    folder: Annotated[Path, typer.Option(help="Folder the demo works in; it is emptied first.")] = Path("var/demo"),
    once: Annotated[bool, typer.Option("--once", help="End when the story is told instead of leaving it up.")] = False,
) -> None:
    """Send one real MR study through the whole journey on this machine, and show every step."""
    from dicomnode.node.demo import Demo, DemoPlan
    from dicomnode.node.demo_display import Display
    from dicomnode.node.demo_report import tell

    display = Display(_console)
    with Demo(DemoPlan(study=study, folder=folder.absolute()), display) as running:
        result = running.run()
        tell(_console, result)
        if not result.read_back.holds:
            raise typer.Exit(_NOT_OK)
        if not once:
            _console.print(f"\nThe node stays up: [link]{result.pages}[/link]  (Ctrl-C ends it)", highlight=False)
            _until_interrupted()


def _until_interrupted() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        _console.print("ending the demo …")


@app.command()
def send(
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, or folders of them.")],
    host: Annotated[str, typer.Option(help="Host of the receiver.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the receiver.")] = 11112,
    called: Annotated[str, typer.Option(help="Called AE title.")] = "DICOMNODE",
    calling: Annotated[str, typer.Option(help="Calling AE title.")] = "DICOMNODE-SEND",
) -> None:
    """Send DICOM files by C-STORE, to this node or to any other; says what became of each."""
    from dicomnode.dimse.storage_scu import StorageSCU
    from dicomnode.domain.delivery import Endpoint
    from dicomnode.domain.uids import AETitle
    from dicomnode.imaging.exchange import outgoing_instances
    from dicomnode.node.files import instance_files

    where = Endpoint(name=called, ae_title=AETitle(called), host=host, port=port)
    outcomes = StorageSCU(where, AETitle(calling)).store(outgoing_instances(instance_files(paths)))
    for outcome in outcomes:
        if not outcome.stored:
            _console.print(f"[red]✗[/] {outcome.sop_instance_uid} 0x{outcome.status:04X} {outcome.comment}")
    stored = sum(outcome.stored for outcome in outcomes)
    _console.print(f"{stored} of {len(outcomes)} instances stored at {called}", highlight=False)
    if stored < len(outcomes):
        raise typer.Exit(_NOT_OK)


@app.command()
def studies(
    search: Annotated[str, typer.Argument(help="Accession number, patient ID or name, or study UID.")] = "",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List the studies of this node, the latest first."""
    from dicomnode.ledger.studies import list_studies
    from dicomnode.node.records import open_ledger

    with open_ledger(_settings(settings, data=data)) as ledger, ledger.transaction() as tx:
        found = list_studies(tx, search=search)
    table = Table(box=None, pad_edge=False)
    for column in ("last received", "accession", "description", "instances", "revision", "derived", "study UID"):
        table.add_column(column, overflow="fold")
    for one in found:
        table.add_row(
            f"{one.last_received_at.astimezone():%Y-%m-%d %H:%M}",
            one.accession_number,
            one.description,
            str(one.instances),
            str(one.revision) if one.is_complete else f"{one.revision} (receiving)",
            ", ".join(one.derivation_states) or "nothing",
            one.study_instance_uid,
        )
    _console.print(table if found else "No study has been received yet; `dicomnode serve` says where to send one.")


@app.command()
def study(
    study_instance_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Tell one study's story: its timeline, why each rule fired or not, and what was made of it."""
    from dicomnode.ledger.studies import find_study, list_decisions, list_derivations
    from dicomnode.ledger.timeline import timeline
    from dicomnode.node.records import open_ledger
    from dicomnode.node.story import decision_tree, derivation_panel, timeline_table

    with open_ledger(_settings(settings, data=data)) as ledger, ledger.transaction() as tx:
        find_study(tx, study_instance_uid)
        events, decisions = timeline(tx, study_instance_uid), list_decisions(tx, study_instance_uid)
        derivations = list_derivations(tx, study_instance_uid)
    _console.print(timeline_table(events))
    for decision in decisions:
        _console.print(decision_tree(decision))
    for derivation in derivations:
        _console.print(f"{derivation.state}: {derivation.reason or 'as planned'}", highlight=False)
        _console.print(derivation_panel(derivation))


@model_app.command("list")
def model_list() -> None:
    """List the installed models, what each makes, and what this host lacks to run it."""
    from dicomnode.synthesis.registry import Registry

    registry = Registry.discover()
    for name in registry.names():
        entry = registry.entry(name)
        lacks = f"[red]lacks {'; '.join(entry.missing)}[/]" if entry.missing else "[green]can run[/]"
        _console.print(f"[bold]{name}[/] {entry.card.version}  {lacks}", highlight=False)
        _console.print(f"  {entry.card.summary}", highlight=False)
        _console.print(f"  weights {entry.identity.weights_digest}", style="dim", highlight=False)
    for broken in registry.broken:
        _console.print(f"[red]✗[/] {broken.name}: {broken.reason}", highlight=False)
    if not registry.names():
        _console.print("No model is installed: pip install ./plugins/mr_flair")


@model_app.command("check")
def model_check(name: Annotated[str, typer.Argument(help="Name of the model.")]) -> None:
    """Print a model's card with the numbers of its evaluation, its baselines and its limits."""
    from dicomnode.node.model_report import card_report
    from dicomnode.synthesis.registry import Registry

    entry = Registry.discover().entry(name)
    _console.print(card_report(entry))
    if entry.missing:
        raise typer.Exit(_NOT_OK)


@app.command()
def reconcile(
    deep: Annotated[
        bool, typer.Option("--deep", help="Also read every file and compare its SHA-256: takes hours on a large spool.")
    ] = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Compare the image files with the database, both ways, and say what does not agree.

    Safe while the node runs. Files that nobody was told were kept go into quarantine; instances whose file is missing
    or damaged are named here and in the timeline of their study, and the command then ends with status 1.
    """
    from dicomnode.journey.reconcile import Reconciling
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.records import open_ledger
    from dicomnode.node.upkeep_report import disagreements, reconciliation_table
    from dicomnode.spool.store import Spool

    read = _settings(settings, data=data)
    with open_ledger(read) as ledger:
        done = Reconciling(ledger, Spool(read.spool), SystemClock()).reconcile(deep=deep)
    _console.print(reconciliation_table(done, deep=deep))
    if not done.agrees:
        for line in disagreements(done):
            _console.print(line, soft_wrap=True, highlight=False)
        raise typer.Exit(_NOT_OK)


@contextmanager
def _quarantine(settings: SettingsFile, data: DataFolder) -> "Iterator[tuple[Quarantine, Spool]]":
    """Open the quarantine of the node, beside the running node."""
    from dicomnode.domain.uids import AETitle
    from dicomnode.journey.quarantine import Quarantine
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.records import open_ledger
    from dicomnode.spool.store import Spool

    read = _settings(settings, data=data)
    with open_ledger(read) as ledger:
        spool = Spool(read.spool)
        yield Quarantine(ledger, spool, SystemClock(), AETitle(read.ae_title)), spool


@quarantine_app.command("list")
def quarantine_list(settings: SettingsFile = None, data: DataFolder = None) -> None:
    """List what is in quarantine, the oldest first, with its sender and the reason."""
    from dicomnode.node.upkeep_report import quarantine_table

    with _quarantine(settings, data) as (quarantine, _spool):
        entries = quarantine.entries()
    _console.print(quarantine_table(entries) if entries else "Nothing is in quarantine.")


@quarantine_app.command("show")
def quarantine_show(entry: EntryId, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Show one entry: where its file is, for a look with other tools, and whether it could be released now."""
    from dicomnode.node.upkeep_report import entry_table

    with _quarantine(settings, data) as (quarantine, spool):
        found = quarantine.find(entry)
        obstacle = quarantine.obstacle(found)
        _console.print(entry_table(found, str(spool.root / found.path), obstacle))


@quarantine_app.command("release")
def quarantine_release(entry: EntryId, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Take an entry into its study as if its sender had sent it now; where it cannot be read, it stays."""
    with _quarantine(settings, data) as (quarantine, _spool):
        _console.print(escape(quarantine.release(entry)), highlight=False)


@quarantine_app.command("discard")
def quarantine_discard(
    entry: EntryId,
    reason: Annotated[str, typer.Option(help="Why it may be deleted; kept in the database for good.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Delete an entry and its file for good; the database keeps what it was and why it was deleted."""
    with _quarantine(settings, data) as (quarantine, _spool):
        _console.print(escape(quarantine.discard(entry, reason)), highlight=False)


@app.command()
def doctor(settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Look at this host: what is there, what is missing, and how to get it."""
    from dicomnode.node.doctor import Verdict, examine

    marks = {Verdict.OK: "[green]✓[/]", Verdict.OPTIONAL: "[yellow]–[/]", Verdict.MISSING: "[red]✗[/]"}
    findings = examine(_settings(settings, data=data))
    for finding in findings:
        found, remedy = escape(finding.found), escape(finding.remedy)
        _console.print(f"{marks[finding.verdict]} [bold]{finding.subject}[/]: {found}", highlight=False)
        if remedy:
            _console.print(f"    {remedy}", style="dim", highlight=False)
    if any(finding.verdict is Verdict.MISSING for finding in findings):
        raise typer.Exit(_NOT_OK)


if __name__ == "__main__":
    main()
