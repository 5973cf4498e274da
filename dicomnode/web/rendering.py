"""Templates to HTML."""

from http import HTTPStatus

import jinja2
from starlette.responses import HTMLResponse

from dicomnode.web import words
from dicomnode.web.site import Site


class Renderer:
    """Fills the templates with what a page shows; every page knows the site and the time."""

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
            words.person,
            words.plural,
            words.sentence,
            words.study_date,
            words.tone_of,
        ):
            self._templates.filters[filter_.__name__] = filter_

    def page(self, template: str, status: int = HTTPStatus.OK, **context: object) -> HTMLResponse:
        """Make the response of one page; it is kept by no cache, because it names patients."""
        html = self._templates.get_template(template).render(
            now=self._site.clock.now(),
            listener=self._site.listener,
            version=self._site.version,
            **{"search": "", "here": "", **context},
        )
        return HTMLResponse(html, status_code=status, headers={"Cache-Control": "no-store"})

    def problem(self, status: int, reason: str, advice: str) -> HTMLResponse:
        """Make the page that says what went wrong and what to do."""
        return self.page("error.html", status, title=HTTPStatus(status).phrase, reason=reason, advice=advice)
