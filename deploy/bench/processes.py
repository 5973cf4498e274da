"""What a server costs: processor time and memory of its whole tree of processes, from the kernel (proc(5))."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_SCHEDULED_TIME = 2
_CHILDREN_TIMES = slice(13, 15)
_RESET_PEAK = "5"
_QUIET_SECONDS, _QUIET_CPU_SECONDS = 0.2, 0.004


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Resident memory of a tree of processes now, and at most since the peak was forgotten; in MB."""

    resident: float
    peak: float


def tree(pid: int) -> Iterator[int]:
    """List a process and all its descendants that are not gone yet."""
    yield pid
    for task in _entries(_PROC / str(pid) / "task"):
        for child in _read(task / "children").split():
            yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Say how long processors worked for a tree of processes, those that ended and were waited for included."""
    return sum(_own_seconds(one) + _ended_children_seconds(one) for one in tree(pid))


def memory(pid: int) -> Memory:
    """Say how much memory a tree of processes holds; pages that they share count for each."""
    found = [_status(one) for one in tree(pid)]
    return Memory(
        resident=sum(status.get("VmRSS", 0.0) for status in found),
        peak=sum(status.get("VmHWM", 0.0) for status in found),
    )


def forget_peak(pid: int) -> None:
    """Let the peak of each process begin anew from what it holds now."""
    for one in tree(pid):
        try:
            (_PROC / str(one) / "clear_refs").write_text(_RESET_PEAK)
        except OSError:
            continue


def settle(pid: int, longest: float) -> None:
    """Wait until a tree of processes has no more to do, at most so many seconds."""
    give_up = time.monotonic() + longest
    spent = cpu_seconds(pid)
    while time.monotonic() < give_up:
        time.sleep(_QUIET_SECONDS)
        before, spent = spent, cpu_seconds(pid)
        if spent - before < _QUIET_CPU_SECONDS:
            return


def _own_seconds(pid: int) -> float:
    """Read the processor clock of a process, dead threads included, to the nanosecond (clock_getcpuclockid(3))."""
    try:
        return time.clock_gettime((~pid << 3) | _SCHEDULED_TIME)
    except OSError:
        return 0.0


def _ended_children_seconds(pid: int) -> float:
    fields = _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[_CHILDREN_TIMES]) / _TICKS


def _status(pid: int) -> dict[str, float]:
    """Read the memory lines of a process, in MB."""
    lines = (line.split() for line in _read(_PROC / str(pid) / "status").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 / 1e6 for words in lines if words and words[-1] == "kB"}


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _read(file: Path) -> str:
    """Read a file of a process; empty when the process has gone."""
    try:
        return file.read_text()
    except OSError:
        return ""
