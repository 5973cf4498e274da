"""Templates to HTML, and what is said once after a button."""

import re
from http import HTTPStatus
from urllib.parse import quote, unquote

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dicomnode.domain.account import NOBODY, Permission, Visitor
from dicomnode.web import words
from dicomnode.web.access import visitor_of
from dicomnode.web.navigation import navigation
from dicomnode.web.site import Site

_MASK = "•••••"
_IDENTITY = re.compile(r"Patient(?!Sex|Age|Size|Weight|Body|Position|Orientation|s\b)")
"""Keywords of attributes that may name a patient."""
_SAID = "said"
_SAID_SECONDS = 60


class Renderer:
    """Fills the templates with what a page shows; every page knows the site, the time and whom it is for."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("dicomnode.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for filter_ in (
            words.age,
            words.local_time,
            words.measured,
            words.plural,
            words.sentence,
            words.size,
            words.study_date,
            words.tone_of,
            words.word_for,
            patient_name,
            patient_id,
            explained,
        ):
            self._templates.filters[filter_.__name__] = filter_

    def show(self, request: Request, template: str, status: int = HTTPStatus.OK, **context: object) -> HTMLResponse:
        """Make a page for whoever asks, with what the button before it said."""
        said = unquote(request.cookies.get(_SAID, ""))
        response = self.page(template, status, visitor=visitor_of(request), said=said, **context)
        if said:
            response.delete_cookie(_SAID)
        return response

    def page(
        self, template: str, status: int = HTTPStatus.OK, *, visitor: Visitor = NOBODY, **context: object
    ) -> HTMLResponse:
        """Make the response of one page for a visitor (`visitor_of(request)`); no cache keeps it: it names patients.

        `here` is the name of its entry in the navigation, `said` what is told once above it.
        """
        html = self._templates.get_template(template).render(
            now=self._site.clock.now(),
            listener=self._site.listener,
            version=self._site.version,
            visitor=visitor,
            may=lambda permission: visitor.may(Permission(permission)),
            pages=navigation(visitor),
            tells_changes=self._site.changes is not None,
            account=visitor.name if visitor.session else "",
            **{"search": "", "here": "", "said": "", **context},
        )
        return HTMLResponse(html, status_code=status, headers={"Cache-Control": "no-store"})

    def problem(self, status: int, reason: str, advice: str, visitor: Visitor = NOBODY) -> HTMLResponse:
        """Make the page that says what went wrong and what to do."""
        title = HTTPStatus(status).phrase
        return self.page("error.html", status, visitor=visitor, title=title, reason=reason, advice=advice)


def back_to(path: str, said: str) -> Response:
    """Lead from a button to a page of this node, which then tells once what was done."""
    response = RedirectResponse(path, status_code=HTTPStatus.SEE_OTHER)
    response.set_cookie(_SAID, quote(said), max_age=_SAID_SECONDS, httponly=True, samesite="strict")
    return response


@jinja2.pass_context
def patient_name(context: jinja2.runtime.Context, name: str) -> str:
    """Write a person name for whom the page is for; a macro must be imported `with context` to know who that is."""
    return words.person(name) or "(no name)" if _sees_names(context) else _MASK


@jinja2.pass_context
def patient_id(context: jinja2.runtime.Context, identifier: str) -> str:
    """Write a patient ID for whom the page is for."""
    return identifier or "no patient ID" if _sees_names(context) else _MASK


@jinja2.pass_context
def explained(context: jinja2.runtime.Context, text: str) -> str:
    """Write one line of an explanation; what it found of a patient's identity is for those who may see names."""
    if _sees_names(context) or not _IDENTITY.search(text):
        return text
    return f"{text.split()[0]}: {_MASK}"


def _sees_names(context: jinja2.runtime.Context) -> bool:
    visitor = context.get("visitor", NOBODY)
    return isinstance(visitor, Visitor) and visitor.may(Permission.SEE_NAMES)
