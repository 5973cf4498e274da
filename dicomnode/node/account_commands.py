"""The commands `dicomnode account …` and `dicomnode token …`: who may log in, beside the running node or before it.

A password is read from the terminal or from standard input, never from the command line, which others may see.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dicomnode.domain.account import AccountName, AccountRole, Permission
from dicomnode.domain.errors import InvalidValue
from dicomnode.node.settings import read_settings

if TYPE_CHECKING:
    from dicomnode.journey.accounts import Accounts
    from dicomnode.journey.tokens import By

account_app = typer.Typer(no_args_is_help=True, help="See, add and change who may log in.")
token_app = typer.Typer(no_args_is_help=True, help="See, make and revoke the tokens of programs.")
_console = Console()

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file; left out: dicomnode.toml in this folder, if there is one.")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the node's spool and database.")]
Name = Annotated[str, typer.Argument(help="Name of the account.")]
Roles = Annotated[list[AccountRole], typer.Option("--role", help="What it is to the node; repeatable.")]


@account_app.command("list")
def account_list(settings: SettingsFile = None, data: DataFolder = None) -> None:
    """List the accounts, their roles and when each logged in last."""
    with _accounts(settings, data) as (accounts, _by):
        found = accounts.accounts()
    table = Table(box=None, pad_edge=False)
    for column in ("name", "roles", "logs in by", "last login"):
        table.add_column(column, overflow="fold")
    for one in found:
        by = one.subject.issuer if one.subject else "password" if one.has_password else "nothing"
        last = f"{one.logged_in_at.astimezone():%Y-%m-%d %H:%M}" if one.logged_in_at else "never"
        name = f"{one.name} (shut)" if one.disabled else one.name
        table.add_row(escape(name), ", ".join(sorted(one.roles)), escape(by), last)
    _console.print(table if found else "There is no account yet; `dicomnode account add NAME --role administrator`.")


@account_app.command("add")
def account_add(name: Name, role: Roles, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Add an account; its password is asked for."""
    account, password = _name(name), _password()
    with _accounts(settings, data) as (accounts, by):
        accounts.add(account, password, role, by)
    _console.print(f"{escape(account)} may log in now", highlight=False)


@account_app.command("password")
def account_password(name: Name, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Give an account another password; wherever it is logged in, it no longer is."""
    account, password = _name(name), _password()
    with _accounts(settings, data) as (accounts, by):
        accounts.set_password(account, password, by)
    _console.print(f"{escape(account)} has another password now", highlight=False)


@account_app.command("roles")
def account_roles(name: Name, role: Roles, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Give an account other roles, in place of those that it has."""
    with _accounts(settings, data) as (accounts, by):
        accounts.change_roles(_name(name), role, by)
    _console.print(f"{escape(name)} has other roles now", highlight=False)


@account_app.command("disable")
def account_disable(name: Name, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Shut an account: its sessions end, and its tokens let nobody in."""
    with _accounts(settings, data) as (accounts, by):
        accounts.disable(_name(name), by)
    _console.print(f"{escape(name)} is shut", highlight=False)


@account_app.command("enable")
def account_enable(name: Name, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Open an account again."""
    with _accounts(settings, data) as (accounts, by):
        accounts.enable(_name(name), by)
    _console.print(f"{escape(name)} may log in again", highlight=False)


@token_app.command("list")
def token_list(settings: SettingsFile = None, data: DataFolder = None) -> None:
    """List the tokens of all accounts, the latest first."""
    from dicomnode.node.clock import SystemClock

    with _accounts(settings, data) as (accounts, _by):
        found = accounts.tokens.tokens()
    table = Table(box=None, pad_edge=False)
    for column in ("token", "account", "name", "may", "last used", "state"):
        table.add_column(column, overflow="fold")
    for one in found:
        used = f"{one.used_at.astimezone():%Y-%m-%d %H:%M}" if one.used_at else "never"
        state = "good" if one.is_alive(SystemClock().now()) else "revoked" if one.revoked_at else "over"
        table.add_row(
            one.prefix, escape(one.account), escape(one.name), ", ".join(sorted(one.permissions)), used, state
        )
    _console.print(table if found else "There is no token yet; `dicomnode token add ACCOUNT NAME --may …`.")


@token_app.command("add")
def token_add(
    account: Annotated[str, typer.Argument(help="Name of the account that it belongs to.")],
    name: Annotated[str, typer.Argument(help="What it is for.")],
    may: Annotated[list[Permission], typer.Option(help="What it may, of what its account may; repeatable.")],
    days: Annotated[float | None, typer.Option(help="How long it lasts; left out: until it is revoked.")] = None,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Make a token for a program and print it, this once: `Authorization: Bearer TOKEN`, or the password of Basic."""
    with _accounts(settings, data) as (accounts, by):
        made = accounts.tokens.make(_name(account), name, set(may), days, by)
    _console.print(made.secret, soft_wrap=True, highlight=False, markup=False)


@token_app.command("revoke")
def token_revoke(
    token: Annotated[str, typer.Argument(help="Its public name, as `dicomnode token list` gives it.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Let nobody in by a token any more."""
    with _accounts(settings, data) as (accounts, by):
        accounts.tokens.revoke(token, by)
    _console.print(f"{escape(token)} lets nobody in any more", highlight=False)


def _name(text: str) -> AccountName:
    try:
        return AccountName(text)
    except InvalidValue as error:
        raise typer.BadParameter(error.reason) from error


def _password() -> str:
    """Ask for a password twice, or take one line of standard input where nobody types."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


@contextmanager
def _accounts(settings: Path | None, data: Path | None) -> "Iterator[tuple[Accounts, By]]":
    """Open the accounts of the node, beside the running node or before its first start."""
    from dicomnode.journey.accounts import Accounts
    from dicomnode.journey.tokens import By
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.records import open_ledger
    from dicomnode.node.web_access import who_runs

    read = read_settings(settings, **({} if data is None else {"data": data}))
    with open_ledger(read, create=True) as ledger:
        yield Accounts(ledger, SystemClock()), By(who=f"{who_runs()} at the command line")
