"""The peers of the node as rows: who they are, and when this node and they last asked each other by C-ECHO."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import CursorResult

from dicomnode.domain.delivery import Endpoint
from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.peer import EchoOutcome, Peer
from dicomnode.domain.tls import CallingTls, KeyPair
from dicomnode.domain.uids import AETitle
from dicomnode.ledger.tables import PeerRow
from dicomnode.ledger.transaction import Transaction, insert_new


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRecord:
    """A peer as the ledger holds it."""

    peer: Peer
    changed_at: datetime
    echo: EchoOutcome | None = None
    """The last C-ECHO of this node to it; None: there was none."""
    heard_at: datetime | None = None
    """When it last asked by C-ECHO whether this node is there, and from which address."""
    heard_from: str = ""


def list_peers(tx: Transaction) -> tuple[PeerRecord, ...]:
    """List all peers by their titles."""
    rows = tx.session.execute(sa.select(PeerRow).order_by(PeerRow.ae_title)).scalars()
    return tuple(_record_of(row) for row in rows)


def find_peer(tx: Transaction, ae_title: AETitle) -> PeerRecord:
    """Read one peer; raises NotInLedger."""
    row = tx.session.get(PeerRow, ae_title)
    if row is None:
        raise NotInLedger(f"{ae_title} is no peer of this node")
    return _record_of(row)


def find_endpoint(tx: Transaction, ae_title: AETitle) -> Endpoint | None:
    """Say where a title listens; None when it is no peer, or nobody knows."""
    row = tx.session.get(PeerRow, ae_title)
    return None if row is None else _record_of(row).peer.endpoint


def add_peer(tx: Transaction, peer: Peer, at: datetime) -> bool:
    """Add a peer unless one of its title is there; says whether it was added."""
    return insert_new(
        tx, PeerRow, ae_title=peer.ae_title, **_values(peer), changed_at=at, echo_failure="", heard_from=""
    )


def change_peer(tx: Transaction, peer: Peer, at: datetime) -> None:
    """Put a peer in the place of the one of its title; raises NotInLedger."""
    _update(tx, peer.ae_title, **_values(peer), changed_at=at)


def remove_peer(tx: Transaction, ae_title: AETitle) -> None:
    """Forget a peer; raises NotInLedger."""
    deleted = tx.session.execute(sa.delete(PeerRow).where(PeerRow.ae_title == ae_title))
    if not cast(CursorResult[Any], deleted).rowcount:
        raise NotInLedger(f"{ae_title} is no peer of this node")


def note_echo(tx: Transaction, ae_title: AETitle, outcome: EchoOutcome) -> None:
    """Record what came of a C-ECHO to a peer; raises NotInLedger."""
    _update(
        tx,
        ae_title,
        echoed_at=outcome.at,
        echo_milliseconds=outcome.milliseconds,
        echo_failure=outcome.failure,
    )


def note_heard(tx: Transaction, ae_title: AETitle, peer_address: str, at: datetime) -> None:
    """Record that a title asked by C-ECHO; of one that is no peer nothing is kept."""
    heard = sa.update(PeerRow).where(PeerRow.ae_title == ae_title).values(heard_at=at, heard_from=peer_address)
    tx.session.execute(heard)


def _update(tx: Transaction, ae_title: AETitle, **values: Any) -> None:  # noqa: ANN401  any column
    changed = tx.session.execute(sa.update(PeerRow).where(PeerRow.ae_title == ae_title).values(**values))
    if not cast(CursorResult[Any], changed).rowcount:
        raise NotInLedger(f"{ae_title} is no peer of this node")


def _values(peer: Peer) -> dict[str, Any]:
    return {
        "networks": [str(network) for network in peer.networks],
        "host": peer.host,
        "port": peer.port,
        **_tls_values(peer.tls),
        "maximum_associations": peer.maximum_associations,
        "description": peer.description,
    }


def _tls_values(tls: CallingTls | None) -> dict[str, Any]:
    pair = tls.pair if tls else None
    return {
        "tls_trusted": str(tls.trusted) if tls else None,
        "tls_certificate": str(pair.certificate) if pair else None,
        "tls_key": str(pair.key) if pair else None,
        "tls_check_host_name": tls.check_host_name if tls else None,
    }


def _tls_of(row: PeerRow) -> CallingTls | None:
    if row.tls_trusted is None:
        return None
    pair = None
    if row.tls_certificate is not None and row.tls_key is not None:
        pair = KeyPair(certificate=Path(row.tls_certificate), key=Path(row.tls_key))
    return CallingTls(trusted=Path(row.tls_trusted), pair=pair, check_host_name=row.tls_check_host_name is not False)


def _record_of(row: PeerRow) -> PeerRecord:
    return PeerRecord(
        peer=Peer(
            ae_title=AETitle(row.ae_title),
            networks=tuple(ip_network(network) for network in row.networks),
            host=row.host,
            port=row.port,
            tls=_tls_of(row),
            maximum_associations=row.maximum_associations,
            description=row.description,
        ),
        changed_at=row.changed_at,
        echo=None
        if row.echoed_at is None
        else EchoOutcome(at=row.echoed_at, milliseconds=row.echo_milliseconds or 0.0, failure=row.echo_failure),
        heard_at=row.heard_at,
        heard_from=row.heard_from,
    )
