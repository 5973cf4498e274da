"""Looking at a node while it works: memory, descriptors and threads of each process, and what a transaction takes."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from dicomnode.ledger.tables import StudyRow
from dicomnode.ledger.transaction import Ledger

_MIB = 2**20
_TRANSACTIONS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSample:
    """One process at one moment; memory in MiB."""

    resident: float
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The node at one moment, in seconds since the start; times in ms, of the interval before it."""

    at: float
    processes: dict[int, ProcessSample]
    ledger: float
    answered: int
    median: float
    slow: float
    """So long waited the slowest answer but 5 % of them."""


@dataclass
class Sampler:
    """Takes samples of a node's processes and ledger."""

    ledger: Ledger
    samples: list[Sample] = field(default_factory=list)
    _begun: float = field(default_factory=time.monotonic)

    def sample(self, processes: Sequence[int], waited: Sequence[float]) -> None:
        """Take one, with the waiting times in seconds since the last."""
        ordered = sorted(waited) or [float("nan")]
        self.samples.append(
            Sample(
                at=time.monotonic() - self._begun,
                processes={pid: found for pid in processes if (found := _look(pid)) is not None},
                ledger=1000 * statistics.median(self._transaction() for _time in range(_TRANSACTIONS)),
                answered=len(waited),
                median=1000 * ordered[len(ordered) // 2],
                slow=1000 * ordered[len(ordered) * 95 // 100],
            )
        )

    def _transaction(self) -> float:
        """Read one study and write it back, and give the seconds that took."""
        begun = time.monotonic()
        with self.ledger.transaction() as tx:
            row = tx.session.execute(sa.select(StudyRow.study_instance_uid, StudyRow.description).limit(1)).first()
            if row is not None:
                here = StudyRow.study_instance_uid == row.study_instance_uid
                tx.session.execute(sa.update(StudyRow).where(here).values(description=row.description))
        return time.monotonic() - begun


def _look(pid: int) -> ProcessSample | None:
    """Read what a process uses; None when it is gone."""
    place = Path(f"/proc/{pid}")
    try:
        pages = int((place / "statm").read_text().split()[1])
        return ProcessSample(
            resident=pages * os.sysconf("SC_PAGE_SIZE") / _MIB,
            descriptors=sum(1 for _one in (place / "fd").iterdir()),
            threads=sum(1 for _one in (place / "task").iterdir()),
        )
    except (FileNotFoundError, ProcessLookupError):
        return None
