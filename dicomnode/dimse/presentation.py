"""Which SOP classes and transfer syntaxes the node takes: all that the dictionary knows (PS3.4 Annex B, PS3.6)."""

from pydicom._uid_dict import UID_dictionary
from pynetdicom import ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import register_uid

VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

_NOT_COMPOSITE_STORAGE = ("Commitment", "Media Storage", "Hanging Protocol", "Color Palette", "Implant", "Inventory")


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


def accepted_contexts() -> list[PresentationContext]:
    """Build the contexts of the listener: verification, and every storage class in every transfer syntax as sent."""
    served = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    for uid in storage_sop_classes():
        if uid not in served:
            register_uid(uid, UID_dictionary[uid][4] or f"Storage{uid.replace('.', '_')}", StorageServiceClass)
    # Within one context the acceptor's order decides: never make a sender compress, least of all with loss.
    syntaxes = list(dict.fromkeys([EXPLICIT_LITTLE_ENDIAN, *ALL_TRANSFER_SYNTAXES]))
    return [build_context(VERIFICATION), *(build_context(uid, syntaxes) for uid in storage_sop_classes())]
