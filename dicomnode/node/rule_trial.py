"""Trying the rules on files: what would be decided, and why, without a node."""

import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dicomnode.domain.rule import Decision
from dicomnode.domain.study import StudyFacts
from dicomnode.domain.uids import SeriesInstanceUID
from dicomnode.imaging.series_facts import is_own_output, read_datasets, study_facts
from dicomnode.node.files import instance_files, is_part_10
from dicomnode.rules.decide import decide
from dicomnode.rules.ruleset import RuleSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What the rules say about one study."""

    facts: StudyFacts
    decisions: tuple[Decision, ...]


def try_rules(rules: RuleSet, paths: Sequence[Path], now: datetime) -> tuple[Trial, ...]:
    """Apply rules to every study among the paths; raises MalformedInstance when there is none."""
    with ExitStack() as stack:
        opened = [_unzipped(path, stack) for path in _with_zipped(paths)]
        datasets = read_datasets(instance_files(opened))
        by_study: dict[str, list[int]] = {}
        for position, dataset in enumerate(datasets):
            by_study.setdefault(dataset.StudyInstanceUID, []).append(position)
        trials = []
        for positions in by_study.values():
            mine = [datasets[position] for position in positions]
            own = {SeriesInstanceUID(item.SeriesInstanceUID): "own output" for item in mine if is_own_output(item)}
            facts = study_facts(mine)
            trials.append(Trial(facts=facts, decisions=decide(rules, facts, own, at=now.astimezone())))
    return tuple(trials)


def _with_zipped(paths: Sequence[Path]) -> list[Path]:
    """Name the zip files inside folders beside the folders themselves, where those hold loose instances."""
    named: list[Path] = []
    for path in paths:
        if path.is_dir():
            named += sorted(path.rglob("*.zip"))
            if any(file.is_file() and is_part_10(file) for file in path.rglob("*")):
                named.append(path)
        else:
            named.append(path)
    return named


def _unzipped(path: Path, stack: ExitStack) -> Path:
    """Unpack a zip file into a folder that is removed at the end."""
    if path.suffix != ".zip":
        return path
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dicomnode-")))
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    return folder
