"""The command `dicomnode rules`: what the pages of the rules do, for a terminal and for scripts."""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dicomnode.domain.errors import InvalidRule, NotInLedger
from dicomnode.node.settings import Settings, read_settings

if TYPE_CHECKING:
    from dicomnode.domain.rule_book import Draft, Publication
    from dicomnode.journey.rule_book import RuleBook

rules_app = typer.Typer(
    no_args_is_help=True, help="See, check and try the rules, change their draft, and put a version in force."
)
_console = Console()

SettingsFile = Annotated[
    Path | None, typer.Option("--settings", help="TOML file; left out: dicomnode.toml in this folder, if there is one.")
]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Folder of the node's spool and database.")]
OrDraft = Annotated[Path | None, typer.Argument(help="YAML or JSON file of rules; left out: the draft.")]
OrInForce = Annotated[Path | None, typer.Argument(help="YAML or JSON file of rules; left out: the rules in force.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the version for good.")]


@rules_app.command("facts")
def rules_facts(
    search: Annotated[str, typer.Argument(help="Part of a name or of its description.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 40,
) -> None:
    """Find what rules can ask for: the names of facts, their types and what they mean."""
    from dicomnode.imaging.fact_catalogue import fact_catalogue
    from dicomnode.journey.fact_search import search_facts
    from dicomnode.node.rules_report import fact_table

    found = search_facts(fact_catalogue(), search, limit)
    _console.print(fact_table(found) if found else f"No fact is called anything like {escape(search)}.")


@rules_app.command("lint")
@rules_app.command("check", hidden=True)
def rules_lint(file: OrInForce = None, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Read rules as the node would: every fact, value, model, role and destination is checked, every problem named."""
    from dicomnode.journey.rule_document import document_problems, read_document
    from dicomnode.node.rules_in_force import document_in_force, read_rules_file, rule_scope
    from dicomnode.synthesis.registry import Registry

    read = _settings(settings, data)
    document = document_in_force(read) if file is None else read_rules_file(file)
    found = document_problems(document, rule_scope(read, Registry.discover()))
    if found:
        raise InvalidRule("\n".join(line if file is None else f"{file}: {line}" for line in found))
    rules = read_document(document)
    for rule in rules.rules:
        state = "enabled" if rule.enabled else "disabled"
        _console.print(f"[green]✓[/] {rule.name} ({state}): {escape(rule.description)}", highlight=False)
    _console.print(f"rule set {rules.version}", style="dim")


@rules_app.command("test")
def rules_test(
    studies: Annotated[
        list[str], typer.Argument(help="Study Instance UIDs of this node; or folders, DICOM files or zip files.")
    ],
    file: Annotated[Path | None, typer.Option("--rules", help="YAML or JSON file; left out: those in force.")] = None,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Say for each study what the rules would do with it, and why. Nothing is sent, kept or changed."""
    from dicomnode.domain.uids import StudyInstanceUID
    from dicomnode.journey.rule_document import read_document
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.rule_trial import try_rules
    from dicomnode.node.rules_in_force import document_in_force, read_rules_file
    from dicomnode.node.story import answer_tree, facts_tree

    read, paths = _settings(settings, data), [Path(text) for text in studies]
    document = document_in_force(read) if file is None else read_rules_file(file)
    if any(path.exists() for path in paths):
        for trial in try_rules(read_document(document), paths, SystemClock().now()):
            _console.print(facts_tree(trial.facts))
            for decision in trial.decisions:
                _console.print(answer_tree(decision))
        return
    with _book(read) as book:
        for text in studies:
            decisions = book.try_on(document, StudyInstanceUID(text))
            _console.print(f"Study {text}", style="bold", highlight=False)
            for decision in decisions:
                _console.print(answer_tree(decision))


@rules_app.command("show")
def rules_show(settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Say which version is in force since when and why, what its rules do, and whether a draft is open."""
    from dicomnode.node.rules_report import draft_line, publication_line, rule_table

    with _book(_settings(settings, data)) as book:
        (publication,), draft = book.publications(1), book.draft()
        _console.print(publication_line(publication), highlight=False)
        _console.print(rule_table(book.in_force()))
    if draft is not None:
        _console.print(draft_line(draft), highlight=False)


@rules_app.command("versions")
def rules_versions(
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List which versions came into force, when, by whom and why; the latest first."""
    from dicomnode.node.rules_report import publication_table

    with _book(_settings(settings, data)) as book:
        _console.print(publication_table(book.publications(limit)))


@rules_app.command("export")
def rules_export(
    *,
    version: Annotated[str, typer.Option(help="A version, or draft; left out: the one in force.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON instead of YAML.")] = False,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Write rules to the standard output, as `import` and `lint` read them."""
    from dicomnode.rules.json_document import write_json
    from dicomnode.rules.yaml_document import write_yaml

    with _book(_settings(settings, data)) as book:
        if version == "draft":
            document = _draft(book).document
        else:
            document = book.document(version or book.publications(1)[0].version)
    typer.echo(write_json(document) if as_json else write_yaml(document), nl=False)


@rules_app.command("import")
def rules_import(
    file: Annotated[Path, typer.Argument(help="YAML or JSON file of rules.")],
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Make a file the draft, in the place of an open one; nothing is decided by it before it is published."""
    from dicomnode.node.rules_report import draft_line

    with _book(_settings(settings, data)) as book:
        _console.print(draft_line(_import(book, file)), highlight=False)


@rules_app.command("discard")
def rules_discard(settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Forget the draft; the rules in force stay as they are."""
    with _book(_settings(settings, data)) as book:
        book.discard_draft(_user())
    _console.print("No draft is open.")


@rules_app.command("diff")
def rules_diff(
    before: Annotated[str, typer.Argument(help="A version; left out: the one in force.")] = "",
    after: Annotated[str, typer.Argument(help="A version; left out: the draft.")] = "",
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Show rule by rule what differs between two versions, or between the one in force and the draft."""
    from dicomnode.node.rules_report import change_lines

    with _book(_settings(settings, data)) as book:
        changes = book.differences(before or book.publications(1)[0].version, after or None)
    for line in change_lines(changes):
        _console.print(line, highlight=False)
    if not changes:
        _console.print("They say the same.")


@rules_app.command("whatif")
def rules_whatif(
    file: OrDraft = None,
    days: Annotated[float, typer.Option(min=0, help="Over the studies of so many days.")] = 30,
    study: Annotated[list[str] | None, typer.Option(help="Over this study alone; repeatable.")] = None,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """List which stored studies other rules would decide otherwise than those in force. Nothing is changed."""
    from dicomnode.domain.uids import StudyInstanceUID
    from dicomnode.node.rules_in_force import read_rules_file
    from dicomnode.node.rules_report import what_if_summary, what_if_table

    chosen = [StudyInstanceUID(uid) for uid in study or ()]
    with _book(_settings(settings, data)) as book:
        document = _draft(book).document if file is None else read_rules_file(file)
        result = book.what_if(document, days=days, studies=chosen)
    if result.changes:
        _console.print(what_if_table(result))
    _console.print(what_if_summary(result), highlight=False)


@rules_app.command("propose")
def rules_propose(reason: Reason, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Ask that somebody else publishes the draft, where the site asks for two people (`rules_second_person`)."""
    with _book(_settings(settings, data)) as book:
        draft = book.propose(_user(), reason, _draft(book).number)
    _console.print(f"draft {draft.number} is proposed by {escape(draft.proposed_by or '')}", highlight=False)


@rules_app.command("publish")
def rules_publish(reason: Reason, file: OrDraft = None, settings: SettingsFile = None, data: DataFolder = None) -> None:
    """Put the draft, or a file, in force; the next study is decided by it."""
    with _book(_settings(settings, data)) as book:
        draft = _draft(book) if file is None else _import(book, file)
        _tell(book.publish(_user(), reason, draft.number))


@rules_app.command("rollback")
def rules_rollback(
    version: Annotated[str, typer.Argument(help="A version, as `dicomnode rules versions` lists them.")],
    reason: Reason,
    settings: SettingsFile = None,
    data: DataFolder = None,
) -> None:
    """Put an earlier version in force again; the next study is decided by it."""
    with _book(_settings(settings, data)) as book:
        _tell(book.roll_back(version, _user(), reason))


@contextmanager
def _book(settings: Settings) -> "Iterator[RuleBook]":
    """Open the rules of the node, beside the running node or before its first start."""
    from dicomnode.node.clock import SystemClock
    from dicomnode.node.records import open_ledger
    from dicomnode.node.rules_in_force import bring_first_rules, rule_book
    from dicomnode.synthesis.registry import Registry

    with open_ledger(settings, create=True) as ledger:
        book = rule_book(settings, ledger, SystemClock(), Registry.discover())
        if not book.publications(1):
            bring_first_rules(book, settings)
        yield book


def _settings(file: Path | None, data: Path | None) -> Settings:
    return read_settings(file, **({} if data is None else {"data": data}))


def _import(book: "RuleBook", file: Path) -> "Draft":
    """Make a file the draft; a file that is wrong begins none."""
    from dicomnode.node.rules_in_force import read_rules_file

    document = read_rules_file(file)
    found = book.problems(document)
    if found or not isinstance(document, dict):
        raise InvalidRule("\n".join(f"{file}: {line}" for line in found))
    return book.save_draft(document, _user(), book.begin_draft(_user()).number)


def _draft(book: "RuleBook") -> "Draft":
    draft = book.draft()
    if draft is None:
        raise NotInLedger("there is no draft of the rules; `dicomnode rules import` makes one of a file")
    return draft


def _tell(published: "Publication") -> None:
    from dicomnode.node.rules_report import publication_line

    _console.print(publication_line(published), highlight=False)


def _user() -> str:
    """Say who works at this terminal, in the system's name."""
    return getpass.getuser()
