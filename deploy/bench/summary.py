"""What many measurements say together: medians, spreads, and ratios to storescp in the same cell and repetition."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploy.bench.measure import IdleMeasurement, Measurement
from deploy.bench.plan import ServerName
from deploy.bench.statistic import Spread, spread, spread_of_known

_YARDSTICK = ServerName.STORESCP


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How one server did in one cell, over all repetitions; None where a sender does not tell."""

    cell: str
    server: ServerName
    instances_per_second: Spread
    mb_per_second: Spread
    cpu_seconds_per_gb: Spread
    cpu_ratio: Spread | None
    """Processor time over that of storescp in the same cell and repetition."""
    p50_ms: Spread | None
    p95_ms: Spread | None
    p99_ms: Spread | None
    association_ms: Spread
    resident_peak: Spread
    resident_growth: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleSummary:
    """What idle associations cost a server; `accepted` is the least number it let in."""

    server: ServerName
    asked: int
    accepted: int
    cpu_percent: Spread


def summarise(measurements: Iterable[Measurement]) -> list[Summary]:
    """Sum measurements up by cell and server, cells in the order in which they came."""
    groups: dict[str, dict[ServerName, list[Measurement]]] = {}
    for one in measurements:
        groups.setdefault(one.cell, {}).setdefault(one.server, []).append(one)
    return [
        _summary(servers[server], servers.get(_YARDSTICK, ()))
        for servers in groups.values()
        for server in ServerName
        if server in servers
    ]


def summarise_idle(measurements: Iterable[IdleMeasurement]) -> list[IdleSummary]:
    """Sum up what idle associations cost, by server and number."""
    groups: dict[tuple[ServerName, int], list[IdleMeasurement]] = {}
    for one in measurements:
        groups.setdefault((one.server, one.asked), []).append(one)
    return [
        IdleSummary(
            server=server,
            asked=asked,
            accepted=min(one.accepted for one in group),
            cpu_percent=spread([one.cpu_percent for one in group]),
        )
        for (server, asked), group in groups.items()
    ]


def _summary(group: Sequence[Measurement], yardstick: Sequence[Measurement]) -> Summary:
    costs = {one.repetition: one.cpu_seconds_per_gb for one in yardstick}
    ratios = [one.cpu_seconds_per_gb / costs[one.repetition] for one in group if one.repetition in costs]
    return Summary(
        cell=group[0].cell,
        server=group[0].server,
        instances_per_second=spread([one.instances_per_second for one in group]),
        mb_per_second=spread([one.mb_per_second for one in group]),
        cpu_seconds_per_gb=spread([one.cpu_seconds_per_gb for one in group]),
        cpu_ratio=spread_of_known(ratios),
        p50_ms=spread_of_known([one.outcome.p50_ms for one in group]),
        p95_ms=spread_of_known([one.outcome.p95_ms for one in group]),
        p99_ms=spread_of_known([one.outcome.p99_ms for one in group]),
        association_ms=spread([one.association_ms for one in group]),
        resident_peak=spread([one.resident_peak for one in group]),
        resident_growth=spread([one.resident_growth for one in group]),
    )
