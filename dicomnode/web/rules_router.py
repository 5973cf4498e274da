"""All pages of the rules under one router."""

from fastapi import APIRouter

from dicomnode.web.rendering import Renderer
from dicomnode.web.rule_draft_page import RuleDraftPage
from dicomnode.web.rule_editor_page import RuleEditorPage
from dicomnode.web.rule_pages import RulePages
from dicomnode.web.rule_trial import Replayed
from dicomnode.web.site import Site


def rules_router(site: Site, renderer: Renderer) -> APIRouter:
    """Make the routes of the rules; the pages that stand alone before those with a name in their path."""
    replayed = Replayed()
    router = APIRouter()
    router.include_router(RulePages(site, renderer, replayed).router())
    router.include_router(RuleDraftPage(site, renderer, replayed).router())
    router.include_router(RuleEditorPage(site, renderer).router())
    return router
