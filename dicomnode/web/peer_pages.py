"""The pages of the peers: who may send here, who answers C-ECHO, and who was turned away."""

from dataclasses import replace
from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from dicomnode.domain.account import Permission
from dicomnode.domain.errors import PeerExists
from dicomnode.domain.peer import EchoOutcome
from dicomnode.domain.uids import AETitle
from dicomnode.web.access import needs
from dicomnode.web.failures import ADVICE, adding_path
from dicomnode.web.form_fields import FormFields
from dicomnode.web.peer_form import PeerForm
from dicomnode.web.rendering import Renderer, back_to
from dicomnode.web.site import Site

_MOST_REFUSALS = 200
_PEERS = "/peers"


class PeerPages:
    """Answers for /peers, /peers/{ae_title}, /new-peer and /refusals; a title may have any printable character."""

    def __init__(self, site: Site, renderer: Renderer) -> None:
        self._site = site
        self._renderer = renderer

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter()
        sees, edits = [needs(Permission.SEE_SYSTEM)], [needs(Permission.EDIT_PEERS)]
        one = f"{_PEERS}/{{ae_title:path}}"
        router.add_api_route(_PEERS, self.peers, methods=["GET"], dependencies=sees)
        router.add_api_route("/refusals", self.refusals, methods=["GET"], dependencies=sees)
        router.add_api_route("/new-peer", self.form, methods=["GET"], dependencies=edits)
        router.add_api_route("/new-peer", self.add, methods=["POST"], dependencies=edits)
        router.add_api_route(f"{one}/echo", self.echo, methods=["POST"], dependencies=[needs(Permission.OPERATE)])
        router.add_api_route(f"{one}/change", self.change, methods=["POST"], dependencies=edits)
        router.add_api_route(f"{one}/remove", self.remove, methods=["POST"], dependencies=edits)
        router.add_api_route(one, self.peer, methods=["GET"], dependencies=sees)
        return router

    def peers(self, request: Request) -> Response:
        """List all peers by their titles."""
        return self._renderer.show(request, "peers.html", here="peers", peers=self._site.peers.peers(), path=_path)

    def refusals(self, request: Request) -> Response:
        """List who was turned away, with what to do about it."""
        return self._renderer.show(
            request,
            "refusals.html",
            here="peers",
            refusals=self._site.peers.refusals(_MOST_REFUSALS),
            known={record.peer.ae_title for record in self._site.peers.peers()},
            advice=ADVICE,
            adding_path=adding_path,
            path=_path,
        )

    def form(self, request: Request) -> Response:
        """Show the form of a new peer, filled with what a link says of it."""
        return self._form(request, PeerForm.read({"tls_check_host_name": "on", **request.query_params}), is_new=True)

    def add(self, request: Request, fields: FormFields) -> Response:
        """Add a peer, or show the form again with what to correct."""
        form = PeerForm.read(fields)
        peer = form.checked()
        if isinstance(peer, PeerForm):
            return self._form(request, peer, is_new=True, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        try:
            self._site.peers.add(peer)
        except PeerExists as error:
            taken = replace(form, wrong={"ae_title": error.reason})
            return self._form(request, taken, is_new=True, status=error.http_status)
        return back_to(_path(peer.ae_title), f"{peer.ae_title} is a peer now; it is let in from this second on.")

    def peer(self, request: Request, ae_title: str) -> Response:
        """Show one peer and the form to change it; raises InvalidValue, NotInLedger."""
        record = self._site.peers.find(AETitle(ae_title))
        return self._form(request, PeerForm.of(record.peer), is_new=False)

    def change(self, request: Request, ae_title: str, fields: FormFields) -> Response:
        """Change a peer, or show the form again with what to correct; raises InvalidValue, NotInLedger."""
        title = AETitle(ae_title)
        form = PeerForm.read({**fields, "ae_title": title})
        peer = form.checked()
        if isinstance(peer, PeerForm):
            return self._form(request, peer, is_new=False, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        self._site.peers.change(peer)
        return back_to(_path(title), f"{title} is changed.")

    def remove(self, ae_title: str) -> Response:
        """Forget a peer; raises InvalidValue, NotInLedger."""
        title = AETitle(ae_title)
        self._site.peers.remove(title)
        return back_to(_PEERS, f"{title} is no peer any more.")

    def echo(self, request: Request, ae_title: str) -> Response:
        """Ask a peer by C-ECHO; a failure is an answer. Raises NotInLedger, PeerUnknown."""
        title = AETitle(ae_title)
        said = echo_in_words(title, self._site.peers.echo(title))
        return back_to(_path(title) if "one" in request.query_params else _PEERS, said)

    def _form(self, request: Request, form: PeerForm, *, is_new: bool, status: int = HTTPStatus.OK) -> Response:
        record = None if is_new else self._site.peers.find(AETitle(form.ae_title))
        return self._renderer.show(request, "peer.html", status, here="peers", form=form, record=record, path=_path)


def echo_in_words(name: str, outcome: EchoOutcome) -> str:
    """Say what came of a C-ECHO."""
    if outcome.failure:
        return f"C-ECHO failed: {outcome.failure}."
    return f"{name} answered C-ECHO in {outcome.milliseconds:.0f} ms."


def _path(ae_title: str) -> str:
    """Write the address of a peer's page."""
    return f"{_PEERS}/{quote(ae_title, safe='')}"
