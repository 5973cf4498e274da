"""What this node promises of its reception, held against what was measured."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from deploy.bench.plan import LABELS, ServerName
from deploy.bench.statistic import Spread
from deploy.bench.summary import IdleSummary, Summary

_OWN_CPU, _SHIPPED_CPU, _TIMES_ORTHANC = 0.8, 1.3, 3.0
_P50_MS, _ASSOCIATION_MS, _HELD_BACK_RATE = 1.0, 5.0, 500.0
_GROWTH_MB, _IDLE_PERCENT, _IDLE_ASSOCIATIONS = 10.0, 2.0, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One promise: what was asked, what came out (a median; None: not measured in this run), and whether it holds."""

    text: str
    limit: float
    at_most: bool
    measured: float | None

    @property
    def holds(self) -> bool | None:
        """Whether the promise holds; None when nothing was measured."""
        if self.measured is None:
            return None
        return self.measured <= self.limit if self.at_most else self.measured >= self.limit


_Find = Callable[[str, ServerName], Summary | None]


def judge(summaries: Iterable[Summary], idle: Iterable[IdleSummary]) -> list[Verdict]:
    """Hold every promise against what was measured."""
    known = {(one.cell, one.server): one for one in summaries}

    def find(cell: str, server: ServerName) -> Summary | None:
        return known.get((cell, server))

    return [
        *_listener_cpu(find),
        *_shipped_cpu(find),
        *_times_orthanc(find),
        *_waiting(find),
        *_growth(find),
        *_idle(idle),
    ]


def _receivers(one: ServerName, two: ServerName, senders: int) -> tuple[ServerName, ...]:
    return (one,) if senders == 1 else (one, two)


def _listener_cpu(find: _Find) -> Iterator[Verdict]:
    for data in ("mr", "ct"):
        for senders in (1, 8):
            for server in _receivers(ServerName.LISTENER, ServerName.LISTENER_2, senders):
                found = find(f"memory/{data}/{senders}/own", server)
                text = f"{LABELS[server]}: CPU / storescp, {_load(data, senders)}"
                yield _at_most(text, _OWN_CPU, found.cpu_ratio if found else None)


def _shipped_cpu(find: _Find) -> Iterator[Verdict]:
    for data in ("mr", "ct"):
        for senders in (1, 4, 8):
            for server in _receivers(ServerName.NODE, ServerName.NODE_2, senders):
                found = find(f"disk/{data}/{senders}/own", server)
                text = f"{LABELS[server]}: CPU / storescp, {_load(data, senders)}"
                yield _at_most(text, _SHIPPED_CPU, found.cpu_ratio if found else None)


def _times_orthanc(find: _Find) -> Iterator[Verdict]:
    for data in ("mr", "ct"):
        for senders in (1, 4, 8):
            cell = f"disk/{data}/{senders}/own"
            orthanc = _median(find(cell, ServerName.ORTHANC))
            for server in _receivers(ServerName.NODE, ServerName.NODE_2, senders):
                own = _median(find(cell, server))
                yield Verdict(
                    text=f"{LABELS[server]}: instances/s / Orthanc, {_load(data, senders)}",
                    limit=_TIMES_ORTHANC,
                    at_most=False,
                    measured=own / orthanc if own and orthanc else None,
                )


def _median(found: Summary | None) -> float | None:
    return found.instances_per_second.median if found else None


def _waiting(find: _Find) -> Iterator[Verdict]:
    label = LABELS[ServerName.NODE]
    single = find("disk/mr/1/own", ServerName.NODE)
    yield _at_most(f"{label}: ms an MR instance, p50", _P50_MS, single.p50_ms if single else None)
    yield _at_most(f"{label}: ms an association", _ASSOCIATION_MS, single.association_ms if single else None)
    for client in ("storescu", "dcmsend"):
        yield Verdict(
            text=f"{label}: MR instances/s from {client} as shipped",
            limit=_HELD_BACK_RATE,
            at_most=False,
            measured=_median(find(f"disk/mr/1/{client}", ServerName.NODE)),
        )


def _growth(find: _Find) -> Iterator[Verdict]:
    for cell, server in (("memory", ServerName.LISTENER), ("disk", ServerName.NODE)):
        found = find(f"{cell}/enhanced/1/own", server)
        text = f"{LABELS[server]}: MB of RSS more for an object of 210 MB"
        yield _at_most(text, _GROWTH_MB, found.resident_growth if found else None)


def _idle(summaries: Iterable[IdleSummary]) -> Iterator[Verdict]:
    label = LABELS[ServerName.NODE]
    found = {(one.server, one.asked): one for one in summaries}.get((ServerName.NODE, _IDLE_ASSOCIATIONS))
    yield _at_most(f"{label}: % of a core while idle", _IDLE_PERCENT, found.cpu_percent if found else None)
    yield Verdict(
        text=f"{label}: idle associations let in",
        limit=_IDLE_ASSOCIATIONS,
        at_most=False,
        measured=found.accepted if found else None,
    )


def _load(data: str, senders: int) -> str:
    return f"{data.upper()}, {senders} at once"


def _at_most(text: str, limit: float, measured: Spread | None) -> Verdict:
    return Verdict(text=text, limit=limit, at_most=True, measured=measured.median if measured else None)
