"""How often passwords were tried in vain: what makes guessing slow, for all processes of a node together."""

from datetime import datetime

import sqlalchemy as sa

from dicomnode.ledger.account_tables import LoginFailureRow
from dicomnode.ledger.transaction import Transaction, insert_new

MOST_ROWS = 10_000


def count_attempt(tx: Transaction, name_digest: str, address: str, at: datetime, since: datetime) -> tuple[int, int]:
    """Count one attempt; says how many there now are for the name from this address, and from this address in all.

    What is older than `since` is forgotten. The count goes up before the password is looked at, so that many
    attempts at the same moment are not fewer than they are.
    """
    tx.session.execute(sa.delete(LoginFailureRow).where(LoginFailureRow.last_at < since))
    key = {"name_digest": name_digest, "address": address}
    if insert_new(tx, LoginFailureRow, **key, times=1, last_at=at):
        _make_room(tx)
    else:
        more = sa.update(LoginFailureRow).filter_by(**key).values(times=LoginFailureRow.times + 1, last_at=at)
        tx.session.execute(more)
    return count_attempts(tx, name_digest, address, since)


def count_attempts(tx: Transaction, name_digest: str, address: str, since: datetime) -> tuple[int, int]:
    """Say how many attempts were counted for a name from an address, and from the address in all."""
    rows = tx.session.execute(
        sa.select(LoginFailureRow.name_digest, LoginFailureRow.times).where(
            LoginFailureRow.address == address, LoginFailureRow.last_at >= since
        )
    ).all()
    return sum(times for name, times in rows if name == name_digest), sum(times for _name, times in rows)


def forget_attempts(tx: Transaction, name_digest: str, address: str) -> None:
    """Forget the attempts of whoever knew the password in the end."""
    tx.session.execute(sa.delete(LoginFailureRow).filter_by(name_digest=name_digest, address=address))


def _make_room(tx: Transaction) -> None:
    """Delete the oldest of more than so many rows: their addresses may be many."""
    oldest = tx.session.execute(
        sa.select(LoginFailureRow.last_at).order_by(LoginFailureRow.last_at.desc()).offset(MOST_ROWS).limit(1)
    ).scalar_one_or_none()
    if oldest is not None:
        tx.session.execute(sa.delete(LoginFailureRow).where(LoginFailureRow.last_at <= oldest))
