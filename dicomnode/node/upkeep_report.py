"""What upkeep of the spool found, in a terminal: the reconciliation with the ledger, and the quarantine."""

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from dicomnode.journey.reconcile import Reconciliation
from dicomnode.ledger.quarantine import Quarantined


def reconciliation_table(done: Reconciliation, *, deep: bool) -> Table:
    """Lay out the counts, each with what it means for the person who reads it."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_row(str(done.files), "files compared")
    table.add_row(str(done.rows), "instances in the ledger")
    _add_count(table, len(done.set_aside), "files that nobody was told were kept, now in quarantine")
    _add_count(table, done.recorded, "files that lay in quarantine without being listed, now listed")
    _add_count(table, len(done.missing), "instances whose file is missing")
    if deep:
        _add_count(table, len(done.damaged), "instances whose file changed since it was kept")
    return table


def _add_count(table: Table, count: int, meaning: str) -> None:
    table.add_row(Text(str(count), style="red" if count else "green"), meaning)


def disagreements(done: Reconciliation) -> Iterator[str]:
    """Name every instance whose file is not as it was kept: state, study, instance and file, a line each."""
    for state, files in (("missing", done.missing), ("damaged", done.damaged)):
        for file in files:
            yield f"{state}  study {file.study_instance_uid}  instance {file.sop_instance_uid}  file {file.path}"


def quarantine_table(entries: Sequence[Quarantined]) -> Table:
    """List what is in quarantine."""
    table = Table(box=None, pad_edge=False)
    for column in ("ID", "since", "from", "SOP Instance UID", "bytes", "why"):
        table.add_column(column, justify="right" if column in ("ID", "bytes") else "left", overflow="fold")
    for entry in entries:
        sender = f"{entry.calling_ae or 'unknown'} {entry.peer_address}".rstrip()
        since = f"{entry.at.astimezone():%Y-%m-%d %H:%M}"
        instance = entry.sop_instance_uid or "unknown"
        table.add_row(str(entry.id), since, sender, instance, str(entry.size), entry.reason)
    return table


def entry_table(entry: Quarantined, file: str, obstacle: str | None) -> Table:
    """Show one entry, where its file is, and whether it could be released now."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in (
        ("ID", str(entry.id)),
        ("since", f"{entry.at.astimezone():%Y-%m-%d %H:%M:%S}"),
        ("from", f"{entry.calling_ae or 'unknown'} {entry.peer_address}".rstrip()),
        ("SOP Instance UID", entry.sop_instance_uid or "unknown"),
        ("why", entry.reason),
        ("file", file),
        ("bytes", str(entry.size)),
        ("release", f"not possible: {obstacle}" if obstacle else "possible"),
    ):
        table.add_row(name, Text(value))
    return table
