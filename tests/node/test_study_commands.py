"""The command `dicomnode complete` beside a running node: a person's word reaches its ledger."""

import shutil
import sys
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.completion import signals
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.timeline import timeline
from dicomnode.ledger.transaction import Ledger
from dicomnode.node import cli, study_commands
from tests.ledger.values import STUDY, received


@pytest.fixture
def data(tmp_path: Path, sqlite_template: Path) -> Path:
    """The data folder of a node that received one study."""
    data = tmp_path / "var"
    data.mkdir()
    shutil.copyfile(sqlite_template, data / "ledger.db")
    ledger = Ledger(f"sqlite:///{data / 'ledger.db'}")
    with ledger.transaction() as tx:
        record_received(tx, received(1))
    ledger.close()
    return data


def _complete(data: Path, study: str) -> tuple[int, str]:
    """Run the command, and give how it ended and what it said."""
    screen = StringIO()
    console = Console(file=screen, width=200)
    with (
        patch.object(cli, "_console", console),
        patch.object(study_commands, "_console", console),
        patch.object(sys, "argv", ["dicomnode", "complete", study, "--data", str(data)]),
        pytest.raises(SystemExit) as ended,
    ):
        cli.main()
    return int(ended.value.code or 0), screen.getvalue()


def test_the_word_of_a_person_reaches_the_ledger(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    assert _complete(data, STUDY) == (0, "anna asked to take the study as complete now.\n")
    ledger = Ledger(f"sqlite:///{data / 'ledger.db'}")
    with ledger.transaction() as tx:
        study = StudyInstanceUID(STUDY)
        assert signals(tx, [study])[study].asked_by == "anna"
        assert timeline(tx, study)[-1].text == "anna asked to take the study as complete now."
    ledger.close()


def test_an_account_without_a_name_is_the_command_line(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert _complete(data, STUDY)[1].startswith("the command line asked")


@pytest.mark.parametrize("study", ["1.2.3", "no uid"])
def test_what_is_not_here_is_refused_with_advice(data: Path, study: str) -> None:
    code, said = _complete(data, study)
    assert code == 1
    assert said.startswith("✗")
