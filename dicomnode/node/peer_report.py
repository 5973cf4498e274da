"""The peers of the node and who was turned away, in a terminal."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from dicomnode.domain.peer import EchoOutcome
from dicomnode.ledger.peers import PeerRecord
from dicomnode.ledger.refusals import RefusalRecord


def peer_table(records: Sequence[PeerRecord]) -> Table:
    """List peers: from where each may come, where it listens, and how the last C-ECHO each way went."""
    table = Table(box=None, pad_edge=False)
    for column in ("AE title", "may come from", "listens at", "at most", "echo to it", "echo from it", "description"):
        table.add_column(column, overflow="fold")
    for record in records:
        peer = record.peer
        table.add_row(
            Text(peer.ae_title),
            ", ".join(str(network) for network in peer.networks) or "anywhere",
            Text(f"{peer.host}:{peer.port}{' under TLS' if peer.tls else ''}" if peer.host else "–"),
            str(peer.maximum_associations or "–"),
            echo_text(record.echo),
            Text(f"{_local(record.heard_at)} from {record.heard_from}" if record.heard_at else "never"),
            Text(peer.description),
        )
    return table


def echo_text(echo: EchoOutcome | None) -> Text:
    """Say how the last C-ECHO to a peer went."""
    if echo is None:
        return Text("never")
    if echo.failure:
        return Text(f"✗ {_local(echo.at)} {echo.failure}", style="red")
    return Text(f"✓ {_local(echo.at)} in {echo.milliseconds:.0f} ms", style="green")


def refusal_table(refusals: Sequence[RefusalRecord]) -> Table:
    """List who was turned away, how often and since when, and what was said the last time."""
    table = Table(box=None, pad_edge=False)
    for column in ("last", "first", "times", "from", "calling", "called", "cause", "what happened"):
        table.add_column(column, justify="right" if column == "times" else "left", overflow="fold")
    for refusal in refusals:
        table.add_row(
            _local(refusal.last_at),
            _local(refusal.first_at),
            str(refusal.times),
            refusal.visitor.peer_address,
            Text(refusal.visitor.calling_ae or "–"),
            Text(refusal.visitor.called_ae or "–"),
            refusal.cause,
            Text(refusal.said),
        )
    return table


def _local(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
