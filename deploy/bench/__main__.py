"""Measure this node's reception beside DCMTK's storescp, Orthanc and pynetdicom: same data, same senders, in turns.

The command is deploy/bench/run.sh, which gives it a network of its own: the other servers listen on every address.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deploy.bench.data_sets import DataSetName, make_data_sets
from deploy.bench.measure import Grounds
from deploy.bench.plan import Medium, Plan, full_plan, only, quick_plan
from deploy.bench.results import Occasion, measure_all, write_results
from deploy.bench.servers import ROOT, missing_programs

_SPARE_BYTES = 4 * 2**30
_NOT_OK = 1
_TMPFS = Path("/dev/shm")  # noqa: S108  nothing else of Linux is a tmpfs everywhere


def main(words: Sequence[str]) -> int:
    """Measure, print the tables, write results and picture; 0 only when nothing failed and no target was missed."""
    options = _options(words)
    plan = _plan(options)
    work, memory = options.work.resolve(), options.memory.resolve() / f"dicomnode-bench-{os.getpid()}"
    work.mkdir(parents=True, exist_ok=True)
    obstacle = _obstacle(plan, work)
    if obstacle:
        _say(obstacle)
        return _NOT_OK
    occasion = Occasion(date=options.date, commit=options.commit, load_average=os.getloadavg()[0])
    folders = {Medium.DISK: work / f"runs-{os.getpid()}", Medium.MEMORY: memory / "runs"}
    try:
        make_data_sets(memory / "data", {DataSetName.MR, *(cell.data for cell in plan.cells)})
        results = measure_all(plan, Grounds(data=memory / "data", runs=folders), _say)
        _say(write_results(results, occasion, {"disk": work, "memory": memory}, work))
    finally:
        for folder in (memory, *work.glob("runs-*")):
            shutil.rmtree(folder, ignore_errors=True)
    if options.publish:
        _publish(work)
    return 0 if results.hold else _NOT_OK


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/bench/run.sh", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three minutes: one repetition, fewer loads, less data")
    parser.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="measure only what matches, as 'disk/mr/*/own/dicomnode*' or 'idle/*'; may be given again",
    )
    parser.add_argument("--repetitions", type=int, help="how often all is measured (3; with --quick once)")
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "bench", help="folder on the disk to measure")
    parser.add_argument("--memory", type=Path, default=_TMPFS, help="folder on a tmpfs")
    parser.add_argument("--publish", action="store_true", help="put results and picture where the README shows them")
    parser.add_argument("--date", default="", help="the date that the results bear")
    parser.add_argument("--commit", default="", help="the commit that the results bear")
    options = parser.parse_args(words)
    if options.publish and (options.only or options.quick):
        parser.error("only a whole run is published")
    return options


def _plan(options: argparse.Namespace) -> Plan:
    plan = quick_plan() if options.quick else full_plan()
    if options.only:
        plan = only(plan, options.only)
    return replace(plan, repetitions=options.repetitions) if options.repetitions else plan


def _obstacle(plan: Plan, work: Path) -> str | None:
    """Say why this plan cannot be carried out here; None when it can."""
    missing = missing_programs()
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not plan.cells and not plan.idle:
        return "nothing matches"
    needed, free = plan.disk_bytes() + _SPARE_BYTES, shutil.disk_usage(work).free
    if free < needed:
        return f"{work} needs {needed / 1e9:.0f} GB free and has {free / 1e9:.0f}; --work names another folder"
    return None


def _publish(work: Path) -> None:
    shutil.copyfile(work / "results.json", ROOT / "deploy" / "bench" / "results.json")
    shutil.copyfile(work / "bench.png", ROOT / "deploy" / "pictures" / "bench.png")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
