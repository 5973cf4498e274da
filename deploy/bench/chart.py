"""The results as a picture: what a gigabyte costs, and how many instances arrive."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from deploy.bench.plan import LABELS, ServerName
from deploy.bench.statistic import Spread
from deploy.bench.summary import Summary

_INK, _FAINT = "#1f2933", "#9aa5b1"
_COLOURS: Mapping[ServerName, str] = {
    ServerName.NODE: "#0b7a75",
    ServerName.NODE_2: "#0b7a75",
    ServerName.LISTENER: "#5fb49c",
    ServerName.LISTENER_2: "#5fb49c",
    ServerName.STORESCP: "#7b8794",
    ServerName.STORESCP_FORK: "#7b8794",
    ServerName.ORTHANC: "#c77700",
    ServerName.PYNETDICOM: "#8e5ea2",
}
_REMARKS = {ServerName.NODE: "\nsynced and recorded", ServerName.LISTENER: "\nno sync, no row"}
_MEDIUM: Mapping[ServerName, str] = {ServerName.LISTENER: "memory", ServerName.LISTENER_2: "memory"}
_COSTS = (("mr", 1, "o", True), ("mr", 8, "o", False), ("ct", 1, "s", True), ("ct", 8, "s", False))
_COST_LABELS = ("MR, 1 sender", "MR, 8 senders", "CT, 1 sender", "CT, 8 senders")
_COST_ORDER = (
    *(ServerName.LISTENER, ServerName.LISTENER_2, ServerName.NODE, ServerName.NODE_2),
    *(ServerName.STORESCP_FORK, ServerName.ORTHANC, ServerName.PYNETDICOM),
)
_RATE_ORDER = (
    *(ServerName.NODE_2, ServerName.NODE, ServerName.STORESCP_FORK, ServerName.STORESCP),
    *(ServerName.ORTHANC, ServerName.PYNETDICOM),
)
_SENDERS = (1, 4, 8)
_RATIO_TICKS, _RATE_TICKS = (0.5, 1, 2, 5, 10, 20), (100, 200, 500, 1000, 2000, 5000, 10000)
_CLOSEST_LABELS = 0.055
"""Two labels at the right edge stand at least so far apart, as a share of the height."""


def draw(summaries: Iterable[Summary], file: Path) -> None:
    """Draw the two panels and write them as PNG."""
    known = {(one.cell, one.server): one for one in summaries}
    figure = Figure(figsize=(12.8, 5.4), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    costs, rates = figure.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_costs(costs, known)
    _draw_rates(rates, known)
    figure.savefig(file)


def _draw_costs(axes: Axes, known: Mapping[tuple[str, ServerName], Summary]) -> None:
    """Draw a row for each server, a mark for each load: processor time per GB over storescp's."""
    _dress(axes, "Processor time per GB, storescp = 1 (less is better)")
    for row, server in enumerate(reversed(_COST_ORDER)):
        axes.axhline(row, color="#e4e7eb", linewidth=1, zorder=0)
        for place, (data, senders, marker, is_filled) in enumerate(_COSTS):
            cell = f"{_MEDIUM.get(server, 'disk')}/{data}/{senders}/own"
            found = known.get((cell, server))
            if found is None or found.cpu_ratio is None:
                continue
            height = row + 0.24 - 0.16 * place
            colour = _COLOURS[server]
            axes.plot((found.cpu_ratio.least, found.cpu_ratio.most), (height, height), color=colour, linewidth=1.2)
            fill = colour if is_filled else "white"
            axes.plot(found.cpu_ratio.median, height, marker, color=colour, markerfacecolor=fill, markersize=6)
    axes.axvline(1, color=_INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xscale("log")
    axes.set_xlim(_RATIO_TICKS[0] * 0.7, _RATIO_TICKS[-1] * 2)
    _tick(axes, _RATIO_TICKS)
    axes.set_yticks(
        range(len(_COST_ORDER)), [LABELS[server] + _REMARKS.get(server, "") for server in reversed(_COST_ORDER)]
    )
    axes.set_ylim(-0.6, len(_COST_ORDER) - 0.4)
    axes.set_xlabel("listener alone: all on tmpfs; the others: on disk; lines: least to most", color=_INK, fontsize=9)
    for (_data, _senders, marker, is_filled), label in zip(_COSTS, _COST_LABELS, strict=True):
        axes.plot([], [], marker, color=_INK, markerfacecolor=_INK if is_filled else "white", label=label)
    axes.legend(loc="upper right", frameon=True, framealpha=1, edgecolor="white", fontsize=9)


def _draw_rates(axes: Axes, known: Mapping[tuple[str, ServerName], Summary]) -> None:
    """Draw a line for each server: MR instances per second over the number of senders, on disk."""
    _dress(axes, "MR instances per second on disk (more is better)")
    ends: list[tuple[float, ServerName]] = []
    for server in _RATE_ORDER:
        found = [(number, rate) for number in _SENDERS if (rate := _rate(known, number, server)) is not None]
        if not found:
            continue
        numbers, medians = [number for number, _rate in found], [rate.median for _number, rate in found]
        is_parallel = server in (ServerName.NODE_2, ServerName.STORESCP_FORK)
        style = (0, (5, 2)) if is_parallel else "solid"
        axes.plot(numbers, medians, color=_COLOURS[server], linestyle=style, marker="o", markersize=5, linewidth=2)
        low, high = [rate.least for _number, rate in found], [rate.most for _number, rate in found]
        axes.fill_between(numbers, low, high, color=_COLOURS[server], alpha=0.12, linewidth=0)
        ends.append((medians[-1], server))
    axes.set_yscale("log")
    _tick(axes, _RATE_TICKS, along="y")
    axes.set_xticks(_SENDERS)
    axes.set_xlim(0.6, 8.2)
    axes.set_xlabel("senders at once; storescp and pynetdicom do not sync what they store", color=_INK, fontsize=9)
    _label_ends(axes, ends)


def _rate(known: Mapping[tuple[str, ServerName], Summary], senders: int, server: ServerName) -> Spread | None:
    found = known.get((f"disk/mr/{senders}/own", server))
    return found.instances_per_second if found else None


def _label_ends(axes: Axes, ends: list[tuple[float, ServerName]]) -> None:
    """Write each server's name where its line ends, none upon another."""
    lowest = -1.0
    for value, server in sorted(ends):
        _x, height = axes.transAxes.inverted().transform(axes.transData.transform((8, value)))
        lowest = max(float(height), lowest + _CLOSEST_LABELS)
        axes.text(
            *(1.01, lowest, LABELS[server]),
            transform=axes.transAxes,
            color=_COLOURS[server],
            fontsize=9,
            verticalalignment="center",
        )


def _dress(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, color=_INK, pad=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_FAINT)
    axes.tick_params(colors=_INK, labelsize=9)


def _tick(axes: Axes, values: tuple[float, ...], along: str = "x") -> None:
    """Mark a logarithmic axis with plain numbers."""
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(values))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _place: f"{value:g}"))
    axis.grid(visible=True, color="#eef1f4", linewidth=1)
    axes.set_axisbelow(True)
