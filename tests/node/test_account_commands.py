"""The commands of accounts and tokens: passwords by standard input, never by the command line or the screen."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from rich.console import Console

from dicomnode.domain.account import AccountName
from dicomnode.journey.accounts import Accounts
from dicomnode.ledger.audit import AuditQuery, list_audit
from dicomnode.ledger.transaction import Ledger
from dicomnode.node import account_commands, cli
from dicomnode.node.clock import SystemClock
from dicomnode.node.settings import Settings, as_environment
from dicomnode.node.web_settings import LoginMode
from tests.nodes import free_port, wait_until

PASSWORD = "correct horse battery"


def _run(folder: Path, *words: str, typed: str = "") -> tuple[int, str]:
    screen = io.StringIO()
    console = Console(file=screen, width=200)
    with (
        contextlib.chdir(folder),
        patch.object(cli, "_console", console),
        patch.object(account_commands, "_console", console),
        patch.object(sys, "argv", ["dicomnode", *words]),
        patch.object(sys, "stdin", io.StringIO(typed)),
        contextlib.redirect_stdout(screen),
        contextlib.redirect_stderr(screen),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            return int(ended.code or 0), screen.getvalue()
    return 0, screen.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert _run(tmp_path, "account", "add", "ann", "--role", "administrator", typed=f"{PASSWORD}\n")[0] == 0
    return tmp_path


def test_an_account_that_is_made_here_may_log_in(folder: Path) -> None:
    ledger = Ledger(f"sqlite:///{folder / 'var' / 'ledger.db'}")
    accounts = Accounts(ledger, SystemClock())
    assert accounts.logins.log_in("ann", PASSWORD, "10.0.0.1")
    with ledger.transaction() as tx:
        trail = list_audit(tx, AuditQuery())
    ledger.close()
    assert trail[-1].event.who.endswith(" at the command line")
    assert PASSWORD not in repr(trail)


def test_accounts_are_listed_changed_and_shut(folder: Path) -> None:
    assert _run(folder, "account", "add", "bob", "--role", "viewer", typed=PASSWORD)[0] == 0
    assert _run(folder, "account", "roles", "bob", "--role", "operator", "--role", "viewer")[0] == 0
    assert _run(folder, "account", "password", "bob", typed="another good password")[0] == 0
    assert _run(folder, "account", "disable", "bob")[0] == 0
    told = _run(folder, "account", "list")[1]
    assert "bob (shut)" in told
    assert "operator, viewer" in told
    assert PASSWORD not in told
    assert _run(folder, "account", "enable", "bob")[0] == 0


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("account", "add", "ann", "--role", "viewer"), PASSWORD, "there is an account ann already"),
        (("account", "add", "bob", "--role", "viewer"), "short", "a password has 12 to 256 characters"),
        (("account", "add", "bob", "--role", "viewer"), "", "a password has 12 to 256 characters"),
        (("account", "disable", "ann"), "", "nobody would be left"),
        (("account", "disable", "carl"), "", "there is no account carl"),
        (("token", "add", "carl", "x", "--may", "store"), "", "there is no account carl"),
        (("token", "revoke", "dn_x"), "", "there is no such token"),
    ],
)
def test_what_cannot_be_ends_with_its_reason(folder: Path, words: tuple[str, ...], typed: str, said: str) -> None:
    code, told = _run(folder, *words, typed=typed)
    assert code == 1
    assert said in told
    assert "Traceback" not in told


def test_no_command_takes_a_password_as_a_word(folder: Path) -> None:
    assert _run(folder, "account", "add", "bob", PASSWORD, "--role", "viewer")[0] == 2
    assert _run(folder, "account", "add", "bob", "--password", PASSWORD, "--role", "viewer")[0] == 2


def test_a_token_is_printed_once_listed_by_its_name_and_revoked(folder: Path) -> None:
    code, told = _run(folder, "token", "add", "ann", "router", "--may", "store", "--may", "see-studies", "--days", "30")
    assert code == 0
    token = told.strip()
    listed = _run(folder, "token", "list")[1]
    prefix = "_".join(token.split("_")[:2])
    assert prefix in listed
    assert token not in listed
    assert _run(folder, "token", "revoke", prefix)[0] == 0
    assert "revoked" in _run(folder, "token", "list")[1]


def test_the_first_start_tells_a_link_that_works_once(tmp_path: Path) -> None:
    """In a process of its own, as an administrator starts it; what it prints is no terminal here."""
    settings = Settings(data=tmp_path / "var", dicom_port=free_port(), web_port=free_port(), receivers=1)
    assert settings.login is LoginMode.REQUIRED
    with (tmp_path / "node.log").open("wb") as log:
        node = subprocess.Popen(
            [sys.executable, "-m", "dicomnode.node.cli", "serve"],
            stdout=log,
            stderr=log,
            cwd=tmp_path,
            env=as_environment(settings),
        )
    file = tmp_path / "var" / "setup-link"
    try:
        wait_until(lambda: "first account" in (tmp_path / "node.log").read_text(), 60, "the link to be told")
        said = (tmp_path / "node.log").read_text()
        link = file.read_text().strip()
        assert file.stat().st_mode & 0o777 == 0o600
        assert link.startswith(f"{settings.web_url}/setup?token=")
        assert "setup-link" in said
        assert link.partition("=")[2] not in said
        ledger = Ledger(settings.database_url)
        accounts = Accounts(ledger, SystemClock())
        accounts.set_up(link.partition("=")[2], "ann", PASSWORD, "127.0.0.1")
        assert accounts.find(AccountName("ann")).has_password
        with ledger.transaction() as tx:
            actions = {one.event.action for one in list_audit(tx, AuditQuery())}
        ledger.close()
        assert {"start", "settings", "account"} <= actions
    finally:
        node.terminate()
        node.wait()
