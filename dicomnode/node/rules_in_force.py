"""Where a node's rules come from: its settings at the first start, and its ledger ever after."""

import logging
from collections.abc import Mapping
from pathlib import Path

from dicomnode.domain.account import Visitor
from dicomnode.domain.audit import AuditAction
from dicomnode.domain.errors import InvalidRule
from dicomnode.domain.ports import Clock
from dicomnode.journey.audit import CAME_FROM, AuditTrail, Deed
from dicomnode.journey.rule_book import RuleBook, Tell
from dicomnode.journey.rule_document import RuleScope
from dicomnode.ledger.rule_book import find_rule_set, has_publications, latest_publication
from dicomnode.ledger.transaction import Ledger
from dicomnode.node.settings import Settings
from dicomnode.rules.json_document import read_json_text
from dicomnode.rules.yaml_document import read_yaml
from dicomnode.spool.store import Spool
from dicomnode.synthesis.registry import Registry

_logger = logging.getLogger(__name__)


def rule_book(settings: Settings, ledger: Ledger, clock: Clock, registry: Registry) -> RuleBook:
    """Open the rules of a node over its ledger; each change of them is a line of the audit trail."""
    tell = _audited(AuditTrail(ledger, clock))
    return RuleBook(ledger, Spool(settings.spool), clock, rule_scope(settings, registry), tell)


def rule_scope(settings: Settings, registry: Registry) -> RuleScope:
    """Say which models and destinations the rules of this node may name."""
    return RuleScope(
        models={name: registry.entry(name).card.inputs for name in registry.names()},
        destinations=tuple(place.name for place in settings.destinations),
        second_person=settings.rules_second_person,
    )


def bring_first_rules(book: RuleBook, settings: Settings) -> None:
    """Put the rules of the settings in force at the first start of a node; later, only tell where they differ.

    Raises InvalidRule when the first rules cannot be read.
    """
    file = settings.rules_file
    if not book.publications(1):
        book.import_first(read_rules_file(file), f"the first start of this node, from {file.name}")
    else:
        _tell_of_another_file(book, file)
    for problem in book.problems(book.document(book.publications(1)[0].version)):
        _logger.warning("the rules in force are wrong on this node, studies wait for a person: %s", problem)


def _audited(trail: AuditTrail) -> Tell:
    """Write down each change of the rules with its version and reason, whether a page or a terminal made it."""

    def tell(action: str, by: str, about: Mapping[str, object]) -> None:
        deed = Deed(action=AuditAction.CHANGE, kind=action, object=str(about.get("version", "")))
        trail.note(Visitor(name=by, permissions=frozenset()), deed, CAME_FROM.get(), dict(about))

    return tell


def _tell_of_another_file(book: RuleBook, file: Path) -> None:
    """Say that a file was changed and is not taken: rules come into force by somebody's word, not by a restart."""
    try:
        is_known = book.was_in_force(read_rules_file(file))
    except InvalidRule as error:
        _logger.warning("the rules file is wrong, and is not taken: %s", error.reason)
        return
    if not is_known:
        _logger.warning(
            "the rules file %s differs from the rules in force, which stay as they are: `dicomnode rules import` makes "
            "a draft of it, and `dicomnode rules publish` puts that in force",
            file,
        )


def read_rules_file(file: Path) -> object:
    """Read a document of rules from a YAML or JSON file, unchecked; raises InvalidRule that names the file."""
    if file.suffix.lower() != ".json":
        return read_yaml(file)
    try:
        return read_json_text(file.read_text(encoding="utf-8"), str(file))
    except OSError as error:
        raise InvalidRule(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidRule(f"{file} is no text file in UTF-8") from error


def has_ledger(settings: Settings) -> bool:
    """Whether a node has run with these settings, so that its ledger says which rules are in force."""
    return settings.database is not None or (settings.data / "ledger.db").is_file()


def document_in_force(settings: Settings) -> object:
    """Read the rules in force from the ledger, or those of the settings before the first start; changes nothing.

    Raises InvalidRule when the file cannot be read, LedgerUnavailable when the database does not answer.
    """
    if not has_ledger(settings):
        return read_rules_file(settings.rules_file)
    ledger = Ledger(settings.database_url)
    try:
        with ledger.transaction() as tx:
            publication = latest_publication(tx) if has_publications(tx) else None
            if publication is not None:
                return find_rule_set(tx, publication.version)
    finally:
        ledger.close()
    return read_rules_file(settings.rules_file)
