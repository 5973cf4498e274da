"""What a listener can offer besides storage and verification, and what those services share."""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar, cast

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pynetdicom import evt
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import PresentationContext

from dicomnode.dimse.presentation import EXPLICIT_LITTLE_ENDIAN, ListenerContext
from dicomnode.dimse.storage_service import as_comment
from dicomnode.domain.association import Association
from dicomnode.domain.errors import (
    DicomnodeError,
    DuplicateStep,
    DuplicateTransaction,
    EmptyAttribute,
    InvalidValue,
    MissingAttribute,
    NotInLedger,
    PeerUnknown,
    StepIsFinal,
)
from dicomnode.domain.uids import AETitle

SUCCESS = 0x0000
NO_SUCH_INSTANCE = 0x0112
_PROCESSING_FAILURE, _RESOURCE_LIMITATION = 0x0110, 0x0213
_STATUSES: Mapping[type[DicomnodeError], int] = {
    NotInLedger: NO_SUCH_INSTANCE,
    DuplicateStep: 0x0111,
    MissingAttribute: 0x0120,
    EmptyAttribute: 0x0121,
    PeerUnknown: 0x0124,
    # A failure reason of PS3.3 section C.14.1.1; the lists of PS3.7 have none that would tell a requestor as much.
    DuplicateTransaction: 0x0131,
}
_STEP_MAY_NO_LONGER_BE_UPDATED = 0xA506
_IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"

_UNREADABLE = (
    InvalidDicomError,
    BytesLengthException,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    OverflowError,
    NotImplementedError,
    RecursionError,
)
"""What pydicom raises on bytes that are not what they claim to be."""

_Read = TypeVar("_Read")


class Service(Protocol):
    """One service class that a listener offers: which contexts it accepts, and what answers its requests."""

    @property
    def contexts(self) -> Sequence[PresentationContext]:
        """The presentation contexts to accept."""
        ...

    @property
    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """The handlers to bind; pynetdicom allows one for each kind of request."""
        ...


def plain_context(sop_class_uid: str) -> ListenerContext:
    """Build the context of a service whose data sets are small: not compressed, least of all deflated."""
    return ListenerContext(sop_class_uid, (EXPLICIT_LITTLE_ENDIAN, _IMPLICIT_LITTLE_ENDIAN))


def requestor_of(event: evt.Event) -> Association:
    """Read who is at the other end; raises InvalidValue for titles the standard does not allow."""
    requestor = event.assoc.requestor
    request = cast(A_ASSOCIATE, requestor.primitive)
    return Association(
        calling_ae=AETitle(request.calling_ae_title or ""),
        called_ae=AETitle(request.called_ae_title or ""),
        peer_address=str(requestor.address),
    )


def readable(read: Callable[[], _Read]) -> _Read:
    """Read from a data set of a peer; raises InvalidValue, without a word of its content, where that is broken."""
    try:
        return read()
    except _UNREADABLE as error:
        # The cause is left out: pydicom's messages quote the bytes they stumble over.
        raise InvalidValue(f"the data set cannot be parsed ({type(error).__name__})") from None


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """Give the items of a sequence, none where it is absent or empty; raises InvalidValue."""
    found = readable(lambda: tuple(dataset.get(keyword) or ()))
    if not all(isinstance(item, Dataset) for item in found):
        raise InvalidValue(f"{keyword} is no sequence of items")
    return found


def refusal(error: DicomnodeError, invalid_value: int) -> Dataset:
    """Answer a DIMSE-N request with an error's status (PS3.7 Annex C), and a comment for the peer's operator."""
    status = Dataset()
    status.Status = _status(error, invalid_value)
    status.ErrorComment = as_comment(error.reason)
    if isinstance(error, StepIsFinal):
        status.ErrorID = _STEP_MAY_NO_LONGER_BE_UPDATED
    return status


def _status(error: DicomnodeError, invalid_value: int) -> int:
    """Choose the status of an error; those of C-STORE are not in the lists of DIMSE-N."""
    if isinstance(error, InvalidValue):
        return invalid_value
    return _STATUSES.get(type(error), _RESOURCE_LIMITATION if error.retryable else _PROCESSING_FAILURE)
