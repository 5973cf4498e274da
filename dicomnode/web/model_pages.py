"""The pages of the models: what each card says, whether it can run here, which rules use it, and what it has done."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import ModelNotFound
from dicomnode.journey.rule_book import RuleBook
from dicomnode.ledger.model_work import models_with_work, work_of_model
from dicomnode.web.access import needs
from dicomnode.web.rendering import Renderer
from dicomnode.web.shelf import BrokenModel, InstalledModel
from dicomnode.web.site import Site


class ModelPages:
    """Answers for /models."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter(dependencies=[needs(Permission.SEE_SYSTEM)])
        router.add_api_route("/models", self.models, methods=["GET"])
        router.add_api_route("/models/{name}", self.model, methods=["GET"])
        return router

    def models(self, request: Request) -> Response:
        """List the models that are installed, those that are broken, and those that only have a past."""
        installed, broken = self._installed(), self._broken()
        here, rules = [model.card.name for model in installed], rules_in_force(self._site.rules)
        with self._site.ledger.transaction() as tx:
            work = {name: work_of_model(tx, name) for name in (*here, *models_with_work(tx))}
        return self._renderer.show(
            request,
            "models.html",
            here="models",
            installed=installed,
            broken=broken,
            gone=[name for name in work if name not in here],
            work=work,
            used_by={name: rules_with_model(rules, name) for name in work},
        )

    def model(self, request: Request, name: str) -> Response:
        """Show one model; raises ModelNotFound."""
        model = next((one for one in self._installed() if one.card.name == name), None)
        if model is None:
            broken = next((one.reason for one in self._broken() if one.name == name), None)
            raise ModelNotFound(
                f"model {name} is installed but broken ({broken})" if broken else "no model of this name"
            )
        with self._site.ledger.transaction() as tx:
            work = work_of_model(tx, name)
        used_by = rules_with_model(rules_in_force(self._site.rules), name)
        return self._renderer.show(request, "model.html", here="models", model=model, work=work, used_by=used_by)

    def _installed(self) -> Sequence[InstalledModel]:
        return self._site.models.installed() if self._site.models else ()

    def _broken(self) -> Sequence[BrokenModel]:
        return self._site.models.broken() if self._site.models else ()


def rules_in_force(book: RuleBook | None) -> Mapping[str, object]:
    """Read the rules in force as a document; empty while there are none."""
    latest = book.publications(1) if book else ()
    return book.document(latest[0].version) if book and latest else {}


def rules_with_model(document: Mapping[str, object], model: str) -> Sequence[str]:
    """Name the rules of a document that ask for a model."""
    rules = document.get("rules")
    named = [rule for rule in rules if isinstance(rule, Mapping)] if isinstance(rules, list) else []
    return [str(rule.get("name")) for rule in named if model in _models_of(rule.get("then"))]


def _models_of(then: object) -> Sequence[object]:
    """List the models that the actions of a rule name: one action, or several, each under its verb."""
    actions = then if isinstance(then, list) else [then]
    found = []
    for action in actions:
        inner = action.get("synthesise", action) if isinstance(action, Mapping) else None
        if isinstance(inner, Mapping):
            found.append(inner.get("model"))
    return found
