"""A whole run: measure everything, turn about, and write down what came out."""

import json
import random
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.bench.chart import draw
from deploy.bench.machine import describe_machine, describe_programs
from deploy.bench.measure import Failure, Grounds, IdleMeasurement, Measurement, measure, measure_idle
from deploy.bench.plan import Cell, Plan, ServerName
from deploy.bench.servers import NotMeasured
from deploy.bench.summary import IdleSummary, Summary, summarise, summarise_idle
from deploy.bench.table import report
from deploy.bench.targets import Verdict, judge

_SEED = 7919
_PROBLEMS = (NotMeasured, OSError, subprocess.SubprocessError)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """When and of what a run was made, as the caller says."""

    date: str
    commit: str
    load_average: float
    """Of the minute before the run: what else the machine did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that a run measured, and what follows from it."""

    measurements: Sequence[Measurement]
    idle: Sequence[IdleMeasurement] = ()
    failures: Sequence[Failure] = ()

    @property
    def summaries(self) -> list[Summary]:
        """The medians."""
        return summarise(self.measurements)

    @property
    def idle_summaries(self) -> list[IdleSummary]:
        """The medians of what idle associations cost."""
        return summarise_idle(self.idle)

    @property
    def verdicts(self) -> list[Verdict]:
        """The promises, and whether each holds."""
        return judge(self.summaries, self.idle_summaries)

    @property
    def hold(self) -> bool:
        """Whether everything was measured that was asked for, and no promise was missed."""
        return not self.failures and all(one.holds is not False for one in self.verdicts)


def measure_all(plan: Plan, grounds: Grounds, say: Say) -> Results:
    """Let the servers of a cell take turns, in another order each time: what disturbs one disturbs all alike."""
    found: list[Measurement | IdleMeasurement | Failure] = []
    chance = random.Random(_SEED)  # noqa: S311  an order, no secret
    for repetition in range(plan.repetitions):
        for cell in plan.cells:
            for server in chance.sample(cell.servers, len(cell.servers)):
                found += _measure(plan, cell, server, repetition, grounds)
                say(f"{repetition + 1}/{plan.repetitions} {_in_brief(found[-1])}")
        for server in chance.sample(plan.idle, len(plan.idle)):
            found += _measure_idle(plan, server, repetition, grounds)
            say(f"{repetition + 1}/{plan.repetitions} {_in_brief(found[-1])}")
    return Results(
        measurements=[one for one in found if isinstance(one, Measurement)],
        idle=[one for one in found if isinstance(one, IdleMeasurement)],
        failures=[one for one in found if isinstance(one, Failure)],
    )


def _measure(
    plan: Plan, cell: Cell, server: ServerName, repetition: int, grounds: Grounds
) -> Sequence[Measurement | Failure]:
    try:
        return [measure(cell, server, repetition, plan.count(cell, server), grounds)]
    except _PROBLEMS as error:
        return [Failure(name=f"{cell.name}/{server}", repetition=repetition, problem=str(error))]


def _measure_idle(
    plan: Plan, server: ServerName, repetition: int, grounds: Grounds
) -> Sequence[IdleMeasurement | Failure]:
    try:
        return measure_idle(server, repetition, plan.idle_seconds, grounds)
    except _PROBLEMS as error:
        return [Failure(name=f"idle/{server}", repetition=repetition, problem=str(error))]


def _in_brief(one: Measurement | IdleMeasurement | Failure) -> str:
    """Say on one line what came of a measurement."""
    match one:
        case Measurement():
            said = f"{one.instances_per_second:.0f} instances/s, {one.cpu_seconds_per_gb:.2f} CPU s/GB"
            return f"{one.cell}/{one.server}: {said}"
        case IdleMeasurement():
            return f"idle/{one.server}: {one.cpu_percent:.1f} % of a core, {one.accepted} of {one.asked} let in"
        case Failure():
            return f"{one.name}: FAILED, {one.problem}"


def write_results(results: Results, occasion: Occasion, folders: dict[str, Path], work: Path) -> str:
    """Write results.json, table.md and bench.png into a folder, and give the table."""
    table = report(results.summaries, results.idle_summaries, results.verdicts, results.failures)
    document = {
        "occasion": asdict(occasion),
        "machine": describe_machine(folders),
        "programs": describe_programs(),
        "verdicts": [{**asdict(one), "holds": one.holds} for one in results.verdicts],
        "summaries": [asdict(one) for one in results.summaries],
        "idle_summaries": [asdict(one) for one in results.idle_summaries],
        "measurements": [asdict(one) for one in results.measurements],
        "idle_measurements": [asdict(one) for one in results.idle],
        "failures": [asdict(one) for one in results.failures],
    }
    (work / "results.json").write_text(json.dumps(document, indent=1))
    (work / "table.md").write_text(table)
    draw(results.summaries, work / "bench.png")
    return table
