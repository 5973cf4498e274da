"""Which SOP classes and transfer syntaxes the node takes: all that the dictionary knows (PS3.4 Annex B, PS3.6)."""

from collections.abc import Sequence
from typing import Self

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID
from pynetdicom import ALL_TRANSFER_SYNTAXES, DEFAULT_TRANSFER_SYNTAXES, AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid

VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

_NOT_COMPOSITE_STORAGE = ("Commitment", "Media Storage", "Hanging Protocol", "Color Palette", "Implant", "Inventory")


class ListenerContext(PresentationContext):
    """A context that the listener accepts; all associations share it, because negotiation only reads it.

    pynetdicom copies every context for each association: 80 ms for the 200 classes here, more than a small instance.
    """

    def __init__(self, abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> None:
        super().__init__()
        self.abstract_syntax = UID(abstract_syntax)
        self.transfer_syntax = [UID(syntax) for syntax in transfer_syntaxes]

    def __deepcopy__(self, _memo: dict[int, object]) -> Self:
        return self


def storage_sop_classes() -> tuple[str, ...]:
    """List every storage SOP class that pynetdicom serves or pydicom's dictionary names, retired ones included.

    Retired classes still come from old archives; refusing them would lose priors.
    """
    served = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    named = [
        uid
        for uid, (name, kind, *_rest) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and not any(word in name for word in _NOT_COMPOSITE_STORAGE)
    ]
    return tuple(dict.fromkeys([*served, *named]))


def accepted_contexts() -> list[ListenerContext]:
    """Build the contexts of the listener: verification, and every storage class in every transfer syntax as sent."""
    served = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    for uid in storage_sop_classes():
        if uid not in served:
            register_uid(uid, UID_dictionary[uid][4] or f"Storage{uid.replace('.', '_')}", StorageServiceClass)
    # Within one context the acceptor's order decides: never make a sender compress, least of all with loss.
    syntaxes = list(dict.fromkeys([EXPLICIT_LITTLE_ENDIAN, *ALL_TRANSFER_SYNTAXES]))
    verification = ListenerContext(VERIFICATION, DEFAULT_TRANSFER_SYNTAXES)
    return [verification, *(ListenerContext(uid, syntaxes) for uid in storage_sop_classes())]
