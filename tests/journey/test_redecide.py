"""Studies that wait because the rules could not be read are decided when others are in force, each once."""

import pytest
import sqlalchemy as sa
import yaml

from dicomnode.domain.steps import Done, NeedsOperator
from dicomnode.journey.decide import Deciding
from dicomnode.journey.redecide import Redeciding
from dicomnode.journey.rule_book import RuleBook
from dicomnode.journey.rule_document import RuleScope
from dicomnode.ledger.tables import RuleSetRow
from dicomnode.synthesis.registry import Registry
from tests.builders import T1, a_series, uid
from tests.journey.bench import STUDY, Bench, t2
from tests.nodes import COPY_RULE


@pytest.fixture
def book(bench: Bench) -> RuleBook:
    """A rule book whose rules this version cannot read, as after an upgrade that lost a fact."""
    registry = Registry.discover()
    models = {name: registry.entry(name).card.inputs for name in registry.names()}
    book = RuleBook(bench.ledger, bench.spool, bench.clock, RuleScope(models=models, destinations=("pacs",)))
    book.import_first(yaml.safe_load(COPY_RULE), "the first start")
    with bench.ledger.transaction() as tx:
        lost = yaml.safe_load(COPY_RULE.replace("Weighting", "PhaseOfTheMoon"))
        tx.session.execute(sa.update(RuleSetRow).values(document=lost))
    return book


def _deciding(bench: Bench, book: RuleBook) -> Deciding:
    return Deciding(bench.ledger, bench.spool, bench.queues, bench.clock, book.in_force, Registry.discover())


def _publish(book: RuleBook, description: str) -> None:
    document = yaml.safe_load(COPY_RULE)
    document["rules"][0]["description"] = description
    draft = book.save_draft(document, "eve", book.begin_draft("eve").number)
    book.publish("eve", "the fact is gone", draft.number)


def test_a_study_is_decided_when_the_rules_can_be_read_again(bench: Bench, book: RuleBook) -> None:
    redeciding = Redeciding(bench.ledger, bench.queues, bench.clock)
    bench.receive(t2())
    bench.complete()
    assert isinstance(_deciding(bench, book)(STUDY, 1, attempt=1), NeedsOperator)
    # At a start it is tried once, because the node may be another version now.
    assert redeciding.sweep() == 1
    assert redeciding.sweep() == 0
    assert f"study:{STUDY}:1:round2:1" in bench.jobs("study")
    assert isinstance(_deciding(bench, book)(STUDY, 1, attempt=1), NeedsOperator)
    assert redeciding.sweep() == 0

    _publish(book, "Mended.")
    assert redeciding.sweep() == 1
    assert f"study:{STUDY}:1:round3:1" in bench.jobs("study")
    assert [event.state for event in bench.events("decide")] == ["needs operator", "waiting"] * 2
    assert _deciding(bench, book)(STUDY, 1, attempt=1) == Done(said="1 of 1 rules ask for work")
    _publish(book, "Mended once more.")
    assert redeciding.sweep() == 0


def test_only_the_newest_revision_that_no_rule_answered_is_decided_again(bench: Bench, book: RuleBook) -> None:
    bench.receive(t2())
    bench.complete()
    _deciding(bench, book)(STUDY, 1, attempt=1)
    bench.receive(a_series(series="late", slices=2, shape=(16, 12), **T1))
    bench.complete()
    # The second is still to be decided by the job that it began with.
    assert Redeciding(bench.ledger, bench.queues, bench.clock).sweep() == 0
    _deciding(bench, book)(STUDY, 2, attempt=1)
    assert Redeciding(bench.ledger, bench.queues, bench.clock).sweep() == 1
    assert f"study:{STUDY}:2:round2:1" in bench.jobs("study")
    assert not any(job.startswith(f"study:{STUDY}:1:round") for job in bench.jobs("study"))


def test_two_processes_ask_for_one_job(bench: Bench, book: RuleBook) -> None:
    for study in ("study", "other"):
        bench.receive(t2(study=study, series=f"{study}-t2"))
    bench.clock.advance(60)
    for revision in bench.completion().sweep():
        _deciding(bench, book)(revision.study_instance_uid, revision.number, attempt=1)
    before = len(bench.jobs("study"))
    swept = [Redeciding(bench.ledger, bench.queues, bench.clock).sweep() for _process in range(2)]
    assert swept == [2, 0]
    assert len(bench.jobs("study")) == before + 2
    assert {job.split(":")[1] for job in bench.jobs("study")} == {uid("study"), uid("other")}
