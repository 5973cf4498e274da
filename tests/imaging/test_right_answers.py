"""The table of right answers for every series of the shared data: no wrong one, and no UNKNOWN without a reason."""

import tomllib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from pydicom.dataset import Dataset

from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.facts import Confidence
from dicomnode.domain.study import SeriesFacts
from dicomnode.imaging.headers import read_data_set, read_header
from dicomnode.imaging.series_facts import study_facts

pytestmark = pytest.mark.shared_data

FACTS = ("Weighting", "BodyPart", "ContrastPhase", "Plane", "AcquisitionType", "IsPrimary")
TABLE: Mapping[str, Any] = tomllib.loads((Path(__file__).parent / "right_answers.toml").read_text("utf-8"))
BY_FILE = ("odd", "derived-objects", "codec-matrix/ct-chest-16-syntaxes")
"""Folders that are no single series each: their files are sorted by folder and Series Instance UID."""


@pytest.fixture(scope="module")
def series(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, SeriesFacts]:
    """The facts of every series of the shared data, by the name the table knows it by."""
    dicom = shared_data / "dicom"
    found: dict[str, SeriesFacts] = {}
    for archive in sorted(dicom.rglob("*.zip")):
        folder = tmp_path_factory.mktemp("series")
        with ZipFile(archive) as files:
            files.extractall(folder)
        found[archive.relative_to(dicom).as_posix()] = _facts(_read(folder))
    for folder in sorted({path.parent for path in dicom.rglob("*") if _is_instance(path)}):
        name = folder.relative_to(dicom).as_posix()
        if not name.startswith(BY_FILE):
            found[name] = _facts(_read(folder))
    for name in BY_FILE:
        found.update(_by_file(dicom, dicom / name))
    return found


def _by_file(dicom: Path, folder: Path) -> dict[str, SeriesFacts]:
    sorted_out: dict[tuple[Path, str], dict[Path, Dataset]] = {}
    for path in sorted(filter(_is_instance, folder.rglob("*"))):
        try:
            uid = read_header(path).series_instance_uid
        except MalformedInstance:
            continue
        sorted_out.setdefault((path.parent, uid), {})[path] = read_data_set(path)
    return {min(files).relative_to(dicom).as_posix(): _facts(list(files.values())) for files in sorted_out.values()}


def _read(folder: Path) -> list[Dataset]:
    return [read_data_set(path) for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".md"]


def _facts(datasets: Sequence[Dataset]) -> SeriesFacts:
    return study_facts(datasets).series[0]


def _is_instance(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".md", ".txt", ".zip")


def _row(name: str) -> Mapping[str, Any]:
    rows = [row for pattern, row in TABLE.items() if fnmatchcase(name, pattern) or pattern == name]
    assert len(rows) == 1, f"{name} is in {len(rows)} rows"
    row: Mapping[str, Any] = rows[0]
    return row


def test_no_answer_is_wrong_and_none_is_missing_without_a_reason(series: Mapping[str, SeriesFacts]) -> None:
    wrong = []
    for name, facts in series.items():
        row = _row(name)
        for fact, right in zip(FACTS, row["answers"], strict=True):
            found = facts.values[fact]
            is_justified = found == "UNKNOWN" and fact in row.get("unknown", {})
            if found != right and right != "*" and not is_justified:
                wrong.append(f"{name}: {fact} is {found}, not {right} ({facts.evidence[fact]})")
    assert wrong == []
    assert len(series) > 100


def test_every_row_is_a_series_and_every_excuse_is_needed(series: Mapping[str, SeriesFacts]) -> None:
    used: set[str] = set()
    excused: set[tuple[str, str]] = set()
    for name, facts in series.items():
        (pattern,) = (one for one in TABLE if fnmatchcase(name, one) or one == name)
        used.add(pattern)
        excused |= {(pattern, fact) for fact in FACTS if facts.values[fact] == "UNKNOWN"}
    assert set(TABLE) == used
    excuses = {(pattern, fact) for pattern, row in TABLE.items() for fact in row.get("unknown", {})}
    assert excuses <= excused


def test_every_conclusion_has_its_evidence_and_confidence(series: Mapping[str, SeriesFacts]) -> None:
    for name, facts in series.items():
        assert set(FACTS) <= facts.confidence.keys() & facts.evidence.keys()
        assert all(facts.evidence[fact] for fact in FACTS), name
        for fact in ("Weighting", "BodyPart", "ContrastPhase", "IsPrimary"):
            if facts.values[fact] == "UNKNOWN":
                assert facts.confidence[fact] is Confidence.LOW, (name, fact)
