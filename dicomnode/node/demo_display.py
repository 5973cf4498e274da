"""How the demo shows itself in a terminal while it runs: each step with its duration."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

from dicomnode.ledger.timeline import Event
from dicomnode.node.story import state_style


class Step:
    """One step under way; what it says is shown when it ends."""

    def __init__(self) -> None:
        self.said = ""

    def say(self, text: str) -> None:
        """Say what came out of the step."""
        self.said = text


class Journey:
    """The part of the demo that the node does by itself, told by its own timeline."""

    def __init__(self, console: Console, status: Status) -> None:
        self._console = console
        self._status = status
        self._since = time.perf_counter()

    def tell(self, event: Event) -> None:
        """Show one line of the timeline."""
        now = time.perf_counter()
        self._console.print(_line(event.step, now - self._since, event.text, state_style(event.state)))
        self._since = now
        self._status.update(f"after {event.step} …")


class Display:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Show a step while it runs, then its duration and what it said."""
        since, step = time.perf_counter(), Step()
        with self.console.status(f"{name} …"):
            yield step
        self.console.print(_line(name, time.perf_counter() - since, step.said, "green"))

    @contextmanager
    def journey(self) -> Iterator[Journey]:
        """Show the node's own steps as they happen."""
        with self.console.status("receiving …") as status:
            yield Journey(self.console, status)


def _line(name: str, seconds: float, text: str, style: str) -> Text:
    line = Text.assemble(("● ", style), (f"{name:<24}", "bold"), (f"{seconds:7.1f} s  ", "dim"))
    return line.append(text)
