"""Publications and the draft as rows: numbers are given once, and the draft's number never counts back."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from dicomnode.domain.errors import NotInLedger
from dicomnode.domain.rule_book import Draft, Publication, PublicationKind
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
from dicomnode.ledger.transaction import Ledger
from tests.ledger.values import NOW, later

DRAFT = Draft(
    document={"rules": [{"name": "a", "then": {"inputs": {"z": 1, "a": 2}}}]},
    number=1,
    base="0f",
    changed_at=NOW,
    changed_by="eve",
    editors=("adam", "eve"),
    proposed_by="kain",
    proposal="for the new scanner",
)


def _publication(number: int, **values: Any) -> Publication:
    given: dict[str, Any] = {
        "number": number,
        "version": f"{number:016x}",
        "kind": PublicationKind.PUBLISHED,
        "at": later(number),
        "by": "eve",
        "reason": "because",
    }
    return Publication(**{**given, **values})


def test_publications_are_listed_the_latest_first(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert latest_publication(tx) is None
        first = _publication(1, kind=PublicationKind.IMPORTED, by="settings")
        second = _publication(2, approved_by="adam")
        assert add_publication(tx, first)
        assert add_publication(tx, second)
    with ledger.transaction() as tx:
        assert latest_publication(tx) == second
        assert list_publications(tx, 50) == (second, first)
        assert list_publications(tx, 1) == (second,)
        assert was_published(tx, first.version)
        assert not was_published(tx, "ffff")


def test_a_number_is_given_once(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert add_publication(tx, _publication(1))
    with ledger.transaction() as tx:
        assert not add_publication(tx, _publication(1, version="other"))
        assert list_publications(tx, 50) == (_publication(1),)


def test_a_document_keeps_the_order_of_its_keys(ledger: Ledger) -> None:
    """An earlier role chooses its series first."""
    with ledger.transaction() as tx:
        keep_rule_set(tx, "0f", dict(DRAFT.document), NOW)
    with ledger.transaction() as tx:
        kept: Any = find_rule_set(tx, "0f")
        assert list(kept["rules"][0]["then"]["inputs"]) == ["z", "a"]
        with pytest.raises(NotInLedger, match="no version of the rules of this name"):
            find_rule_set(tx, "f0")


def test_the_draft_is_put_read_and_closed(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert (find_draft(tx), last_draft_number(tx)) == (None, 0)
        lock_rules(tx, NOW)
        assert (find_draft(tx), last_draft_number(tx)) == (None, 0)
        put_draft(tx, DRAFT)
        assert find_draft(tx) == DRAFT
    with ledger.transaction() as tx:
        lock_rules(tx, later(60))
        assert find_draft(tx) == DRAFT
        put_draft(tx, replace(DRAFT, number=2))
        close_draft(tx)
        assert find_draft(tx) is None
    with ledger.transaction() as tx:
        assert (find_draft(tx), last_draft_number(tx)) == (None, 2)


def test_who_holds_the_lock_is_waited_for(ledger: Ledger) -> None:
    """Two that read the number, add one and write it never give the same number twice."""
    start = threading.Barrier(2)

    def count() -> None:
        start.wait()
        for _round in range(5):
            with ledger.transaction() as tx:
                lock_rules(tx, NOW)
                put_draft(tx, replace(DRAFT, number=last_draft_number(tx) + 1))

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with ledger.transaction() as tx:
        assert last_draft_number(tx) == 10
