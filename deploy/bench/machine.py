"""Where the numbers come from: the machine and the versions of everything that took part."""

import mmap
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

_MODEL_NAME = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_MEMORY_TOTAL = re.compile(r"^MemTotal:\s*(\d+) kB$", re.MULTILINE)
_MEMORY_AVAILABLE = re.compile(r"^MemAvailable:\s*(\d+) kB$", re.MULTILINE)
_TOUCHED_SHARE = 0.7
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PACKAGES = ("dicomnode", "pydicom", "pynetdicom", "numpy", "sqlalchemy", "blake3")
_PROGRAMS = ("storescp", "Orthanc")


def describe_machine(folders: dict[str, Path]) -> dict[str, object]:
    """Say what kind of machine this is, and on which file system each folder lies; nothing that names it."""
    model = _MODEL_NAME.search(Path("/proc/cpuinfo").read_text())
    memory = _MEMORY_TOTAL.search(Path("/proc/meminfo").read_text())
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory.group(1)) * 1024 / 1e9) if memory else None,
        "kernel": platform.release(),
        "file_systems": {name: _file_system(folder) for name, folder in folders.items()},
    }


def describe_programs() -> dict[str, str]:
    """Say which version of each program and package was measured."""
    packages = {name: version(name) for name in _PACKAGES}
    programs = {name: _version(path) for name in _PROGRAMS if (path := shutil.which(name))}
    return {"python": platform.python_version(), **packages, **programs}


def touch_memory(size: int) -> None:
    """Use so many bytes of memory once, or what can be had of them, and give them back.

    In a virtual machine, memory that the host does not hold costs three times as much when it is written to. A guest
    with free page reporting gives free memory back to the host within seconds: so it is touched before each load, or
    whoever comes after a pause would pay for it.
    """
    free = _MEMORY_AVAILABLE.search(Path("/proc/meminfo").read_text())
    length = min(size, int(_TOUCHED_SHARE * 1024 * int(free.group(1)))) if free else 0
    if length > 0:
        mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


def _version(path: str) -> str:
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = _VERSION.search(told)
    return found.group() if found else "unknown"


def _file_system(folder: Path) -> str:
    """Name the type of the file system that a folder lies on (proc_pid_mounts(5))."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = [words for words in mounts if folder.resolve().is_relative_to(words[1])]
    return max(above, key=lambda words: len(words[1]))[2]
