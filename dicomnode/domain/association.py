"""Who is at the other end: the associations that peers open (PS3.8), and what they offer over them."""

from dataclasses import dataclass, field, replace
from itertools import count

from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, StudyInstanceUID, TransferSyntaxUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """One association as the ledger remembers it."""

    calling_ae: AETitle
    called_ae: AETitle
    peer_address: str
    serial: int = field(default=0, compare=False)
    """Tells apart what is open in one process at a time; the ledger does not keep it. 0: nobody asks."""


_serials = count(1)


def numbered(association: Association) -> Association:
    """Give an association a serial that no other one of this process has."""
    return replace(association, serial=next(_serials))


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedInstance:
    """What a sender says of an instance before its data set has arrived (PS3.7 section 9.1.1)."""

    sop_class_uid: SOPClassUID
    sop_instance_uid: SOPInstanceUID
    transfer_syntax_uid: TransferSyntaxUID
    association: Association
    study_instance_uid: StudyInstanceUID | None = None
    """The study it must belong to, where the sender named one (PS3.18 section 10.5.1.1)."""
