"""Who is at the other end: peers and the associations they open (PS3.8)."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, StudyInstanceUID, TransferSyntaxUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """One association as the ledger remembers it."""

    calling_ae: AETitle
    called_ae: AETitle
    peer_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedInstance:
    """What a sender says of an instance before its data set has arrived (PS3.7 section 9.1.1)."""

    sop_class_uid: SOPClassUID
    sop_instance_uid: SOPInstanceUID
    transfer_syntax_uid: TransferSyntaxUID
    association: Association
    study_instance_uid: StudyInstanceUID | None = None
    """The study it must belong to, where the sender named one (PS3.18 section 10.5.1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who may open an association: with this node's titles, from these titles and networks where any are named."""

    called_ae: tuple[AETitle, ...]
    calling_ae: tuple[AETitle, ...] = ()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def refusal(self, association: Association) -> str | None:
        """Say why this association may not come in; None when it may."""
        if association.called_ae not in self.called_ae:
            return f"called AE title {association.called_ae} is not one of this node's"
        if self.calling_ae and association.calling_ae not in self.calling_ae:
            return f"calling AE title {association.calling_ae} is not on the allow-list"
        if self.networks and not _is_inside(association.peer_address, self.networks):
            return f"address {association.peer_address} is in none of the allowed networks"
        return None


def _is_inside(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    # A listener on [::] sees an IPv4 peer as ::ffff:10.1.2.3.
    plain = (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
    return any(plain in network for network in networks)
