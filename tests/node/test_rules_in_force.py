"""Where a node's rules come from: a file at the first start, the ledger ever after, and a word about a changed file."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dicomnode.domain.errors import InvalidRule, LedgerUnavailable
from dicomnode.journey.rule_book import RuleBook
from dicomnode.ledger.audit import AuditQuery, list_audit
from dicomnode.ledger.schema import migrate
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.rules_in_force import bring_first_rules, document_in_force, read_rules_file, rule_book
from dicomnode.node.settings import Settings
from dicomnode.synthesis.registry import Registry
from tests.conftest import FakeClock
from tests.nodes import COPY_RULE

OTHER_RULE = COPY_RULE.replace("copy-t2", "copy-again")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "rules.yaml").write_text(COPY_RULE)
    return Settings(data=tmp_path, rules=tmp_path / "rules.yaml")


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger(settings.database_url)
    migrate(ledger)
    yield ledger
    ledger.close()


@pytest.fixture
def book(settings: Settings, ledger: Ledger, clock: FakeClock) -> RuleBook:
    return rule_book(settings, ledger, clock, Registry.discover())


def _started(book: RuleBook, settings: Settings, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Start once more, and give what the log says."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        bring_first_rules(book, settings)
    return caplog.messages


def test_the_first_start_brings_the_rules_of_the_settings(
    book: RuleBook, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert document_in_force(settings) == yaml.safe_load(COPY_RULE)
    assert _started(book, settings, caplog) == []
    (publication,) = book.publications()
    assert (publication.by, publication.reason) == ("settings", "the first start of this node, from rules.yaml")
    assert document_in_force(settings) == book.document(publication.version) == yaml.safe_load(COPY_RULE)


def test_a_changed_file_is_told_of_and_not_taken(
    book: RuleBook, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    bring_first_rules(book, settings)
    assert _started(book, settings, caplog) == []
    assert settings.rules is not None
    settings.rules.write_text(OTHER_RULE)
    (said,) = _started(book, settings, caplog)
    assert f"the rules file {settings.rules} differs from the rules in force" in said
    assert "`dicomnode rules import`" in said
    assert book.in_force().rules[0].name == "copy-t2"

    # Once it was in force, it is no news, whatever is in force now.
    draft = book.save_draft(yaml.safe_load(OTHER_RULE), "eve", book.begin_draft("eve").number)
    book.publish("eve", "the same from the file", draft.number)
    assert _started(book, settings, caplog) == []
    settings.rules.write_text(COPY_RULE)
    assert _started(book, settings, caplog) == []


def test_a_file_that_is_wrong_keeps_only_a_new_node_from_starting(
    book: RuleBook, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.rules is not None
    settings.rules.write_text("rulez: []")
    with pytest.raises(InvalidRule, match="did you mean 'rules'"):
        bring_first_rules(book, settings)
    settings.rules.write_text(COPY_RULE)
    bring_first_rules(book, settings)
    for wrong in ("rulez: []", "rules: ["):
        settings.rules.write_text(wrong)
        (said,) = _started(book, settings, caplog)
        assert "the rules file is wrong, and is not taken" in said


def test_rules_that_name_what_is_not_here_start_the_node_and_are_told_of(
    book: RuleBook, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.rules is not None
    settings.rules.write_text(COPY_RULE.replace("identity", "not-yet"))
    for _start in range(2):
        (said,) = _started(book, settings, caplog)
        assert "studies wait for a person: rule 'copy-t2', then: no model 'not-yet' is installed" in said


def test_a_rules_file_may_be_json(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(yaml.safe_load(COPY_RULE)))
    assert read_rules_file(file) == yaml.safe_load(COPY_RULE)
    file.write_bytes(b"\xff{}")
    with pytest.raises(InvalidRule, match="no text file in UTF-8"):
        read_rules_file(file)
    with pytest.raises(InvalidRule, match="cannot be read"):
        read_rules_file(tmp_path / "nowhere.json")


def test_asking_for_the_rules_in_force_changes_no_database(tmp_path: Path) -> None:
    """`dicomnode doctor` looks at a node that was not started since its upgrade."""
    settings = Settings(data=tmp_path)
    old = Ledger(settings.database_url)
    migrate(old, "0006")
    old.close()
    before = (tmp_path / "ledger.db").read_bytes()
    assert document_in_force(settings) == read_rules_file(settings.rules_file)
    assert (tmp_path / "ledger.db").read_bytes() == before

    away = Settings(data=tmp_path, database="postgresql+psycopg://nobody@127.0.0.1:1/none")
    with pytest.raises(LedgerUnavailable):
        document_in_force(away)


def test_each_change_is_a_line_of_the_audit_trail(book: RuleBook, settings: Settings, ledger: Ledger) -> None:
    bring_first_rules(book, settings)
    draft = book.save_draft(yaml.safe_load(OTHER_RULE), "eve", book.begin_draft("eve").number)
    published = book.publish("eve", "a better name", draft.number)
    with ledger.transaction() as tx:
        lines = list_audit(tx, AuditQuery())
    last = next(one.event for one in lines if one.event.kind == "rules.publish")
    assert (last.who, last.object, last.detail["reason"]) == ("eve", published.version, "a better name")
    assert {one.event.kind for one in lines} == {
        "rules.import",
        "rules.draft.begin",
        "rules.draft.save",
        "rules.publish",
    }
