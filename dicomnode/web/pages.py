"""All pages that a person works with, each answered by a class of its own subject."""

from fastapi import APIRouter

from dicomnode.web.compare import ComparePage
from dicomnode.web.destination_pages import DestinationPages
from dicomnode.web.events import EventStream
from dicomnode.web.model_pages import ModelPages
from dicomnode.web.now_page import NowPage
from dicomnode.web.peer_pages import PeerPages
from dicomnode.web.quarantine_page import QuarantinePage
from dicomnode.web.rendering import Renderer
from dicomnode.web.settings_page import SettingsPage
from dicomnode.web.site import Site
from dicomnode.web.studies_page import StudiesPage
from dicomnode.web.study_page import StudyPage

_SUBJECTS = (
    NowPage,
    StudiesPage,
    StudyPage,
    ComparePage,
    QuarantinePage,
    ModelPages,
    PeerPages,
    DestinationPages,
    SettingsPage,
)


class Pages:
    """Answers for the pages; a page reads the ledger once and shows what it found."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes of all of them."""
        router = APIRouter()
        for subject in _SUBJECTS:
            router.include_router(subject(self._site, self._renderer).router())
        router.include_router(EventStream(self._site).router())
        return router
