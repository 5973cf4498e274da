"""The command line as an administrator meets it."""

import contextlib
import subprocess
import sys
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from dicomnode.node import cli, rules_commands
from tests.builders import T1, T2, a_series, write_series
from tests.nodes import BRAIN


@dataclass(frozen=True)
class Told:
    """How a command ended and what it printed."""

    returncode: int
    stdout: str


def _run(folder: Path, *words: str) -> Told:
    """Run a command as `dicomnode` would, in a folder; only the process is not its own, which would take seconds."""
    screen = StringIO()
    console = Console(file=screen, width=200)
    with (
        contextlib.chdir(folder),
        patch.object(cli, "_console", console),
        patch.object(rules_commands, "_console", console),
        patch.object(sys, "argv", ["dicomnode", *words]),
        contextlib.redirect_stdout(screen),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            return Told(int(ended.code or 0), screen.getvalue())
    return Told(0, screen.getvalue())


def test_the_command_is_installed() -> None:
    told = subprocess.run(
        [str(Path(sys.executable).parent / "dicomnode"), "rules", "check"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    assert "enabled" in told.stdout


def test_help_names_every_command(tmp_path: Path) -> None:
    told = _run(tmp_path, "--help")
    assert told.returncode == 0
    commands = "serve demo send studies study complete rules model reconcile quarantine doctor peer refusals"
    for command in (*commands.split(), "retention", "account"):
        assert command in told.stdout
    assert "not a medical device" in told.stdout


def test_the_rules_that_ship_are_in_order(tmp_path: Path) -> None:
    told = _run(tmp_path, "rules", "check")
    assert told.returncode == 0, told.stdout
    assert "t1-t2-to-flair (enabled)" in told.stdout


def test_a_typo_in_a_rule_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "rules:\n  - name: a\n    description: A rule.\n    when: {rules: [{field: StudyDescriptoin, value: x}]}\n"
        "    then: {model: m, inputs: {s: {rules: [{field: Modality, value: MR}]}}, target: s, destinations: [pacs]}\n"
    )
    told = _run(tmp_path, "rules", "check", "rules.yaml")
    assert told.returncode == 1
    assert "StudyDescription" in told.stdout
    assert "Traceback" not in told.stdout


def test_a_rule_that_sends_nowhere_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(
        "rules:\n  - name: a\n    description: A rule.\n    when: {rules: [{field: StudyDescription, value: x}]}\n"
        "    then: {model: m, inputs: {s: {rules: [{field: Modality, value: MR}]}}, target: s, destinations: [moon]}\n"
    )
    told = _run(tmp_path, "rules", "check", "rules.yaml")
    assert told.returncode == 1
    assert "moon" in told.stdout


def test_rules_test_says_why_on_the_real_study(tmp_path: Path) -> None:
    told = _run(tmp_path, "rules", "test", str(BRAIN))
    assert told.returncode == 0, told.stdout
    assert "t1-t2-to-flair would fire" in told.stdout
    assert "Weighting T1" in told.stdout
    assert "input t2" in told.stdout


def test_rules_test_on_a_study_without_t2_says_what_is_missing(tmp_path: Path) -> None:
    write_series(tmp_path / "study", a_series(slices=12, **T1))
    told = _run(tmp_path, "rules", "test", "study")
    assert told.returncode == 0, told.stdout
    assert "would not fire" in told.stdout
    assert "Weighting" in told.stdout


def test_several_studies_are_told_apart(tmp_path: Path) -> None:
    write_series(tmp_path / "a", a_series(study="one", slices=12, **T1))
    write_series(tmp_path / "b", a_series(study="two", slices=12, **T2))
    told = _run(tmp_path, "rules", "test", "a", "b")
    assert told.stdout.count("Rule t1-t2-to-flair") == 2


def test_studies_before_any_node_ran_says_so(tmp_path: Path) -> None:
    told = _run(tmp_path, "studies")
    assert told.returncode == 1
    assert "no node has run" in told.stdout


def test_models_are_listed_and_a_card_is_printed(tmp_path: Path) -> None:
    listed = _run(tmp_path, "model", "list")
    assert "mr-flair" in listed.stdout
    assert "identity" in listed.stdout
    card = _run(tmp_path, "model", "check", "mr-flair")
    assert card.returncode == 0
    for words in ("intended use", "baselines", "Limits", "CC BY"):
        assert words in card.stdout


def test_a_model_that_is_not_there_is_an_error_with_advice(tmp_path: Path) -> None:
    told = _run(tmp_path, "model", "check", "mr-flare")
    assert told.returncode == 1
    assert "model mr-flare is not installed" in told.stdout
    assert "dicomnode model list" in told.stdout


def test_doctor_names_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    told = _run(tmp_path, "doctor")
    for subject in ("data folder", "database", "rules", "model mr-flair", "destination pacs", "decoders", "dciodvfy"):
        assert subject in told.stdout


def test_sending_to_nobody_is_an_error_with_advice(tmp_path: Path) -> None:
    write_series(tmp_path / "study", a_series(slices=2))
    told = _run(tmp_path, "send", "study", "--port", "1")
    assert told.returncode == 1
    assert "does not answer" in told.stdout


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("study", "reason"),
    [
        ("siemens-essenza-knee", "KNEE"),
        ("hitachi-airis-lspine", "LSPINE"),
        ("toshiba-titan-lspine", "LSPINE"),
        ("toshiba-alexion-ct-lspine", "Modalities"),
        ("ge-hispeed-ct-head-tilt", "Modalities"),
    ],
)
def test_rules_test_says_why_nothing_fires(tmp_path: Path, shared_data: Path, study: str, reason: str) -> None:
    told = _run(tmp_path, "rules", "test", str(shared_data / "dicom" / study))
    assert told.returncode == 0, told.stdout
    assert "would not fire" in told.stdout
    assert "✗" in told.stdout
    assert reason in told.stdout
