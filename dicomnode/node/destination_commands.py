"""The commands `dicomnode destination …`: how deliveries stand, C-ECHO, and pausing a destination."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dicomnode.node.settings import read_settings
from dicomnode.node.study_commands import person

if TYPE_CHECKING:
    from dicomnode.journey.destinations import DestinationBook, DestinationState

destination_app = typer.Typer(
    no_args_is_help=True, help="See the destinations, ask them by C-ECHO, and pause what goes there."
)
_console = Console()
_NOT_OK = 1

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file; left out: dicomnode.toml in this folder, if there is one.")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the node's spool and database.")]
Name = Annotated[str, typer.Argument(help="Name of the destination, as in the settings.")]


@destination_app.command("list")
def destination_list(settings: SettingsFile = None, data: DataFolder = None) -> None:
    """List the destinations, what waits for each, and which are paused."""
    with _book(settings, data) as book:
        for state in book.states():
            _console.print(escape(_in_words(state)), highlight=False)


@destination_app.command("pause")
def destination_pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why, for whoever finds it paused.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Send nothing to a destination until it is resumed; what is for it waits and is not lost."""
    with _book(settings, data) as book:
        _console.print(escape(book.pause(name, person(), reason)), highlight=False)


@destination_app.command("resume")
def destination_resume(name: Name, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Send what waits for a destination, and what comes."""
    with _book(settings, data) as book:
        _console.print(escape(book.resume(name, person())), highlight=False)


@destination_app.command("echo")
def destination_echo(name: Name, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Ask a destination by C-ECHO whether it is there; exit status 1 when it is not."""
    with _book(settings, data) as book:
        outcome = book.echo(name)
    if outcome.failure:
        _console.print(escape(outcome.failure), highlight=False)
        raise typer.Exit(_NOT_OK)
    _console.print(escape(f"{name} answered in {outcome.milliseconds:.0f} ms"), highlight=False)


def _in_words(state: "DestinationState") -> str:
    """Write one destination in a line."""
    place, tally = state.endpoint, state.tally
    said = (
        f"{place.name}: {place.ae_title} at {place.host}:{place.port}, {tally.waiting} waiting, {tally.failed} refused"
    )
    return f"{said}; paused by {state.pause.by}: {state.pause.reason}" if state.pause else said


@contextmanager
def _book(settings: Path | None, data: Path | None) -> Iterator["DestinationBook"]:
    """Open the destinations of the node that the settings describe."""
    from dicomnode.domain.uids import AETitle
    from dicomnode.engine.queues import Queues
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.page_parts import destination_book
    from dicomnode.node.records import open_ledger
    from dicomnode.node.wiring import endpoint

    given = {"data": data} if data is not None else {}
    node = read_settings(settings, **given)
    places = [endpoint(place) for place in node.destinations]
    with open_ledger(node) as ledger:
        queues = Queues(ledger)
        try:
            yield destination_book(AETitle(node.ae_title), places, ledger, queues, SystemClock())
        finally:
            queues.close()
