"""The results as tables: in Markdown, which reads as text too."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from deploy.bench.measure import Failure
from deploy.bench.plan import LABELS
from deploy.bench.statistic import Spread
from deploy.bench.summary import IdleSummary, Summary
from deploy.bench.targets import Verdict

_COLUMNS = (
    *("server", "n", "instances/s", "MB/s", "CPU s/GB", "CPU / storescp", "p50 ms", "p95 ms", "p99 ms"),
    *("association ms", "peak RSS MB", "RSS growth MB"),
)
_DATA = {"mr": "MR, 132 kB", "ct": "CT, 526 kB", "enhanced": "enhanced MR, 210 MB"}
_MEDIA = {"disk": "on disk, each server as it ships", "memory": "in memory (tmpfs), nobody syncs"}
_CLIENTS = {"own": "fast sender", "storescu": "DCMTK storescu as shipped", "dcmsend": "DCMTK dcmsend as shipped"}
_WORDS = {True: "holds", False: "MISSED", None: "not measured"}
_LOUD = 100


def report(
    summaries: Iterable[Summary],
    idle: Sequence[IdleSummary],
    verdicts: Sequence[Verdict],
    failures: Sequence[Failure],
) -> str:
    """Write everything that was found; medians, with the least and the most of all repetitions in brackets."""
    parts = [
        _table(_heading(cell), _COLUMNS, (_row(one) for one in group))
        for cell, group in groupby(summaries, key=lambda one: one.cell)
    ]
    if idle:
        rows = ([LABELS[one.server], str(one.asked), str(one.accepted), _with_range(one.cpu_percent)] for one in idle)
        parts.append(_table("idle associations", ("server", "asked", "accepted", "CPU %"), rows))
    promises = (
        [one.text, f"{'≤' if one.at_most else '≥'} {one.limit:g}", _number(one.measured), _WORDS[one.holds]]
        for one in verdicts
    )
    parts.append(_table("targets", ("what", "target", "measured", ""), promises))
    if failures:
        problems = ([one.name, str(one.repetition), one.problem.replace("\n", " ")] for one in failures)
        parts.append(_table("measurements that failed", ("measurement", "repetition", "problem"), problems))
    return "\n".join(parts)


def _heading(cell: str) -> str:
    medium, data, senders, client = cell.split("/")
    return f"{_DATA[data]}, {senders} at once, {_CLIENTS[client]}, {_MEDIA[medium]}"


def _row(one: Summary) -> list[str]:
    return [
        LABELS[one.server],
        str(one.instances_per_second.n),
        _with_range(one.instances_per_second),
        _median(one.mb_per_second),
        _with_range(one.cpu_seconds_per_gb),
        _with_range(one.cpu_ratio),
        _median(one.p50_ms),
        _median(one.p95_ms),
        _median(one.p99_ms),
        _median(one.association_ms),
        _median(one.resident_peak),
        _median(one.resident_growth),
    ]


def _median(found: Spread | None) -> str:
    return _number(found.median if found else None)


def _with_range(found: Spread | None) -> str:
    if found is None:
        return "–"
    if found.n == 1:
        return _number(found.median)
    return f"{_number(found.median)} ({_number(found.least)}–{_number(found.most)})"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= _LOUD else f"{value:.2f}"


def _table(heading: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay a table out in columns of equal width."""
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    return "\n".join((f"### {heading}", "", *_lines(cells, widths), ""))


def _lines(cells: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    for number, row in enumerate(cells):
        yield "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
        if number == 0:
            yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
