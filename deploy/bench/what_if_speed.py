"""How long a person waits for a what-if: 200 rules over 1,000 studies of 12 series that lie in a ledger on a disk.

All of it counts: reading the rows, unpacking the facts, deciding twice and explaining what changes. Run it with
`python -m deploy.bench.what_if_speed`; `--database` takes a PostgreSQL that may be written to.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from deploy.bench.machine import describe_machine
from deploy.bench.rules_material import SERIES, rules_document, studies
from dicomnode.domain.association import Association
from dicomnode.domain.study import InstanceHeader, ReceivedInstance, StudyFacts
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, TransferSyntaxUID
from dicomnode.journey.kept_facts import encode_study
from dicomnode.journey.rule_book import RuleBook
from dicomnode.journey.rule_document import RuleScope
from dicomnode.ledger.reception import record_received
from dicomnode.ledger.revisions import begin_revision, mark_decided
from dicomnode.ledger.rule_tables import StudyFactsRow
from dicomnode.ledger.schema import migrate
from dicomnode.ledger.study_facts import keep_study_facts
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.rules.replay import StudyAsDecided
from dicomnode.spool.store import Spool

_AT = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
_TARGET_SECONDS = 5.0
_SENDER = Association(calling_ae=AETitle("SCANNER"), called_ae=AETitle("DICOMNODE"), peer_address="127.0.0.1")


class _StandingClock:
    """A clock that stands where the studies were decided (domain.ports.Clock)."""

    def now(self) -> datetime:
        return _AT


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What was measured: seconds as the rule book tells them, of the first and the best of all what-ifs."""

    rules: int
    studies: int
    facts_kb_per_study: float
    first_seconds: float
    best_seconds: float
    changes_told: int


def main(words: Sequence[str]) -> int:
    """Measure, print the numbers as JSON; 0 only when the target is met."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.what_if_speed", description=__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="how many studies the ledger holds (1000)")
    parser.add_argument("--repetitions", type=int, default=3, help="how many what-ifs are asked (3)")
    parser.add_argument(
        "--database", help="URL of an empty PostgreSQL database; left out: SQLite in a temporary folder"
    )
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="what-if-") as folder:
        ledger = Ledger(options.database or f"sqlite:///{folder}/ledger.db")
        try:
            waiting = _measure(ledger, Path(folder), options.studies, options.repetitions)
        finally:
            ledger.close()
        machine = describe_machine({"ledger": Path(folder)})
    told = {"waiting": asdict(waiting), "series": SERIES, "target_seconds": _TARGET_SECONDS, "machine": machine}
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 0 if waiting.first_seconds <= _TARGET_SECONDS else 1


def _measure(ledger: Ledger, folder: Path, count: int, repetitions: int) -> Waiting:
    """Fill a ledger as deciding does, then ask as a person does."""
    migrate(ledger)
    scope = RuleScope(models={}, destinations=("pacs", "planning"))
    book = RuleBook(ledger, Spool(folder / "spool"), _StandingClock(), scope)
    book.import_first(rules_document(), "the benchmark")
    for facts in studies(count):
        with ledger.transaction() as tx:
            _decided(tx, facts)
    with ledger.transaction() as tx:
        size = tx.session.execute(sa.select(sa.func.sum(sa.func.length(StudyFactsRow.document)))).scalar_one()
    results = [book.what_if(_draft(), days=30) for _ in range(repetitions)]
    return Waiting(
        rules=len(book.in_force().rules),
        studies=results[0].studies,
        facts_kb_per_study=round(size / count / 1000, 1),
        first_seconds=round(results[0].seconds, 3),
        best_seconds=round(min(result.seconds for result in results), 3),
        changes_told=len(results[0].changes),
    )


def _decided(tx: Transaction, facts: StudyFacts) -> None:
    """Leave behind what receiving, completing and deciding leave of a study."""
    study = facts.study_instance_uid
    for series in facts.series:
        header = InstanceHeader(
            study_instance_uid=study,
            series_instance_uid=series.series_instance_uid,
            sop_instance_uid=SOPInstanceUID(f"{series.series_instance_uid}.1"),
            sop_class_uid=SOPClassUID("1.2.840.10008.5.1.4.1.1.4"),
        )
        received = ReceivedInstance(
            header=header,
            transfer_syntax_uid=TransferSyntaxUID("1.2.840.10008.1.2.1"),
            digest=f"{abs(hash(header.sop_instance_uid)):064x}",
            size=1,
            path=f"{header.sop_instance_uid}.dcm",
            association=_SENDER,
            received_at=_AT,
        )
        record_received(tx, received)
    revision = begin_revision(tx, study, ("nothing received for 10 s",), _AT)
    if revision is not None:
        keep_study_facts(tx, (study, revision.number), encode_study(StudyAsDecided(facts=facts, at=_AT)))
        mark_decided(tx, (study, revision.number), _AT)


def _draft() -> dict[str, Any]:
    """Write a draft in which one region's rules are gone and another one asks for more."""
    document = rules_document()
    document["rules"] = [rule for rule in document["rules"] if not rule["name"].startswith("ankle-")]
    without_swi = {"rules": [{"field": "Weighting", "value": "SWI"}]}
    asked = document["rules"][0]["when"]["rules"]
    asked.append({"field": "series", "match": {"mode": "none"}, "value": without_swi})
    return document


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
