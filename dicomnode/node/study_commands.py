"""The commands `dicomnode complete` and `dicomnode release`: a person's word on one study."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dicomnode.node.settings import read_settings

if TYPE_CHECKING:
    from dicomnode.journey.operator import Operator

_console = Console()

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file; left out: dicomnode.toml in this folder, if there is one.")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the node's spool and database.")]


def complete(
    study_instance_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Take a study as complete now, whatever is still missing; the running node begins its next revision at once."""
    from dicomnode.domain.uids import StudyInstanceUID

    with _operator(settings, data) as operator:
        said = operator.complete_now(StudyInstanceUID(study_instance_uid), person())
    _console.print(escape(said), highlight=False)


def release(
    study_instance_uid: Annotated[str, typer.Argument(help="Study Instance UID.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Let the syntheses of a study begin that a rule holds until a person has looked."""
    from dicomnode.domain.uids import StudyInstanceUID

    with _operator(settings, data) as operator:
        said = operator.release_hold(StudyInstanceUID(study_instance_uid), person())
    _console.print(escape(said), highlight=False)


@contextmanager
def _operator(settings: Path | None, data: Path | None) -> Iterator["Operator"]:
    """Open the ledger of the node that the settings describe, for an operator's verb."""
    from dicomnode.engine.queues import Queues
    from dicomnode.journey.operator import Operator
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.records import open_ledger

    given = {"data": data} if data is not None else {}
    with open_ledger(read_settings(settings, **given)) as ledger:
        queues = Queues(ledger)
        try:
            yield Operator(ledger, queues, SystemClock())
        finally:
            queues.close()


def person() -> str:
    """Name who works at this terminal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # The account of a container may have no name.
        return "the command line"
