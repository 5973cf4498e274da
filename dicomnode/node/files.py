"""Finding instance files among the paths an administrator names."""

from collections.abc import Sequence
from pathlib import Path

from dicomnode.domain.errors import MalformedInstance

_PREAMBLE_AND_PREFIX = 132


def instance_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """List the Part 10 files among files and folders, in order; raises MalformedInstance when there are none.

    A named file must be one; inside folders other files are passed over.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.is_file() and is_part_10(file))
        elif path.is_file() and is_part_10(path):
            found.append(path)
        else:
            raise MalformedInstance(f"{path} is no DICOM file (PS3.10 section 7.1)")
    if not found:
        raise MalformedInstance("no DICOM file in the folders named")
    return tuple(found)


def is_part_10(file: Path) -> bool:
    """Whether a file begins with a preamble and the prefix DICM."""
    with file.open("rb") as opened:
        return opened.read(_PREAMBLE_AND_PREFIX)[-4:] == b"DICM"
