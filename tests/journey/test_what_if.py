"""What if: other rules meet what the rules in force saw, and exactly what would change is told."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from pydicom.dataset import Dataset

from dicomnode.domain.errors import InvalidRule, InvalidValue, NotInLedger
from dicomnode.domain.steps import NeedsOperator
from dicomnode.domain.uids import SeriesInstanceUID, StudyInstanceUID
from dicomnode.journey.decide import Deciding, gather_facts
from dicomnode.journey.index import HeaderIndex
from dicomnode.journey.kept_facts import decode_study, encode_study
from dicomnode.journey.rule_book import RuleBook
from dicomnode.journey.rule_document import RuleScope
from dicomnode.ledger.arrivals import list_arrivals
from dicomnode.ledger.retention import find_holding, forget_instances
from dicomnode.ledger.rule_tables import StudyFactsRow
from dicomnode.ledger.study_facts import KeptFacts, decided_studies
from dicomnode.ledger.tables import RuleSetRow
from dicomnode.rules.replay import StudyAsDecided
from dicomnode.synthesis.registry import Registry
from tests.builders import FLAIR, T1, T2, a_series, uid
from tests.journey.bench import QUIET, STUDY, Bench, sqlite_only, t2
from tests.nodes import COPY_RULE
from tests.web.holdings import a_synthetic_series

OTHER, THIRD = StudyInstanceUID(uid("other")), StudyInstanceUID(uid("third"))


@pytest.fixture
def book(bench: Bench) -> RuleBook:
    """A rule book in which the rule that copies a T2 is in force."""
    registry = Registry.discover()
    models = {name: registry.entry(name).card.inputs for name in registry.names()}
    book = RuleBook(bench.ledger, bench.spool, bench.clock, RuleScope(models=models, destinations=("pacs",)))
    book.import_first(_rules(), "the first start")
    return book


def _rules(**changes: Any) -> dict[str, Any]:
    """Give the document of the rule that copies a T2, with other values of the rule."""
    document: dict[str, Any] = yaml.safe_load(COPY_RULE)
    document["rules"][0] |= changes
    return document


def _copies(weighting: str) -> dict[str, Any]:
    """Give the same for another weighting."""
    document: dict[str, Any] = yaml.safe_load(COPY_RULE.replace("T2}", f"{weighting}}}"))
    return document


def _series(study: str, weighting: dict[str, Any], **attributes: Any) -> list[Dataset]:
    return a_series(
        **{"study": study, "series": f"{study}-s", "slices": 3, "shape": (16, 12), **weighting, **attributes}
    )


def _decide(bench: Bench, book: RuleBook, *studies: Sequence[Dataset]) -> None:
    """Take studies up to their decisions, as the node does."""
    deciding = Deciding(bench.ledger, bench.spool, bench.queues, bench.clock, book.in_force, Registry.discover())
    for series in studies:
        bench.receive(series)
    bench.clock.advance(QUIET.total_seconds())
    for revision in bench.completion().sweep():
        deciding(revision.study_instance_uid, revision.number, attempt=1)


def test_exactly_the_decisions_that_change_are_listed(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, t2(), _series("other", T1), _series("third", FLAIR))
    rows = bench.decisions()
    result = book.what_if(_copies("T1"))
    assert {(one.study_instance_uid, one.rule, one.in_words) for one in result.changes} == {
        (STUDY, "copy-t2", "fires → does not fire"),
        (OTHER, "copy-t2", "does not fire → fires"),
    }
    assert (result.studies, result.skipped) == (3, ())
    change = next(one for one in result.changes if one.study_instance_uid == OTHER)
    assert change.before is not None
    assert change.after is not None
    assert any("Weighting" in line for line in change.before.explanation.lines())
    assert change.after.bindings[0].role == "source"
    # Nothing was kept of it.
    assert bench.decisions() == rows
    assert book.draft() is None


def test_the_same_rules_in_other_words_change_nothing(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, t2(), _series("other", T1))
    same = _rules(description="Other words.", enabled=True)
    assert book.what_if(same).changes == ()
    assert book.what_if(_rules(name="another-name")).changes != ()


def test_a_rule_that_is_new_gone_or_disabled_counts_where_it_fires(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, t2(), _series("other", T1))
    (disabled,) = book.what_if(_rules(enabled=False)).changes
    assert (disabled.study_instance_uid, disabled.in_words) == (STUDY, "fires → not asked")
    both = {"rules": [*_rules()["rules"], {**_copies("T1")["rules"][0], "name": "copy-t1"}]}
    (new,) = book.what_if(both).changes
    assert (new.study_instance_uid, new.rule, new.in_words) == (OTHER, "copy-t1", "not asked → fires")


@pytest.mark.parametrize(
    "then",
    [{"destinations": []}, {"priority": 1}, {"preparation": {"missing_slices": 0}}],
    ids=["destinations", "priority", "preparation"],
)
@sqlite_only
def test_what_is_asked_for_counts_too(bench: Bench, book: RuleBook, then: dict[str, Any]) -> None:
    _decide(bench, book, t2())
    document = _rules()
    document["rules"][0]["then"] |= then
    (change,) = book.what_if(document).changes
    assert change.in_words == "fires → fires otherwise"


def test_studies_are_those_of_some_days_or_those_that_are_named(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, t2())
    bench.clock.advance(timedelta(days=3).total_seconds())
    _decide(bench, book, _series("other", T2))
    gone = _rules(enabled=False)
    assert {one.study_instance_uid for one in book.what_if(gone).changes} == {STUDY, OTHER}
    assert {one.study_instance_uid for one in book.what_if(gone, days=2).changes} == {OTHER}
    assert {one.study_instance_uid for one in book.what_if(gone, days=2, studies=[STUDY]).changes} == {STUDY}
    for endless in (1e300, float("nan")):
        assert book.what_if(gone, days=endless).studies == 2


def test_a_study_that_nobody_knows_is_skipped_and_named(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, t2())
    result = book.what_if(_copies("T1"), studies=[THIRD, STUDY, STUDY])
    assert (result.studies, result.skipped) == (1, (THIRD,))
    assert len(result.changes) == 1


def test_what_was_decided_before_facts_were_kept_is_read_from_headers(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, t2(), _series("other", T1))
    with bench.ledger.transaction() as tx:
        tx.session.execute(sa.delete(StudyFactsRow))
    assert {one.study_instance_uid for one in book.what_if(_copies("T1")).changes} == {STUDY, OTHER}

    # Since then one of them received more: what its decision saw is lost.
    bench.receive(_series("other", T2, series="late"))
    assert book.what_if(_copies("T1")).skipped == (OTHER,)


def test_the_facts_of_a_study_go_with_its_images(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, t2())
    with bench.ledger.transaction() as tx:
        holding = find_holding(tx, STUDY)
        assert holding is not None
        forget_instances(tx, holding, bench.clock.now())
        assert tx.session.execute(sa.select(sa.func.count()).select_from(StudyFactsRow)).scalar_one() == 0
    result = book.what_if(_copies("T1"))
    assert (result.studies, result.skipped, result.changes) == (0, (STUDY,), ())
    with pytest.raises(NotInLedger):
        book.try_on(_rules(), STUDY)


def test_the_newest_revision_is_what_counts(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, t2())
    _decide(bench, book, _series("study", T1, series="late", SeriesNumber=2))
    assert len(bench.revisions()) == 2
    both = {"rules": [{**_copies("T1")["rules"][0], "name": "copy-t1"}]}
    assert {one.in_words for one in book.what_if(both).changes} == {"not asked → fires", "fires → not asked"}


@sqlite_only
def test_a_decision_is_replayed_on_its_own_day(bench: Bench, book: RuleBook) -> None:
    """A rule that is relative to the day of the decision says of an old study what it would have said then."""
    today = bench.clock.now().astimezone().date()
    _decide(bench, book, t2(StudyDate=f"{today:%Y%m%d}"))
    bench.clock.advance(timedelta(days=40).total_seconds())
    recent = {"rules": [{"field": "StudyDate", "operator": "withinDays", "value": 7}]}
    document = {"rules": [*_rules()["rules"], {**_rules()["rules"][0], "name": "recent", "when": recent}]}
    (change,) = book.what_if(document).changes
    assert (change.rule, change.in_words) == ("recent", "not asked → fires")
    assert [one.fired for one in book.try_on(document, STUDY)] == [True, False]


@sqlite_only
def test_a_fact_in_a_sequence_is_replayed(bench: Bench, book: RuleBook) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "24566-7", "LN", "MR Brain"
    _decide(bench, book, t2(ProcedureCodeSequence=[code]))
    when = {"rules": [{"field": "ProcedureCodeSequence.CodeValue", "operator": "contains", "value": "24566-7"}]}
    document = {"rules": [*_rules()["rules"], {**_rules()["rules"][0], "name": "by-code", "when": when}]}
    (change,) = book.what_if(document).changes
    assert (change.rule, change.in_words) == ("by-code", "not asked → fires")


def test_who_sent_a_study_and_when_is_replayed(bench: Bench, book: RuleBook) -> None:
    bench.receive(t2())
    received = bench.clock.now().astimezone()
    bench.clock.advance(3 * 3600)
    _decide(bench, book)
    of_scanner = {"rules": [{"field": "SourceAE", "operator": "contains", "value": "SCANNER"}]}
    at_this_hour = {"rules": [{"field": "ReceivedHour", "value": received.hour}]}
    for when in (of_scanner, at_this_hour):
        document = {"rules": [*_rules()["rules"], {**_rules()["rules"][0], "name": "sent", "when": when}]}
        assert [one.in_words for one in book.what_if(document).changes] == ["not asked → fires"]
        assert [one.fired for one in book.try_on(document, STUDY)] == [True, True]


@sqlite_only
def test_a_destination_that_is_not_configured_any_more_is_told_of(bench: Bench, book: RuleBook) -> None:
    """Its queue would have nobody who serves it."""
    bench.receive(t2())
    bench.complete()
    deciding = Deciding(
        bench.ledger, bench.spool, bench.queues, bench.clock, book.in_force, Registry.discover(), destinations=["other"]
    )
    deciding(STUDY, 1, attempt=1)
    (event,), (decision,) = bench.events("decide"), bench.decisions()
    assert event.state == "needs operator"
    assert "no destination pacs is configured on this node" in event.text
    assert decision.problem is not None
    assert bench.derivations() == ()


@sqlite_only
def test_own_outputs_stay_excluded(bench: Bench, book: RuleBook) -> None:
    _decide(bench, book, a_synthetic_series("study", "came back", slices=3, Manufacturer="dicomnode"), t2())
    # Any series at all: the one that was excluded must not play the role.
    everything = {"rules": [{"field": "Modality", "value": "MR"}]}
    document = _rules()
    document["rules"][0]["then"]["inputs"] = {
        "source": {**everything, "prefer": [{"field": "SeriesNumber", "order": "highest"}]}
    }
    for decision in (*book.try_on(document, STUDY), *(one.after for one in book.what_if(document).changes)):
        assert decision is not None
        assert [one.series_instance_uid for one in decision.bindings] == [SeriesInstanceUID(uid("study", "t2"))]


def test_rules_are_tried_on_a_stored_study(bench: Bench, book: RuleBook) -> None:
    bench.receive(t2())
    (fires,) = book.try_on(_rules(), STUDY)
    assert fires.fired
    (missed,) = book.try_on(_copies("FLAIR"), STUDY)
    assert not missed.fired
    assert any("nearest" in line for line in missed.explanation.lines())
    with pytest.raises(NotInLedger, match="no instance of that study"):
        book.try_on(_rules(), THIRD)
    with pytest.raises(InvalidRule):
        book.try_on({"rules": 7}, STUDY)
    assert bench.decisions() == ()


def test_rules_in_force_that_cannot_be_read_leave_the_study_to_a_person(bench: Bench, book: RuleBook) -> None:
    """As after an upgrade to a version that lacks a fact: never "no match"."""
    with bench.ledger.transaction() as tx:
        document = tx.session.execute(sa.select(RuleSetRow)).scalar_one()
        document.document = _rules(when={"rules": [{"field": "PhaseOfTheMoon", "value": "full"}]})
    upgraded = RuleBook(bench.ledger, bench.spool, bench.clock, RuleScope(models={}, destinations=()))
    bench.receive(t2())
    bench.complete()
    deciding = Deciding(bench.ledger, bench.spool, bench.queues, bench.clock, upgraded.in_force, Registry.discover())
    result = deciding(STUDY, 1, attempt=1)
    assert isinstance(result, NeedsOperator)
    assert "unknown fact 'PhaseOfTheMoon'" in result.reason
    (event,) = bench.events("decide")
    assert (event.state, "dicomnode rules lint" in event.text) == ("needs operator", True)
    assert bench.decisions() == ()


def test_what_is_kept_is_what_was_seen(bench: Bench, book: RuleBook) -> None:
    back = a_synthetic_series("study", "came back", slices=3, Manufacturer="dicomnode")
    _decide(bench, book, back, t2(PatientBirthDate="19700101", PixelSpacing=[0.5, 0.5]))
    with bench.ledger.transaction() as tx:
        arrivals = list_arrivals(tx, STUDY)
    facts, excluded = gather_facts(HeaderIndex(bench.ledger, bench.spool), bench.instances(), arrivals)
    with bench.ledger.transaction() as tx:
        (decided,) = decided_studies(tx, [STUDY], nested=True)
    assert decided.facts is not None
    kept = decode_study(decided.facts)
    assert kept == StudyAsDecided(facts=facts, excluded=excluded, at=bench.clock.now())
    assert encode_study(kept).document == decided.facts.document


@sqlite_only
@pytest.mark.parametrize("document", [b"", b"nonsense", b"x\x9c\x03\x00\x00\x00\x00\x01"])
def test_what_another_version_kept_is_refused_by_name(bench: Bench, book: RuleBook, document: bytes) -> None:
    with pytest.raises(InvalidValue, match="stored facts"):
        decode_study(KeptFacts(at=bench.clock.now(), document=document, nested=None))
    _decide(bench, book, t2())
    with bench.ledger.transaction() as tx:
        tx.session.execute(sa.update(StudyFactsRow).values(document=document))
    assert book.what_if(_copies("T1")).skipped == (STUDY,)
