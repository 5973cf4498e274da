"""The editor of one rule of the draft: as a form with a check at each field, or as YAML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import DicomnodeError, DraftChanged, InvalidRule, InvalidValue
from dicomnode.domain.rule_book import Draft
from dicomnode.journey.rule_book import RuleBook
from dicomnode.rules.ruleset import load_rule_set
from dicomnode.rules.yaml_document import read_yaml_text, write_yaml
from dicomnode.web.access import needs, visitor_of
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.rule_draft import as_saved, place_of, rules_of, with_rule
from dicomnode.web.rule_editing import Document, fill_roles, press
from dicomnode.web.rule_facts import facts_for
from dicomnode.web.rule_faults import Fault, faults_of, others_of
from dicomnode.web.rule_form import Pair, actions_of, pairs_of, rule_of
from dicomnode.web.rule_pages import book_of
from dicomnode.web.rule_templates import rule_from
from dicomnode.web.rule_view import RuleView, view_of
from dicomnode.web.rule_words import describe
from dicomnode.web.site import Site

_EDIT = [needs(Permission.EDIT_RULES)]
_MOST_FIELDS = 5000
_MOST_BYTES = 2_000_000
_NEW = ""


async def form_pairs(request: Request) -> list[Pair]:
    """Read the fields of a form in their order; raises InvalidValue where they are too many for a rule."""
    if int(request.headers.get("content-length") or 0) > _MOST_BYTES:
        raise InvalidValue("the form is larger than any rule")
    async with request.form(max_fields=_MOST_FIELDS) as form:
        return [(name, value) for name, value in form.multi_items() if isinstance(value, str)]


Pairs = Annotated[list[Pair], Depends(form_pairs)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Editing:
    """One rule while it is edited: where it stands in the draft, and the fields as they are now."""

    draft: Draft
    original: str
    """Its name in the draft; empty for a new one."""
    index: int
    rule: Document
    pairs: Sequence[Pair]

    @property
    def document(self) -> Document:
        """The draft with the rule as it is now."""
        return with_rule(self.draft.document, self.index, self.rule)

    @property
    def path(self) -> str:
        """Where its form is sent to."""
        return f"/rules/draft/{self.original}" if self.original else "/rules/new"


class RuleEditorPage:
    """Answers for the editor."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        add = router.add_api_route
        add("/rules/new", self.begin, methods=["GET"], dependencies=_EDIT)
        add("/rules/new", self.send_new, methods=["POST"], dependencies=_EDIT)
        add("/rules/new/check", self.check_new, methods=["POST"], dependencies=_EDIT)
        add("/rules/draft/{rule}", self.edit, methods=["GET"], dependencies=_EDIT)
        add("/rules/draft/{rule}", self.send, methods=["POST"], dependencies=_EDIT)
        add("/rules/draft/{rule}/check", self.check, methods=["POST"], dependencies=_EDIT)
        add("/rules/draft/{rule}/yaml", self.edit_yaml, methods=["GET"], dependencies=_EDIT)
        add("/rules/draft/{rule}/yaml", self.save_yaml, methods=["POST"], dependencies=_EDIT)
        return router

    def begin(self, request: Request, template: str = "") -> Response:
        """Show the form of a new rule, empty or as a template makes it."""
        book = book_of(self._site)
        draft = book.draft()
        if draft is None:
            return RedirectResponse("/rules/draft", status_code=HTTPStatus.SEE_OTHER)
        rule = rule_from(template, book.models(), book.destinations())
        return self._show(request, _editing(draft, _NEW, rule, pairs_of(rule)), focus="name")

    def edit(self, request: Request, rule: str) -> Response:
        """Show the form of a rule of the draft; as YAML where the form has no field for a part of it."""
        book = book_of(self._site)
        draft = book.draft()
        if draft is None:
            return RedirectResponse("/rules/draft", status_code=HTTPStatus.SEE_OTHER)
        written = rules_of(draft.document)[place_of(draft.document, rule)]
        if not _fits_form(book, written):
            return RedirectResponse(f"/rules/draft/{rule}/yaml?why=form", status_code=HTTPStatus.SEE_OTHER)
        working = {**written, "then": actions_of(written)}
        return self._show(request, _editing(draft, rule, working, pairs_of(written)))

    def send_new(self, request: Request, pairs: Pairs) -> Response:
        """Press a button of the form of a new rule."""
        return self._pressed(request, _NEW, pairs)

    def send(self, request: Request, rule: str, pairs: Pairs) -> Response:
        """Press a button of the form of a rule; raises NotInLedger."""
        return self._pressed(request, rule, pairs)

    def check_new(self, pairs: Pairs) -> JSONResponse:
        """Say what is wrong with a new rule as the form has it."""
        return self._checked(_NEW, pairs)

    def check(self, rule: str, pairs: Pairs) -> JSONResponse:
        """Say what is wrong with a rule as the form has it; raises NotInLedger."""
        return self._checked(rule, pairs)

    def edit_yaml(self, request: Request, rule: str, why: str = "") -> Response:
        """Show a rule of the draft as YAML."""
        draft = book_of(self._site).draft()
        if draft is None:
            return RedirectResponse("/rules/draft", status_code=HTTPStatus.SEE_OTHER)
        text = write_yaml(rules_of(draft.document)[place_of(draft.document, rule)])
        return self._show_yaml(request, rule, draft.number, text, not_in_form=why == "form")

    def save_yaml(self, request: Request, rule: str, pairs: Pairs) -> Response:
        """Put a rule that was written as YAML in the draft; what is wrong is told above the text."""
        book, fields = book_of(self._site), dict(pairs)
        text, number = fields.get("document", ""), _number_in(pairs)
        try:
            draft = _draft_of(book)
            written = _one_rule(text)
            document = with_rule(draft.document, place_of(draft.document, rule), written)
            book.save_draft(document, visitor_of(request).name, number)
        except (InvalidRule, DraftChanged) as error:
            return self._show_yaml(request, rule, number, text, problem=error)
        return back_to("/rules/draft", f"Saved: {written.get('name', rule)}.")

    def _pressed(self, request: Request, original: str, pairs: Sequence[Pair]) -> Response:
        book, fields = book_of(self._site), dict(pairs)
        editing, button = self._editing(book, original, pairs), fields.get("press", "")
        if button.startswith("save"):
            return self._save(request, book, editing, goes_on=button == "save-test")
        edited = press(editing.rule, button, book.models())
        now = replace(editing, rule=edited.rule, pairs=pairs_of(edited.rule))
        return self._show(request, now, focus=edited.focus)

    def _save(self, request: Request, book: RuleBook, editing: Editing, *, goes_on: bool) -> Response:
        document = with_rule(editing.draft.document, editing.index, as_saved(editing.rule))
        try:
            book.save_draft(document, visitor_of(request).name, _number_in(editing.pairs))
        except InvalidRule:
            return self._show(request, editing, HTTPStatus.UNPROCESSABLE_ENTITY, refused=True)
        except DraftChanged as error:
            return self._show(request, editing, error.http_status, changed=error)
        return back_to("/rules/test" if goes_on else "/rules/draft", f"Saved: {editing.rule['name']}.")

    def _checked(self, original: str, pairs: Sequence[Pair]) -> JSONResponse:
        book = book_of(self._site)
        editing = self._editing(book, original, pairs)
        view = self._view(book, editing)
        return JSONResponse(
            {
                "faults": [
                    {
                        "path": fault.path,
                        "place": view.place_of(fault.path),
                        "text": fault.text,
                        "suggestion": fault.suggestion,
                        "suggested_at": fault.suggested_at,
                    }
                    for fault in view.faults
                ],
                "said": _said(view.faults),
                "words": bytes(self._renderer.page("rule_words.html", words=_words(book, editing)).body).decode(),
            }
        )

    def _editing(self, book: RuleBook, original: str, pairs: Sequence[Pair]) -> Editing:
        rule = rule_of(pairs, book.catalogue())
        fill_roles(rule, book.models())
        return _editing(_draft_of(book), original, rule, pairs)

    def _view(self, book: RuleBook, editing: Editing) -> RuleView:
        view = view_of(editing.rule, book.catalogue(), book.models(), book.destinations())
        problems = book.problems(editing.document)
        name = str(editing.rule.get("name", ""))
        faults = faults_of(problems, name, editing.index, editing.pairs)
        others = [Fault(path="", text=line) for line in others_of(problems, name, editing.index)]
        return replace(view, faults=(*faults, *(others if not faults else ())))

    def _show(
        self,
        request: Request,
        editing: Editing,
        status: int = HTTPStatus.OK,
        *,
        focus: str = "",
        refused: bool = False,
        changed: DicomnodeError | None = None,
    ) -> Response:
        """Show the form; problems of fields that nobody has filled yet are told only where saving was refused."""
        book = book_of(self._site)
        view = self._view(book, editing)
        return self._renderer.show(
            request,
            "rule_edit.html",
            status,
            here="rules",
            editing=editing,
            view=replace(view, focus=view.faults[0].path if refused and view.faults else focus),
            refused=refused,
            changed=changed,
            number=editing.draft.number,
            words=_words(book, editing),
            check_said=_said(view.faults),
            facts={scope: facts_for(book.catalogue(), scope) for scope in ("study", "series")},
        )

    def _show_yaml(
        self,
        request: Request,
        rule: str,
        number: int,
        text: str,
        *,
        problem: DicomnodeError | None = None,
        not_in_form: bool = False,
    ) -> Response:
        status = problem.http_status if problem else HTTPStatus.OK
        return self._renderer.show(
            request,
            "rule_yaml.html",
            status,
            here="rules",
            rule=rule,
            number=number,
            text=text,
            problem=problem,
            not_in_form=not_in_form,
        )


def _editing(draft: Draft, original: str, rule: Document, pairs: Sequence[Pair]) -> Editing:
    """Begin or go on editing; raises NotInLedger where the draft has no rule of that name."""
    index = place_of(draft.document, original) if original else len(rules_of(draft.document))
    return Editing(draft=draft, original=original, index=index, rule=rule, pairs=pairs)


def _draft_of(book: RuleBook) -> Draft:
    draft = book.draft()
    if draft is None:
        raise DraftChanged("there is no draft of the rules any more: it was published or discarded")
    return draft


def _one_rule(text: str) -> Mapping[str, object]:
    """Read one rule from YAML; raises InvalidRule."""
    written = read_yaml_text(text, "the text")
    if not isinstance(written, Mapping):
        raise InvalidRule("the text must be one rule: name, description, when, then")
    return written


def _number_in(pairs: Sequence[Pair]) -> int:
    """Read which draft the form was made from; raises InvalidValue."""
    text = dict(pairs).get("number", "")
    if not text.isdecimal() or len(text) > 9:
        raise InvalidValue("the form does not say which draft it was made from")
    return int(text)


def _fits_form(book: RuleBook, rule: Mapping[str, object]) -> bool:
    """Whether a rule that went through the form would be the same rule."""
    catalogue, pairs = book.catalogue(), pairs_of(rule)
    if any(end in text for _, text in pairs for end in "\r\n"):
        return False
    alone, returned = {"rules": [rule]}, {"rules": [rule_of(pairs, catalogue)]}
    try:
        return load_rule_set(alone, catalogue).version == load_rule_set(returned, catalogue).version
    except InvalidRule:
        return True


def _words(book: RuleBook, editing: Editing) -> object:
    """Put the rule in words; None while it cannot be read."""
    try:
        return describe(load_rule_set({"rules": [editing.rule]}, book.catalogue()).rules[0])
    except InvalidRule:
        return None


def _said(faults: Sequence[Fault]) -> str:
    count = len(faults)
    return "Nothing to correct." if not count else f"{count} thing{'' if count == 1 else 's'} to correct."
