"""The draft of the rules: its list, import, and putting it in force."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import DicomnodeError, DraftChanged, InvalidRule, InvalidValue, NotAllowed
from dicomnode.domain.rule_book import Draft
from dicomnode.journey.rule_book import RuleBook
from dicomnode.rules.json_document import read_json_text
from dicomnode.rules.yaml_document import read_yaml_text
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.rule_diff import ComparedRule, compared
from dicomnode.web.rule_draft import changed_by_button, rules_of
from dicomnode.web.rule_pages import book_of, in_words, latest_of
from dicomnode.web.rule_templates import TEMPLATES
from dicomnode.web.rule_trial import Replayed
from dicomnode.web.site import Site

_EDIT = [needs(Permission.EDIT_RULES)]
_PUBLISH = [needs(Permission.PUBLISH_RULES)]
_MOST_BYTES = 2_000_000
_IN_PLACE = (InvalidRule, InvalidValue, DraftChanged, NotAllowed)
_JSON = re.compile(r"\s*\{\s*[\"}]")
Pressed = Annotated[str, Form()]


class RuleDraftPage:
    """Answers for the draft as a whole."""

    def __init__(self, site: Site, renderer: Renderer, replayed: Replayed) -> None:
        self._site = site
        self._renderer = renderer
        self._replayed = replayed

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        add = router.add_api_route
        add("/rules/draft", self.draft, methods=["GET"], dependencies=_EDIT)
        add("/rules/draft", self.press, methods=["POST"], dependencies=_EDIT)
        add("/rules/import", self.choose_import, methods=["GET"], dependencies=_EDIT)
        add("/rules/import", self.take_import, methods=["POST"], dependencies=_EDIT)
        add("/rules/publish", self.publishing, methods=["GET"], dependencies=_EDIT)
        add("/rules/publish", self.publish, methods=["POST"], dependencies=_PUBLISH)
        add("/rules/propose", self.propose, methods=["POST"], dependencies=_EDIT)
        return router

    def draft(self, request: Request) -> Response:
        """Show the rules of the draft, and what differs from those in force."""
        book = book_of(self._site)
        draft = book.draft()
        changes = _changes(book, draft)
        words, problems = in_words(book, draft.document) if draft else ([], ())
        return self._renderer.show(
            request,
            "rule_draft.html",
            here="rules",
            draft=draft,
            rules=words,
            changes={one.change.rule: one.change.change for one in changes},
            removed=[one.change.rule for one in changes if one.change.change == "removed"],
            problems=problems,
            templates=TEMPLATES,
            replayed=draft is not None and self._replayed.knows(draft),
        )

    def press(self, request: Request, press: Pressed, number: Annotated[int, Form()] = 0) -> Response:
        """Do what a button of the draft says: begin, discard, begin a rule or edit one, move, switch or remove one."""
        book, by = book_of(self._site), visitor_of(request).name
        verb, _, argument = press.partition(":")
        if verb == "discard":
            book.discard_draft(by)
            return back_to("/rules", "The draft is gone; the rules in force did not change.")
        if verb in ("begin", "new", "edit"):
            book.begin_draft(by)
            paths = {
                "begin": "/rules/draft",
                "new": f"/rules/new?template={argument}",
                "edit": f"/rules/draft/{argument}",
            }
            return RedirectResponse(paths[verb], status_code=HTTPStatus.SEE_OTHER)
        draft = book.draft()
        if draft is None:
            raise DraftChanged("there is no draft of the rules any more: it was published or discarded")
        book.save_draft(changed_by_button(draft.document, press), by, number)
        return back_to("/rules/draft", f"{_DONE.get(verb, 'Changed')}: {argument}.")

    def choose_import(self, request: Request) -> Response:
        """Show where a whole set of rules can be taken from a file or a text."""
        return self._renderer.show(request, "rule_import.html", here="rules", text="", problem=None)

    def take_import(
        self, request: Request, document: Annotated[str, Form()] = "", file: UploadFile | None = None
    ) -> Response:
        """Put a whole set of rules, as YAML or JSON, in the place of the draft."""
        book, by = book_of(self._site), visitor_of(request).name
        text = document
        try:
            text = _text_of(file) or document
            found = _read(text)
            draft = book.begin_draft(by)
            book.save_draft(found, by, draft.number)
        except (InvalidRule, DraftChanged) as error:
            return self._renderer.show(
                request, "rule_import.html", error.http_status, here="rules", text=text, problem=error
            )
        return back_to(
            "/rules/draft", f"Imported {len(rules_of(found))} rules into the draft; nothing is in force yet."
        )

    def publishing(self, request: Request) -> Response:
        """Show what would come into force, and ask why."""
        return self._show_publishing(request)

    def publish(
        self,
        request: Request,
        number: Annotated[int, Form()],
        reason: Annotated[str, Form()] = "",
        unseen: Annotated[str, Form()] = "",
    ) -> Response:
        """Put the draft in force; what stands against it is told on the page."""
        book, by = book_of(self._site), visitor_of(request).name

        def do() -> str:
            draft = book.draft()
            if draft is not None and not (self._replayed.knows(draft) or unseen):
                raise InvalidValue("nobody has looked at what this draft would change; do so, or tick the box")
            published = book.publish(by, reason, number)
            return f"Published as number {published.number}: studies that come now are decided by these rules."

        return self._attempt(request, do, reason)

    def propose(
        self, request: Request, number: Annotated[int, Form()], reason: Annotated[str, Form()] = ""
    ) -> Response:
        """Ask that somebody else puts the draft in force."""
        book, by = book_of(self._site), visitor_of(request).name

        def do() -> str:
            book.propose(by, reason, number)
            return "Proposed: somebody who had no part in the draft can publish it now."

        return self._attempt(request, do, reason)

    def _attempt(self, request: Request, do: Callable[[], str], reason: str) -> Response:
        try:
            said = do()
        except _IN_PLACE as error:
            return self._show_publishing(request, error, reason)
        return back_to("/rules", said)

    def _show_publishing(self, request: Request, problem: DicomnodeError | None = None, reason: str = "") -> Response:
        book = book_of(self._site)
        draft = book.draft()
        changes = _changes(book, draft)
        return self._renderer.show(
            request,
            "rule_publish.html",
            problem.http_status if problem else HTTPStatus.OK,
            here="rules",
            draft=draft,
            changes=changes,
            replayed=draft is not None and self._replayed.knows(draft),
            two_people=book.takes_two_people,
            took_part=draft is not None and visitor_of(request).name in (*draft.editors, draft.proposed_by),
            problem=problem,
            reason=reason,
        )


_DONE = {"up": "Moved up", "down": "Moved down", "remove": "Removed", "enable": "Enabled", "disable": "Disabled"}


def _changes(book: RuleBook, draft: Draft | None) -> list[ComparedRule]:
    """List what differs between the rules in force and the draft."""
    if draft is None:
        return []
    in_force = latest_of(book).version
    return [compared(change) for change in book.differences(in_force, None)]


def _text_of(file: UploadFile | None) -> str:
    """Read an uploaded file; raises InvalidRule."""
    if file is None or not file.filename:
        return ""
    content = file.file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise InvalidRule("the file is larger than any set of rules")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRule("the file is no text in UTF-8") from error


def _read(text: str) -> dict[str, object]:
    """Read a set of rules from YAML or JSON; raises InvalidRule."""
    found = read_json_text(text, "the text") if _JSON.match(text) else read_yaml_text(text, "the text")
    if not isinstance(found, dict) or "rules" not in found:
        raise InvalidRule("the text must be a set of rules: the key rules with a list below it")
    return found
