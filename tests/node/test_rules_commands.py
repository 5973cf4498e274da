"""Rules on the command line: the same that the pages do, beside a running node or before its first start."""

import contextlib
import getpass
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from dicomnode.engine.queues import Queues
from dicomnode.engine.worker import migrate_engine
from dicomnode.ledger.schema import migrate
from dicomnode.ledger.transaction import Ledger
from dicomnode.node import cli, rules_commands
from dicomnode.spool.store import Spool
from tests.builders import write_series
from tests.conftest import FakeClock
from tests.journey.bench import STUDY, Bench, t2
from tests.nodes import COPY_RULE

REASON = ("--reason", "the new scanner names it otherwise")


@dataclass(frozen=True)
class Told:
    """How a command ended and what it printed."""

    returncode: int
    output: str


Run = Callable[..., Told]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command as `dicomnode rules` would, in the folder of a node that begins with the rule that copies a T2."""
    (tmp_path / "rules.yaml").write_text(COPY_RULE)
    (tmp_path / "dicomnode.toml").write_text('rules = "rules.yaml"\n')
    (tmp_path / "new.yaml").write_text(COPY_RULE.replace("T2}", "T1}").replace("copy-t2", "copy-t1"))

    def run(*words: str) -> Told:
        screen = StringIO()
        console = Console(file=screen, width=250)
        with (
            contextlib.chdir(tmp_path),
            patch.object(cli, "_console", console),
            patch.object(rules_commands, "_console", console),
            patch.object(sys, "argv", ["dicomnode", "rules", *words]),
            contextlib.redirect_stdout(screen),
            contextlib.redirect_stderr(screen),
        ):
            try:
                cli.main()
            except SystemExit as ended:
                return Told(int(ended.code or 0), screen.getvalue())
        return Told(0, screen.getvalue())

    return run


@pytest.fixture
def decided(tmp_path: Path) -> Iterator[Bench]:
    """The same node after it received one study with a T2."""
    (tmp_path / "var").mkdir()
    ledger = Ledger(f"sqlite:///{tmp_path / 'var' / 'ledger.db'}")
    migrate(ledger)
    migrate_engine(ledger)
    queues = Queues(ledger)
    a_minute_ago = FakeClock(datetime.now(UTC) - timedelta(minutes=1))
    bench = Bench(ledger, Spool(tmp_path / "var" / "spool"), queues, a_minute_ago)
    bench.receive(t2())
    bench.complete()
    bench.deciding()(STUDY, 1, attempt=1)
    yield bench
    queues.close()
    ledger.close()


def _versions(run: Run) -> list[str]:
    """List the versions that came into force, the latest first."""
    return [line.split()[1] for line in run("versions").output.splitlines()[1:]]


def test_before_the_first_start_the_rules_are_those_of_the_settings(run: Run, tmp_path: Path) -> None:
    checked = run("lint")
    assert checked.returncode == 0
    assert "✓ copy-t2 (enabled)" in checked.output
    assert not (tmp_path / "var").exists()

    shown = run("show").output
    assert "in force since" in shown
    assert "by settings: the first start of this node, from rules.yaml" in shown
    # From here on the file is not asked any more.
    (tmp_path / "rules.yaml").write_text((tmp_path / "new.yaml").read_text())
    assert "copy-t2" in run("lint").output
    assert "copy-t2" in run("show").output


def test_a_file_becomes_the_draft_and_then_the_rules_in_force(run: Run) -> None:
    imported = run("import", "new.yaml")
    assert "draft 2, begun as version" in imported.output
    assert f"last changed by {getpass.getuser()}" in imported.output
    assert "copy-t2" in run("lint").output
    assert "draft 2" in run("show").output

    different = run("diff").output
    assert "copy-t1 added" in different
    assert "copy-t2 removed" in different
    assert "+name: copy-t1" in different

    published = run("publish", *REASON)
    assert published.returncode == 0, published.output
    assert f"by {getpass.getuser()}: the new scanner names it otherwise" in published.output
    assert "✓ copy-t1 (enabled)" in run("lint").output
    assert run("publish", *REASON).returncode == 1
    assert "dicomnode rules import" in run("publish", *REASON).output


def test_a_file_is_published_at_once_and_rolled_back(run: Run) -> None:
    assert run("publish", "new.yaml", *REASON).returncode == 0
    new, first = _versions(run)
    back = run("rollback", first, "--reason", "it fired for knees")
    assert back.returncode == 0
    assert f"version {first} is again in force" in back.output
    assert _versions(run) == [first, new, first]
    assert "They say the same." in run("diff", first, first).output
    assert run("rollback", first, "--reason", "once more").returncode == 1
    assert "no version of the rules" in run("rollback", "nothing", "--reason", "once more").output


def test_a_file_that_is_wrong_begins_no_draft_and_every_problem_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(COPY_RULE.replace("identity", "identiti").replace("[pacs]", "[packs]"))
    for words in (("lint", "bad.yaml"), ("import", "bad.yaml"), ("publish", "bad.yaml", *REASON)):
        told = run(*words)
        assert told.returncode == 1
        assert (
            "bad.yaml: rule 'copy-t2', then: no model 'identiti' is installed, did you mean 'identity'?" in told.output
        )
        assert "did you mean 'pacs'?" in told.output
    assert "draft" not in run("show").output
    assert "cannot be read" in run("lint", "nowhere.yaml").output


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_is_exported_is_imported_as_the_same(run: Run, tmp_path: Path, form: str) -> None:
    exported = run("export", *(["--json"] if form == "json" else [])).output
    (tmp_path / f"again.{form}").write_text(exported)
    assert run("import", f"again.{form}").returncode == 0
    assert "They say the same." in run("diff").output
    of_draft = run("export", "--version", "draft", "--json").output
    assert json.loads(of_draft) == json.loads(run("export", "--version", _versions(run)[0], "--json").output)
    assert "No draft is open." in run("discard").output
    assert "no draft" in run("export", "--version", "draft").output


def test_rules_are_tried_on_a_study_of_the_node_and_on_files(run: Run, decided: Bench, tmp_path: Path) -> None:
    assert "Rule copy-t2 would fire" in run("test", STUDY).output
    missed = run("test", STUDY, "--rules", "new.yaml").output
    assert "Rule copy-t1 would not fire" in missed
    assert "nearest is" in missed
    assert "no instance of that study" in run("test", "1.2.3").output
    write_series(tmp_path / "study", t2())
    assert "Rule copy-t2 would fire" in run("test", "study").output


def test_what_if_lists_the_studies_that_would_be_decided_otherwise(run: Run, decided: Bench) -> None:
    told = run("whatif", "new.yaml").output
    assert STUDY in told
    assert "fires → not asked" in told
    assert "1 of 1 studies would be decided otherwise" in told
    assert "0 of 1 studies" in run("whatif", "rules.yaml", "--study", STUDY).output
    assert "0 of 0 studies" in run("whatif", "rules.yaml", "--days", "0").output
    assert run("whatif").returncode == 1
    run("import", "new.yaml")
    assert "1 of 1 studies" in run("whatif").output


def test_with_a_second_person_nobody_publishes_alone(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "dicomnode.toml").open("a") as settings:
        settings.write("rules_second_person = true\n")
    alone = run("publish", "new.yaml", *REASON)
    assert alone.returncode == 1
    assert "nobody has proposed" in alone.output
    assert "is proposed by" in run("propose", *REASON).output
    assert "proposed by" in run("show").output
    assert "took part in this draft" in run("publish", *REASON).output
    assert len(_versions(run)) == 1


def test_facts_are_found_by_what_they_are_called_or_mean(run: Run) -> None:
    by_name = run("facts", "weighting").output.splitlines()
    assert by_name[1].split()[:2] == ["series", "Weighting"]
    assert "RepetitionTime" in run("facts", "repetition time").output
    assert "ProcedureCodeSequence.CodeValue" in run("facts", "ProcedureCodeSequence.CodeValue").output
    assert len(run("facts", "--limit", "3").output.splitlines()) == 4
    assert "No fact is called anything like" in run("facts", "phase of the moon").output
