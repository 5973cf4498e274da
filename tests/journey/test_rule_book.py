"""The rule book: one draft that nobody overwrites, versions that never change, and who put which in force and why."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import yaml

from dicomnode.domain.errors import DraftChanged, InvalidRule, InvalidValue, NotAllowed, NotInLedger, SecondPersonNeeded
from dicomnode.domain.rule_book import Change, PublicationKind
from dicomnode.journey.rule_book import RuleBook
from dicomnode.journey.rule_document import RuleScope
from dicomnode.ledger.revisions import keep_rule_set
from dicomnode.ledger.rule_book import add_publication
from dicomnode.ledger.transaction import Ledger
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import Registry
from tests.conftest import FakeClock
from tests.journey.bench import sqlite_only
from tests.nodes import COPY_RULE

THEN: dict[str, Any] = yaml.safe_load(COPY_RULE)["rules"][0]["then"]
REASON = "the new scanner sends T2 under another name"


@dataclass
class Told:
    """What the book told of its changes."""

    heard: list[tuple[str, str, Mapping[str, object]]] = field(default_factory=list)

    def __call__(self, action: str, by: str, about: Mapping[str, object]) -> None:
        self.heard.append((action, by, about))


Open = Callable[..., RuleBook]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def open_book(ledger: Ledger, spool: Spool, clock: FakeClock, told: Told) -> Open:
    """Open a rule book as a process of the node does."""

    def open_one(*, second_person: bool = False, destinations: tuple[str, ...] = ("pacs", "archive")) -> RuleBook:
        registry = Registry.discover()
        models = {name: registry.entry(name).card.inputs for name in registry.names()}
        scope = RuleScope(models=models, destinations=destinations, second_person=second_person)
        return RuleBook(ledger, spool, clock, scope, told)

    return open_one


@pytest.fixture
def book(open_book: Open) -> RuleBook:
    """A rule book in which the rule that copies a T2 is in force."""
    book = open_book()
    book.import_first(_copy(), "the first start")
    return book


def _copy(**changes: Any) -> dict[str, Any]:
    """Give the document of the rule that copies a T2, with other values of the rule."""
    document: dict[str, Any] = yaml.safe_load(COPY_RULE)
    document["rules"][0] |= changes
    return document


def _publish(book: RuleBook, document: Mapping[str, object], by: str = "eve") -> str:
    draft = book.save_draft(document, by, book.begin_draft(by).number)
    return book.publish(by, REASON, draft.number).version


def test_the_first_rules_are_imported_once(open_book: Open, clock: FakeClock, told: Told) -> None:
    book = open_book()
    with pytest.raises(NotInLedger, match="no rules are in force yet"):
        book.in_force()
    published = book.import_first(_copy(), "the first start")
    assert published is not None
    assert (published.number, published.kind, published.by) == (1, PublicationKind.IMPORTED, "settings")
    assert (published.at, published.reason, published.approved_by) == (clock.now(), "the first start", None)
    assert book.in_force().version == published.version
    assert book.document(published.version) == _copy()

    assert book.import_first(_copy(name="another"), "a restart") is None
    assert book.publications() == (published,)
    assert [action for action, _by, _about in told.heard] == ["rules.import"]


def test_first_rules_may_name_a_model_that_is_still_to_be_installed(open_book: Open) -> None:
    book = open_book()
    document = _copy()
    document["rules"][0]["then"]["model"] = "not-yet"
    assert book.import_first(document, "the first start") is not None
    assert "no model 'not-yet' is installed" in book.problems(document)[0]
    with pytest.raises(InvalidRule, match="unknown key 'rulez', did you mean 'rules'"):
        open_book().was_in_force({"rulez": []})


def test_first_rules_that_cannot_be_read_are_refused(open_book: Open) -> None:
    book = open_book()
    with pytest.raises(InvalidRule, match="rulez"):
        book.import_first({"rulez": []}, "the first start")
    assert book.publications() == ()


def test_a_draft_begins_as_the_rules_in_force_and_is_open_for_everybody(book: RuleBook, clock: FakeClock) -> None:
    assert book.draft() is None
    begun = book.begin_draft("adam")
    (publication,) = book.publications()
    assert begun.document == _copy()
    assert (begun.number, begun.base, begun.changed_by) == (1, publication.version, "adam")
    clock.advance(60)
    assert book.begin_draft("eve") == begun == book.draft()


def test_a_draft_is_saved_as_it_is_written_and_in_force_only_when_published(book: RuleBook, clock: FakeClock) -> None:
    before = book.in_force().version
    begun = book.begin_draft("adam")
    clock.advance(60)
    document = _copy(description="Copies a T2.", enabled=False)
    saved = book.save_draft(document, "eve", begun.number)
    assert (saved.document, saved.number, saved.changed_by) == (document, 2, "eve")
    assert (saved.changed_at, saved.editors) == (clock.now(), ("eve",))
    assert book.draft() == saved
    assert book.in_force().version == before

    clock.advance(60)
    published = book.publish("eve", f"  {REASON}\n", saved.number)
    assert (published.number, published.kind, published.by) == (2, PublicationKind.PUBLISHED, "eve")
    assert (published.reason, published.at) == (REASON, clock.now())
    assert book.in_force().version == published.version != before
    assert book.document(published.version) == document
    assert book.document(before) == _copy()
    assert book.draft() is None
    assert [one.number for one in book.publications()] == [2, 1]
    assert book.publications(limit=1) == (published,)


def test_dates_of_yaml_are_kept_as_text(book: RuleBook) -> None:
    condition = "{rules: [{field: StudyDate, operator: '>=', value: 2026-03-01}]}"
    document = _copy(when=yaml.safe_load(condition))
    saved = book.save_draft(document, "eve", book.begin_draft("eve").number)
    assert saved.document["rules"][0]["when"]["rules"][0]["value"] == "2026-03-01"  # type: ignore[index]
    assert book.publish("eve", REASON, saved.number).version == book.in_force().version


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"rules": [{"name": "a"}]}, "rule 'a', description: is missing"),
        (_copy(when={"rules": [{"field": "Modalitys", "value": "MR"}]}), "did you mean 'Modalities'"),
        (_copy(then={**THEN, "model": "identiti"}), "did you mean 'identity'"),
        (_copy(then={**THEN, "destinations": ["packs"]}), "did you mean 'pacs'"),
        (_copy(then={**THEN, "inputs": {"sauce": THEN["inputs"]["source"]}, "target": "sauce"}), "mean 'source'"),
        (_copy(description="half a \ud800"), "cannot be kept"),
        (_copy(description="a \0"), "cannot be kept"),
        ([], "must be a mapping"),
    ],
)
def test_what_is_wrong_is_refused_at_save_with_what_to_do(book: RuleBook, document: Any, said: str) -> None:
    begun = book.begin_draft("eve")
    assert said in "\n".join(book.problems(document))
    with pytest.raises(InvalidRule) as refused:
        book.save_draft(document, "eve", begun.number)
    assert said in refused.value.reason
    assert book.draft() == begun


def test_all_that_is_wrong_is_told_at_once(book: RuleBook) -> None:
    then = {**THEN, "model": "identiti", "destinations": ["packs"]}
    assert len(book.problems(_copy(then=then))) == 2
    assert book.problems(_copy()) == ()


def test_two_people_do_not_overwrite_each_other(book: RuleBook) -> None:
    looked_at = book.begin_draft("adam").number
    book.save_draft(_copy(description="of adam"), "adam", looked_at)
    for attempt in (
        lambda: book.save_draft(_copy(description="of eve"), "eve", looked_at),
        lambda: book.publish("eve", REASON, looked_at),
        lambda: book.propose("eve", REASON, looked_at),
    ):
        with pytest.raises(DraftChanged, match=r"adam changed the draft meanwhile.* it is number 2 now"):
            attempt()
    book.discard_draft("adam")
    with pytest.raises(DraftChanged, match="no draft of the rules any more"):
        book.save_draft(_copy(), "eve", 2)
    assert book.begin_draft("eve").number == 3


def test_of_changes_at_the_same_time_one_is_taken(open_book: Open, book: RuleBook) -> None:
    begun, start = book.begin_draft("adam"), threading.Barrier(3)
    lost: list[str] = []

    def save(name: str) -> None:
        mine = open_book()
        start.wait()
        try:
            mine.save_draft(_copy(description=f"of {name}"), name, begun.number)
        except DraftChanged:
            lost.append(name)

    threads = [threading.Thread(target=save, args=(name,)) for name in ("adam", "eve", "kain")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    draft = book.draft()
    assert draft is not None
    assert len(lost) == 2
    assert (draft.number, draft.changed_by) == (2, ({"adam", "eve", "kain"} - set(lost)).pop())


@pytest.mark.parametrize("reason", ["", "  ", "ok", "a\u0007b\u0007c"])
def test_nothing_comes_into_force_without_a_reason(book: RuleBook, reason: str) -> None:
    draft = book.save_draft(_copy(description="New."), "eve", book.begin_draft("eve").number)
    with pytest.raises(InvalidValue, match="say in a few words why"):
        book.publish("eve", reason, draft.number)
    assert len(book.publications()) == 1


def test_a_draft_that_says_what_is_in_force_is_not_published(book: RuleBook) -> None:
    written_otherwise = _copy(enabled=True)
    draft = book.save_draft(written_otherwise, "eve", book.begin_draft("eve").number)
    with pytest.raises(InvalidValue, match="in force already"):
        book.publish("eve", REASON, draft.number)
    assert book.draft() == draft


def test_a_draft_that_became_wrong_meanwhile_is_not_published(book: RuleBook, open_book: Open) -> None:
    draft = book.save_draft(_copy(description="New."), "eve", book.begin_draft("eve").number)
    later = open_book(destinations=("archive",))
    with pytest.raises(InvalidRule, match="no destination 'pacs' is configured"):
        later.publish("eve", REASON, draft.number)
    assert later.draft() == draft


def test_an_earlier_version_comes_into_force_again(book: RuleBook, clock: FakeClock, told: Told) -> None:
    first = book.in_force().version
    second = _publish(book, _copy(description="New."))
    begun = book.begin_draft("adam")
    clock.advance(3600)
    back = book.roll_back(first, "adam", "it fired for knees")
    assert (back.number, back.version, back.kind) == (3, first, PublicationKind.ROLLED_BACK)
    assert (back.by, back.at, back.reason) == ("adam", clock.now(), "it fired for knees")
    assert book.in_force().version == first
    assert [one.version for one in book.publications()] == [first, second, first]
    assert told.heard[-1][:2] == ("rules.rollback", "adam")
    assert told.heard[-1][2]["reason"] == "it fired for knees"

    # The draft began as what was rolled back: nobody publishes it without looking again.
    with pytest.raises(DraftChanged):
        book.publish("adam", REASON, begun.number)
    with pytest.raises(InvalidValue, match="in force already"):
        book.roll_back(first, "adam", "once more")
    with pytest.raises(NotInLedger, match="no version of the rules of this name"):
        book.roll_back("0" * 16, "adam", "to nowhere")


def test_an_earlier_version_that_is_wrong_by_now_stays_away(book: RuleBook, open_book: Open) -> None:
    first = book.in_force().version
    then = {**THEN, "destinations": ["archive"]}
    second = _publish(book, _copy(then=then))
    later = open_book(destinations=("archive",))
    with pytest.raises(InvalidRule, match="no destination 'pacs'"):
        later.roll_back(first, "eve", "back to the old")
    assert later.in_force().version == second


def test_every_process_decides_by_what_is_in_force_now(book: RuleBook, open_book: Open) -> None:
    other = open_book()
    first = other.in_force()
    assert other.in_force() is first
    second = _publish(book, _copy(description="New."))
    assert other.in_force().version == second
    book.roll_back(first.version, "eve", "back to the old")
    assert other.in_force().version == first.version


def test_a_version_in_force_that_cannot_be_read_any_more_says_so(
    book: RuleBook, ledger: Ledger, clock: FakeClock
) -> None:
    """As after an upgrade to a version that lacks a fact."""
    (first,) = book.publications()
    gone = _copy(when={"rules": [{"field": "PhaseOfTheMoon", "value": "full"}]})
    with ledger.transaction() as tx:
        keep_rule_set(tx, "abad1dea", gone, clock.now())
        add_publication(tx, replace(first, number=2, version="abad1dea"))
    for _again in range(2):
        with pytest.raises(InvalidRule, match="unknown fact 'PhaseOfTheMoon'"):
            book.in_force()
    assert book.begin_draft("eve").document == gone
    _publish(book, _copy(description="Mended."))
    assert book.in_force().rules[0].description == "Mended."


class TestSecondPerson:
    """Where the site asks for it, who made a draft does not put it in force."""

    def test_somebody_else_approves_what_was_proposed(self, book: RuleBook, open_book: Open, told: Told) -> None:
        four_eyes = open_book(second_person=True)
        draft = four_eyes.save_draft(_copy(description="New."), "eve", four_eyes.begin_draft("eve").number)
        proposed = four_eyes.propose("kain", REASON, draft.number)
        assert (proposed.proposed_by, proposed.proposal, proposed.number) == ("kain", REASON, draft.number)
        for involved in ("eve", "kain"):
            with pytest.raises(SecondPersonNeeded, match=f"{involved} took part"):
                four_eyes.publish(involved, REASON, draft.number)
        published = four_eyes.publish("adam", "checked on ten studies", draft.number)
        assert (published.by, published.approved_by, published.reason) == ("kain", "adam", "checked on ten studies")
        assert four_eyes.publications(1) == (published,)
        assert [action for action, _by, _about in told.heard][-2:] == ["rules.propose", "rules.publish"]

    def test_nobody_approves_what_was_not_proposed_or_changed_after_that(self, book: RuleBook, open_book: Open) -> None:
        four_eyes = open_book(second_person=True)
        draft = four_eyes.save_draft(_copy(description="New."), "eve", four_eyes.begin_draft("eve").number)
        with pytest.raises(NotAllowed, match="nobody has proposed"):
            four_eyes.publish("adam", REASON, draft.number)
        four_eyes.propose("eve", REASON, draft.number)
        changed = four_eyes.save_draft(_copy(description="Newer."), "kain", draft.number)
        assert (changed.proposed_by, changed.proposal, changed.editors) == (None, "", ("eve", "kain"))
        with pytest.raises(NotAllowed, match="nobody has proposed"):
            four_eyes.publish("adam", REASON, changed.number)

    def test_one_person_can_still_go_back(self, book: RuleBook, open_book: Open) -> None:
        first = book.in_force().version
        _publish(book, _copy(description="New."))
        assert open_book(second_person=True).roll_back(first, "eve", "it fired for knees").by == "eve"


@sqlite_only
def test_each_change_is_told_with_who_and_why(book: RuleBook, told: Told) -> None:
    _publish(book, _copy(description="New."))
    book.begin_draft("adam")
    book.discard_draft("adam")
    book.discard_draft("adam")
    assert [(action, by) for action, by, _about in told.heard] == [
        ("rules.import", "settings"),
        ("rules.draft.begin", "eve"),
        ("rules.draft.save", "eve"),
        ("rules.publish", "eve"),
        ("rules.draft.begin", "adam"),
        ("rules.draft.discard", "adam"),
    ]
    about = told.heard[3][2]
    assert about == {
        "number": 2,
        "version": book.in_force().version,
        "author": "eve",
        "approved_by": None,
        "reason": REASON,
    }


@sqlite_only
def test_versions_are_compared_with_each_other_and_with_the_draft(book: RuleBook) -> None:
    first = book.in_force().version
    with pytest.raises(NotInLedger, match="no draft"):
        book.differences(first, None)
    document = _copy(description="New.")
    second = _publish(book, document)
    (changed,) = book.differences(first, second)
    assert (changed.rule, changed.change) == ("copy-t2", Change.CHANGED)
    assert "description: New." in changed.after
    assert "description: New." not in changed.before

    document["rules"].append({**document["rules"][0], "name": "again"})
    book.save_draft(document, "eve", book.begin_draft("eve").number)
    (added,) = book.differences(second, None)
    assert (added.rule, added.change, added.before) == ("again", Change.ADDED, "")
    (removed,) = book.differences(None, second)
    assert (removed.rule, removed.change, removed.after) == ("again", Change.REMOVED, "")


@sqlite_only
def test_what_rules_may_name_is_told(book: RuleBook) -> None:
    assert book.destinations() == ("pacs", "archive")
    assert tuple(book.models()["identity"]) == ("source",)
    assert "Weighting" in book.catalogue().series
    assert not book.takes_two_people
