"""The command `dicomnode retention`: what may leave the node, what keeps the rest, and a person's own word on it."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.node.settings import read_settings

if TYPE_CHECKING:
    from dicomnode.journey.retain import Retention, Verdict

retention_app = typer.Typer(
    invoke_without_command=True, help="See which studies may leave this node and what keeps the others; hold a study."
)
_console = Console()
_MEGABYTE = 1_000_000

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file; left out: dicomnode.toml in this folder, if there is one.")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the node's spool and database.")]
Study = Annotated[str, typer.Argument(help="Study Instance UID.")]


@retention_app.callback()
def look(
    context: typer.Context,
    *,
    now: Annotated[bool, typer.Option("--now", help="Remove what may leave, slowly, instead of only telling.")] = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Say of every study whose images are here whether retention would remove them now, and if not, why.

    Nothing is changed without --now. The running node removes by itself what the settings keep_days and make_room let
    go; the record of a study, with all that was decided and delivered, always stays.
    """
    if context.invoked_subcommand is not None:
        return
    with _retention(settings, data) as retention:
        if now:
            _remove(retention)
        else:
            _tell(retention.verdicts())


@retention_app.command()
def hold(
    study_instance_uid: Study,
    reason: Annotated[str, typer.Option(help="Why it must stay; shown to whoever asks.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Keep a study here, however old it becomes."""
    with _retention(settings, data) as retention:
        _console.print(escape(retention.hold(StudyInstanceUID(study_instance_uid), reason)), highlight=False)


@retention_app.command()
def release(study_instance_uid: Study, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Leave a study that was held to retention again."""
    with _retention(settings, data) as retention:
        _console.print(escape(retention.release(StudyInstanceUID(study_instance_uid))), highlight=False)


@contextmanager
def _retention(settings: Path | None, data: Path | None) -> "Iterator[Retention]":
    """Open the retention of the node, beside the running node."""
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.receiving import spool_space
    from dicomnode.node.records import open_ledger
    from dicomnode.node.retaining import retention
    from dicomnode.spool.store import Spool

    read = read_settings(settings, **({} if data is None else {"data": data}))
    with open_ledger(read) as ledger:
        yield retention(read, ledger, Spool(read.spool), SystemClock(), spool_space(read))


def _tell(verdicts: "Iterable[Verdict]") -> None:
    """List the studies, the oldest first, each with what keeps it."""
    table = Table(box=None, pad_edge=False)
    for column in ("last received", "instances", "MB", "study UID", "what keeps it"):
        table.add_column(column, justify="right" if column in ("instances", "MB") else "left", overflow="fold")
    leaving = bytes_leaving = 0
    for verdict in verdicts:
        held = verdict.holding
        if verdict.may_go:
            leaving, bytes_leaving = leaving + 1, bytes_leaving + held.size
        table.add_row(
            f"{held.changed_at.astimezone():%Y-%m-%d %H:%M}",
            str(held.instances),
            f"{held.size / _MEGABYTE:.1f}",
            held.study_instance_uid,
            "[yellow]nothing: it would be removed now[/]" if verdict.may_go else escape("; ".join(verdict.obstacles)),
        )
    _console.print(table if table.row_count else "No study has images here.")
    told = f"{leaving} of {table.row_count} studies would be removed now, {bytes_leaving / _MEGABYTE:.1f} MB."
    _console.print(told, highlight=False)


def _remove(retention: "Retention") -> None:
    """Take out of the ledger what may go, then unlink its files as slowly as the running node would."""
    from dicomnode.journey.retain import STEP_SECONDS

    studies = 0
    while (removed := retention.remove_next()) is not None:
        studies += 1
        held = removed.holding
        _console.print(f"removed study {held.study_instance_uid}: {held.instances} instances", highlight=False)
    _console.print(f"{studies} studies removed; unlinking their files …", highlight=False)
    while retention.unlink_some():
        time.sleep(STEP_SECONDS)
    _console.print("done", highlight=False)
