"""Retention as an administrator asks for it: told before anything is done, and done slowly."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicomnode.engine.queues import Queues
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.retaining import retention_policy
from dicomnode.node.settings import DestinationSettings, Settings
from dicomnode.spool.store import Spool
from tests.conftest import FakeClock
from tests.journey.bench import STUDY, Bench
from tests.journey.retaining import a_delivered_study, files
from tests.node.test_cli import _run

AT_ONCE_DAYS = 1e-9


@pytest.fixture
def bench(sqlite_template: Path, tmp_path: Path) -> Iterator[Bench]:
    """The data folder of a node that is not running, with a study that is done with."""
    (tmp_path / "var").mkdir()
    shutil.copyfile(sqlite_template, tmp_path / "var" / "ledger.db")
    ledger = Ledger(f"sqlite:///{tmp_path / 'var' / 'ledger.db'}")
    queues = Queues(ledger)
    clock = FakeClock(datetime.now(UTC) - timedelta(days=40))
    made = Bench(ledger, Spool(tmp_path / "var" / "spool"), queues, clock)
    a_delivered_study(made)
    yield made
    queues.close()
    ledger.close()


def _configure(folder: Path, **settings: object) -> None:
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    destination = '[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n'
    (folder / "dicomnode.toml").write_text("".join(lines) + destination)


def _words(text: str) -> str:
    return " ".join(text.split())


def test_without_a_setting_it_says_that_nothing_is_removed(bench: Bench, tmp_path: Path) -> None:
    told = _run(tmp_path, "retention")
    assert told.returncode == 0, told.stdout
    assert "keep_days" in told.stdout
    assert "0 of 1 studies would be removed now, 0.0 MB." in _words(told.stdout)


def test_it_tells_what_keeps_a_study_and_changes_nothing(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    _configure(tmp_path, keep_days=30)
    told = _run(tmp_path, "retention")
    assert "it is kept until" in _words(told.stdout)
    assert "0 of 1 studies would be removed now" in _words(told.stdout)
    _configure(tmp_path, keep_days=AT_ONCE_DAYS)
    bench.operator.resend(bench.derivations()[0].key, "pacs")
    assert "0 of 1 studies would be removed now" in _words(_run(tmp_path, "retention").stdout)
    assert len(bench.instances()) == 6


def test_a_study_that_is_held_stays_until_it_is_given_free(bench: Bench, tmp_path: Path) -> None:
    _configure(tmp_path, keep_days=AT_ONCE_DAYS)
    held = _run(tmp_path, "retention", "hold", STUDY, "--reason", "a [teaching] case")
    assert "a [teaching] case" in held.stdout
    assert "0 of 1 studies would be removed now" in _words(_run(tmp_path, "retention").stdout)
    _run(tmp_path, "retention", "release", STUDY)
    assert "1 of 1 studies would be removed now" in _words(_run(tmp_path, "retention").stdout)
    unknown = _run(tmp_path, "retention", "hold", "1.2.3", "--reason", "none")
    assert unknown.returncode == 1
    assert "holds no instances" in unknown.stdout


def test_on_request_it_removes_at_once(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _configure(tmp_path, keep_days=AT_ONCE_DAYS)
    monkeypatch.setattr("dicomnode.journey.retain.SETTLED", timedelta(0))
    told = _run(tmp_path, "retention", "--now")
    assert f"removed study {STUDY}: 6 instances" in _words(told.stdout)
    assert bench.instances() == ()
    assert files(bench) == []
    assert "No study has images here." in _run(tmp_path, "retention").stdout


def test_the_policy_comes_from_the_settings(tmp_path: Path) -> None:
    asked = DestinationSettings(name="asked", ae_title="A", host="h", port=1, dicomweb_url="http://h/dicom-web")
    silent = DestinationSettings(name="silent", ae_title="B", host="h", port=1)
    policy = retention_policy(Settings(data=tmp_path, keep_days=2, make_room=True, destinations=(asked, silent)))
    assert (policy.keep, policy.make_room, policy.asked) == (timedelta(days=2), True, frozenset({"asked"}))
    assert retention_policy(Settings(data=tmp_path)).keep is None
