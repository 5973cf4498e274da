"""The rule book: the rules as people keep them, from a draft over trials to versions that are in force or were."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dicomnode.domain.errors import DraftChanged, InvalidRule, InvalidValue, NotInLedger, SecondPersonNeeded
from dicomnode.domain.facts import FactCatalogue
from dicomnode.domain.model_card import InputRole
from dicomnode.domain.ports import Clock
from dicomnode.domain.rule import Decision
from dicomnode.domain.rule_book import Draft, Publication, PublicationKind, RuleChange, WhatIf
from dicomnode.domain.uids import StudyInstanceUID
from dicomnode.imaging.fact_catalogue import fact_catalogue
from dicomnode.journey.rule_changes import rule_changes
from dicomnode.journey.rule_document import RuleScope, as_written, document_problems, read_document
from dicomnode.journey.what_if import Replaying
from dicomnode.ledger.revisions import keep_rule_set
from dicomnode.ledger.rule_book import (
    add_publication,
    close_draft,
    find_draft,
    find_rule_set,
    last_draft_number,
    latest_publication,
    list_publications,
    lock_rules,
    put_draft,
    was_published,
)
from dicomnode.ledger.transaction import Ledger, Transaction
from dicomnode.rules.ruleset import RuleSet
from dicomnode.spool.store import Spool

Tell = Callable[[str, str, Mapping[str, object]], None]
"""Hears of each change after it was made: what was done, by whom, and what is to be said of it."""
_SHORTEST_REASON = 3


class RuleBook:
    """Keeps the rules of a node; any number of processes may have one over the same ledger.

    Every method raises LedgerUnavailable while the database does not answer.
    """

    def __init__(self, ledger: Ledger, spool: Spool, clock: Clock, scope: RuleScope, tell: Tell | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._scope = scope
        self._tell = tell or (lambda _action, _by, _about: None)
        self._replay = Replaying(ledger, spool, clock)
        self._loaded: tuple[int, RuleSet] | None = None

    def in_force(self) -> RuleSet:
        """Give the rules that studies are decided by now; raises InvalidRule when this version cannot read them.

        Raises NotInLedger before the first start of the node.
        """
        with self._ledger.transaction() as tx:
            publication = _in_force(tx)
            if self._loaded is not None and self._loaded[0] == publication.number:
                return self._loaded[1]
            document = find_rule_set(tx, publication.version)
        rules = read_document(document)
        self._loaded = (publication.number, rules)
        return rules

    def publications(self, limit: int = 50) -> tuple[Publication, ...]:
        """List which versions came into force, the latest first."""
        with self._ledger.transaction() as tx:
            return list_publications(tx, limit)

    def document(self, version: str) -> Mapping[str, object]:
        """Read a version, in the form of the YAML file; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            return find_rule_set(tx, version)

    def draft(self) -> Draft | None:
        """Read the draft; None where none is open."""
        with self._ledger.transaction() as tx:
            return find_draft(tx)

    def begin_draft(self, by: str) -> Draft:
        """Begin a draft as the version in force, or give the one that is open already; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            now = self._clock.now()
            lock_rules(tx, now)
            open_already = find_draft(tx)
            if open_already is not None:
                return open_already
            base = _in_force(tx).version
            draft = Draft(
                document=find_rule_set(tx, base),
                number=last_draft_number(tx) + 1,
                base=base,
                changed_at=now,
                changed_by=by,
            )
            put_draft(tx, draft)
        self._tell("rules.draft.begin", by, {"base": base, "number": draft.number})
        return draft

    def save_draft(self, document: Mapping[str, object], by: str, expected: int) -> Draft:
        """Put a document in the place of the draft whose number is expected.

        Raises InvalidRule with a line for each problem, and DraftChanged when the draft is another by now.
        """
        self._require_sound(document)
        with self._ledger.transaction() as tx:
            lock_rules(tx, self._clock.now())
            draft = _expect(find_draft(tx), expected)
            saved = replace(
                draft,
                document=as_written(document),
                number=draft.number + 1,
                changed_at=self._clock.now(),
                changed_by=by,
                editors=tuple(dict.fromkeys((*draft.editors, by))),
                proposed_by=None,
                proposal="",
            )
            put_draft(tx, saved)
        self._tell("rules.draft.save", by, {"base": saved.base, "number": saved.number})
        return saved

    def discard_draft(self, by: str) -> None:
        """Forget the draft; nothing happens where none is open."""
        with self._ledger.transaction() as tx:
            lock_rules(tx, self._clock.now())
            draft = find_draft(tx)
            close_draft(tx)
        if draft is not None:
            self._tell("rules.draft.discard", by, {"base": draft.base, "number": draft.number})

    def problems(self, document: object) -> tuple[str, ...]:
        """Say all that is wrong with a document, a sentence each: grammar, facts, models, roles and destinations."""
        return document_problems(document, self._scope)

    def try_on(self, document: object, study: StudyInstanceUID) -> tuple[Decision, ...]:
        """Say what a document would decide of a stored study if it came now.

        Raises InvalidRule, NotInLedger when the study is not here, MalformedInstance when it cannot be read.
        """
        return self._replay.try_on(read_document(document), study)

    def what_if(self, document: object, days: float | None = None, studies: Sequence[StudyInstanceUID] = ()) -> WhatIf:
        """List which stored studies a document would decide otherwise than the rules in force.

        Over the studies that are named, or those of so many days, or all; raises InvalidRule, NotInLedger.
        """
        return self._replay.compare(self.in_force(), read_document(document), days=days, studies=studies)

    def propose(self, by: str, reason: str, expected: int) -> Draft:
        """Ask that somebody else publishes the draft; raises DraftChanged, InvalidRule, InvalidValue."""
        said = _reason(reason)
        with self._ledger.transaction() as tx:
            lock_rules(tx, self._clock.now())
            draft = _expect(find_draft(tx), expected)
            self._require_sound(draft.document)
            proposed = replace(draft, proposed_by=by, proposal=said)
            put_draft(tx, proposed)
        self._tell("rules.propose", by, {"base": draft.base, "number": draft.number, "reason": said})
        return proposed

    def publish(self, by: str, reason: str, expected: int) -> Publication:
        """Put the draft in force, if it is the one that was looked at.

        Raises DraftChanged, InvalidRule where it is wrong by now, InvalidValue without a reason or where it says the
        same as the rules in force, and SecondPersonNeeded (a NotAllowed) where the site asks for two people.
        """
        said = _reason(reason)
        with self._ledger.transaction() as tx:
            lock_rules(tx, self._clock.now())
            draft = _expect(find_draft(tx), expected)
            author, approver = self._people(draft, by)
            self._require_sound(draft.document)
            version = read_document(draft.document).version
            keep_rule_set(tx, version, dict(draft.document), self._clock.now())
            published = self._put_in_force(tx, version, PublicationKind.PUBLISHED, author, said, approver)
            close_draft(tx)
        self._tell("rules.publish", by, _about(published))
        return published

    def roll_back(self, version: str, by: str, reason: str) -> Publication:
        """Put an earlier version in force again; an open draft stays, but has to be looked at again.

        Raises NotInLedger, InvalidRule where the version is wrong by now, InvalidValue where it is in force.
        """
        said = _reason(reason)
        with self._ledger.transaction() as tx:
            lock_rules(tx, self._clock.now())
            self._require_sound(find_rule_set(tx, version))
            published = self._put_in_force(tx, version, PublicationKind.ROLLED_BACK, by, said)
            draft = find_draft(tx)
            if draft is not None:
                put_draft(tx, replace(draft, number=draft.number + 1, proposed_by=None, proposal=""))
        self._tell("rules.rollback", by, _about(published))
        return published

    def import_first(self, document: object, reason: str) -> Publication | None:
        """Put a document in force where none ever was, as a node's first start does; None where one was.

        Raises InvalidRule where it cannot be read; a model that is not installed yet keeps no node from starting.
        """
        with self._ledger.transaction() as tx:
            lock_rules(tx, self._clock.now())
            if latest_publication(tx) is not None:
                return None
            version = read_document(document).version
            keep_rule_set(tx, version, as_written(document), self._clock.now())
            published = self._put_in_force(tx, version, PublicationKind.IMPORTED, "settings", reason)
        self._tell("rules.import", published.by, _about(published))
        return published

    def was_in_force(self, document: object) -> bool:
        """Whether a document says what some version said that is or was in force; raises InvalidRule."""
        version = read_document(document).version
        with self._ledger.transaction() as tx:
            return was_published(tx, version)

    def differences(self, before: str | None, after: str | None) -> tuple[RuleChange, ...]:
        """List the rules that differ between two versions, or the draft where one is None; raises NotInLedger."""
        with self._ledger.transaction() as tx:
            documents = [_document(tx, version) for version in (before, after)]
        return rule_changes(documents[0], documents[1], fact_catalogue())

    def catalogue(self) -> FactCatalogue:
        """Give the facts that rules may ask for."""
        return fact_catalogue()

    def models(self) -> Mapping[str, Mapping[str, InputRole]]:
        """Give the models that rules may name, each with its roles."""
        return self._scope.models

    def destinations(self) -> tuple[str, ...]:
        """Give the destinations that rules may name."""
        return self._scope.destinations

    @property
    def takes_two_people(self) -> bool:
        """Whether a draft is published by somebody else than who made it."""
        return self._scope.second_person

    def _require_sound(self, document: object) -> None:
        """Raise InvalidRule unless a document has no problem."""
        found = self.problems(document)
        if found:
            raise InvalidRule("\n".join(found))

    def _people(self, draft: Draft, by: str) -> tuple[str, str | None]:
        """Say who publishes, and who approves where the site asks for it; raises SecondPersonNeeded."""
        if not self._scope.second_person:
            return by, None
        if draft.proposed_by is None:
            raise SecondPersonNeeded("nobody has proposed this draft yet")
        if by in (*draft.editors, draft.proposed_by):
            raise SecondPersonNeeded(f"{by} took part in this draft")
        return draft.proposed_by, by

    def _put_in_force(
        self,
        tx: Transaction,
        version: str,
        kind: PublicationKind,
        by: str,
        reason: str,
        approved_by: str | None = None,
    ) -> Publication:
        """Add the next publication; the caller holds the lock."""
        before = latest_publication(tx)
        if before is not None and before.version == version:
            raise InvalidValue("these rules are in force already; there is nothing to publish")
        published = Publication(
            number=1 if before is None else before.number + 1,
            version=version,
            kind=kind,
            at=self._clock.now(),
            by=by,
            reason=reason,
            approved_by=approved_by,
        )
        add_publication(tx, published)
        return published


def _in_force(tx: Transaction) -> Publication:
    publication = latest_publication(tx)
    if publication is None:
        raise NotInLedger("no rules are in force yet: a node brings its first ones from its settings when it starts")
    return publication


def _document(tx: Transaction, version: str | None) -> Mapping[str, object]:
    if version is not None:
        return find_rule_set(tx, version)
    draft = find_draft(tx)
    if draft is None:
        raise NotInLedger("there is no draft of the rules")
    return draft.document


def _expect(draft: Draft | None, expected: int) -> Draft:
    if draft is None:
        raise DraftChanged("there is no draft of the rules any more: it was published or discarded")
    if draft.number != expected:
        raise DraftChanged(
            f"{draft.changed_by} changed the draft meanwhile, or other rules came into force: it is number "
            f"{draft.number} now"
        )
    return draft


def _reason(text: str) -> str:
    """Check that a change is given a reason that can be kept and read; raises InvalidValue."""
    said = " ".join(text.split())
    if len(said) < _SHORTEST_REASON or not said.isprintable():
        raise InvalidValue("say in a few words why: the reason is kept with the version")
    return said


def _about(published: Publication) -> Mapping[str, object]:
    return {
        "number": published.number,
        "version": published.version,
        "author": published.by,
        "approved_by": published.approved_by,
        "reason": published.reason,
    }
