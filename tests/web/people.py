"""Accounts for tests of the pages: one for each role, and browsers that are logged in."""

from dataclasses import dataclass

from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from dicomnode.domain.account import AccountName, AccountRole
from dicomnode.domain.ports import Clock
from dicomnode.journey.accounts import Accounts
from dicomnode.journey.logins import LoginPolicy
from dicomnode.journey.passwords import Passwords
from dicomnode.journey.tokens import By
from dicomnode.ledger.transaction import Ledger
from tests.web.holdings import HOST, Browser

PASSWORD = "correct horse battery"
FROM_HERE = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
"""What a browser says of a button on a page of the node."""
TESTER = By(who="tests")


@dataclass
class People:
    """The accounts of a node; each is called as its role."""

    accounts: Accounts

    def named(self, role: AccountRole) -> AccountName:
        """The account of a role, which is made where it is missing."""
        name = AccountName(role)
        if all(one.name != name for one in self.accounts.accounts()):
            self.accounts.add(name, PASSWORD, [role], TESTER)
        return name

    def browser(self, app: FastAPI, role: AccountRole, base_url: str = HOST) -> Browser:
        """A browser that is logged in, by the login page."""
        browser = Browser(app, base_url)
        log_in(browser, self.named(role))
        return browser


def people(ledger: Ledger, clock: Clock, policy: LoginPolicy | None = None) -> People:
    """Open the accounts of a node."""
    # At a cost that tests can pay many times.
    cheap = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))
    return People(Accounts(ledger, clock, policy, Passwords(cheap)))


def log_in(browser: Browser, name: str, password: str = PASSWORD, **fields: str) -> None:
    """Log in by the page; it must succeed."""
    form = {"name": name, "password": password, **fields}
    response = browser.post("/login", data=form, headers=FROM_HERE)
    assert response.status_code == 303, response.text
