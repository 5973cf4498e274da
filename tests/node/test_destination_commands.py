"""Destinations on the command line: listed, paused with a reason, resumed and asked, beside a running node or not."""

import contextlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from dicomnode.ledger.destinations import list_pauses
from dicomnode.ledger.transaction import Ledger
from dicomnode.node import cli, destination_commands
from tests.nodes import RememberingPacs, free_port


@dataclass(frozen=True)
class Told:
    """How a command ended and what it printed."""

    returncode: int
    output: str


Run = Callable[..., Told]


@pytest.fixture
def run(tmp_path: Path, sqlite_template: Path) -> Run:
    """Run a command as `dicomnode` would, in the folder of a node that has run."""
    (tmp_path / "var").mkdir()
    shutil.copyfile(sqlite_template, tmp_path / "var" / "ledger.db")

    def run(*words: str) -> Told:
        screen, console = StringIO(), Console(width=250)
        with (
            contextlib.chdir(tmp_path),
            patch.object(cli, "_console", console),
            patch.object(destination_commands, "_console", console),
            patch.object(sys, "argv", ["dicomnode", *words]),
            contextlib.redirect_stdout(screen),
            contextlib.redirect_stderr(screen),
        ):
            try:
                cli.main()
            except SystemExit as ended:
                code = ended.code
                return Told(returncode=code if isinstance(code, int) else int(bool(code)), output=screen.getvalue())
        return Told(returncode=0, output=screen.getvalue())

    return run


def configure(folder: Path, port: int) -> None:
    (folder / "dicomnode.toml").write_text(
        f'[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
    )


def pauses(folder: Path) -> dict[str, str]:
    ledger = Ledger(f"sqlite:///{folder / 'var' / 'ledger.db'}")
    try:
        with ledger.transaction() as tx:
            return {name: pause.reason for name, pause in list_pauses(tx).items()}
    finally:
        ledger.close()


def test_a_destination_is_paused_with_a_reason_and_resumed(run: Run, tmp_path: Path) -> None:
    configure(tmp_path, 104)
    assert run("destination", "pause", "pacs").returncode != 0, "a reason is asked for"
    assert "pacs is paused" in run("destination", "pause", "pacs", "--reason", "it is moved").output
    assert pauses(tmp_path) == {"pacs": "it is moved"}
    listed = run("destination", "list").output
    assert "pacs: PACS at 127.0.0.1:104, 0 waiting, 0 refused; paused by" in listed
    assert listed.rstrip().endswith("it is moved")
    assert "pacs is resumed" in run("destination", "resume", "pacs").output
    assert pauses(tmp_path) == {}


def test_an_echo_that_fails_is_told_by_the_exit_status(run: Run, tmp_path: Path) -> None:
    with RememberingPacs() as pacs:
        configure(tmp_path, pacs.destination.port)
        answered = run("destination", "echo", "pacs")
        assert (answered.returncode, "pacs answered in" in answered.output) == (0, True)
    configure(tmp_path, free_port())
    failed = run("destination", "echo", "pacs")
    assert failed.returncode == 1
    assert failed.output.strip()


def test_what_is_not_configured_is_refused(run: Run, tmp_path: Path) -> None:
    configure(tmp_path, 104)
    refused = run("destination", "resume", "other")
    assert refused.returncode == 1
    assert "no destination other is configured" in refused.output.lower()
