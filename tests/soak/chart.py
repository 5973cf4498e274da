"""What a soak found, as JSON and as a picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.soak.sampling import Sample


def write_result(
    folder: Path, samples: Sequence[Sample], names: Mapping[int, str], totals: Mapping[str, object]
) -> None:
    """Write soak.json and soak.png."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {**totals, "processes": names, "samples": [asdict(one) for one in samples]}
    (folder / "soak.json").write_text(json.dumps(found, indent=1))
    figure = Figure(figsize=(10, 8), layout="constrained")
    memory, handles, ledger, answers = (axes for row in figure.subplots(2, 2) for axes in row)
    for pid, name in names.items():
        seen = [one for one in samples if pid in one.processes]
        at = [one.at for one in seen]
        memory.plot(at, [one.processes[pid].resident for one in seen], label=name)
        handles.plot(at, [one.processes[pid].descriptors for one in seen], label=name)
    at = [one.at for one in samples]
    ledger.plot(at, [one.ledger for one in samples], label="read and write one row")
    answers.plot(at, [one.median for one in samples], label="half of the answers")
    answers.plot(at, [one.slow for one in samples], label="95 % of the answers")
    _name(memory, "resident memory (MiB)")
    _name(handles, "file handles")
    _name(ledger, "ledger transaction (ms)")
    _name(answers, "C-STORE answered within (ms)")
    figure.suptitle(", ".join(f"{value} {name}" for name, value in totals.items()))
    figure.savefig(folder / "soak.png", dpi=110)


def _name(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel("seconds")
    axes.margins(y=0.4)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small", loc="upper right", ncols=2)
