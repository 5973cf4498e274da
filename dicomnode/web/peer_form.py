"""The form of a peer: what was typed, what is wrong with it, and the peer that it describes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from pydantic import ValidationError

from dicomnode.domain.errors import InvalidValue
from dicomnode.domain.peer import Peer
from dicomnode.domain.uids import AETitle
from dicomnode.web.peer_documents import PeerDocument

_TLS = "tls"
_TLS_FIELDS = {"trusted": "tls_trusted", "certificate": "tls_certificate", "key": "tls_key"}
_WHOLE = {"host and port go together": "port", "needs a host and a port": "host", "needs its key": "tls_key"}
"""Which field an error about several of them is shown at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerForm:
    """The fields as texts, so that what was typed is shown again; `wrong` says what to correct, by field."""

    ae_title: str = ""
    networks: str = ""
    host: str = ""
    port: str = ""
    under_tls: bool = False
    tls_trusted: str = ""
    tls_certificate: str = ""
    tls_key: str = ""
    tls_check_host_name: bool = True
    maximum_associations: str = ""
    description: str = ""
    wrong: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, peer: Peer) -> Self:
        """Fill the form with what is known of a peer."""
        tls, pair = peer.tls, peer.tls.pair if peer.tls else None
        return cls(
            ae_title=peer.ae_title,
            networks="\n".join(str(network) for network in peer.networks),
            host=peer.host or "",
            port=str(peer.port or ""),
            under_tls=tls is not None,
            tls_trusted=str(tls.trusted) if tls else "",
            tls_certificate=str(pair.certificate) if pair else "",
            tls_key=str(pair.key) if pair else "",
            tls_check_host_name=tls is None or tls.check_host_name,
            maximum_associations=str(peer.maximum_associations or ""),
            description=peer.description,
        )

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Self:
        """Read what a browser sent."""

        def text(name: str) -> str:
            return str(given.get(name) or "").strip()

        return cls(
            ae_title=text("ae_title"),
            networks=text("networks"),
            host=text("host"),
            port=text("port"),
            under_tls="under_tls" in given,
            tls_trusted=text("tls_trusted"),
            tls_certificate=text("tls_certificate"),
            tls_key=text("tls_key"),
            tls_check_host_name="tls_check_host_name" in given,
            maximum_associations=text("maximum_associations"),
            description=text("description"),
        )

    def checked(self) -> "Peer | PeerForm":
        """Give the peer that was described, or the form with what to correct."""
        try:
            title = AETitle(self.ae_title)
        except InvalidValue as error:
            return replace(self, wrong={"ae_title": error.reason})
        try:
            return PeerDocument.model_validate(self._document()).peer(title)
        except ValidationError as error:
            wrong = {_field(one["loc"], one["msg"]): _plain(one["msg"]) for one in error.errors()}
            return replace(self, wrong=wrong)

    def _document(self) -> dict[str, object]:
        tls: dict[str, object] | None = None
        if self.under_tls:
            tls = {
                "trusted": self.tls_trusted or None,
                "certificate": self.tls_certificate or None,
                "key": self.tls_key or None,
                "check_host_name": self.tls_check_host_name,
            }
        return {
            "networks": self.networks.replace(",", " ").split(),
            "host": self.host or None,
            "port": self.port or None,
            "tls": tls,
            "maximum_associations": self.maximum_associations or None,
            "description": self.description,
        }


def _field(place: tuple[int | str, ...], said: str) -> str:
    """Name the field that an error is shown at."""
    if place and place[0] == _TLS and len(place) > 1:
        return _TLS_FIELDS.get(str(place[1]), "tls_trusted")
    if place and place[0] != _TLS:
        return str(place[0])
    return next((name for part, name in _WHOLE.items() if part in said), "ae_title")


def _plain(said: str) -> str:
    """Write pydantic's words without its own preface."""
    return said.removeprefix("Value error, ")
