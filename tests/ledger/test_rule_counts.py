"""How often rules fired, in both databases."""

from datetime import timedelta

from dicomnode.domain.rule import Decision, Explanation
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.ledger.revisions import record_decision
from dicomnode.ledger.rule_counts import count_fired, list_fired
from dicomnode.ledger.transaction import Ledger
from tests.conftest import FakeClock


def decide(ledger: Ledger, clock: FakeClock, study: str, rule: str, *, fired: bool, problem: str | None = None) -> None:
    decision = Decision(
        rule=rule,
        rule_set_version="f00d",
        fired=fired,
        explanation=Explanation(holds=fired, text="all of these"),
        problem=problem,
    )
    with ledger.transaction() as tx:
        assert record_decision(tx, (StudyInstanceUID(study), 1), decision, None, clock.now())


def test_only_what_fired_since_then_counts(ledger: Ledger, clock: FakeClock) -> None:
    decide(ledger, clock, "1.2.1", "flair", fired=True)
    clock.advance(60)
    since = clock.now()
    decide(ledger, clock, "1.2.2", "flair", fired=True)
    decide(ledger, clock, "1.2.3", "flair", fired=True, problem="No series fits role t1.")
    decide(ledger, clock, "1.2.3", "route", fired=True)
    decide(ledger, clock, "1.2.4", "flair", fired=False)
    with ledger.transaction() as tx:
        assert count_fired(tx, since) == {"flair": 2, "route": 1}
        assert count_fired(tx, since - timedelta(seconds=60)) == {"flair": 3, "route": 1}
        assert count_fired(tx, since + timedelta(seconds=1)) == {}


def test_the_latest_studies_come_first(ledger: Ledger, clock: FakeClock) -> None:
    for number in range(4):
        decide(ledger, clock, f"1.2.{number}", "flair", fired=number != 2)
        clock.advance(1)
    with ledger.transaction() as tx:
        found = list_fired(tx, "flair", 2)
        assert [one.study_instance_uid for one in found] == ["1.2.3", "1.2.1"]
        assert found[0].accession_number == ""
        assert list_fired(tx, "other", 2) == ()
