"""Identifiers of DICOM as checked types, so that a UID is never a bare string or a path (PS3.5 section 9)."""

import hashlib
import re
import uuid
from typing import Self

from dicomnode.domain.errors import InvalidValue

_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
_UID_MAX_LENGTH = 64
_LENIENT_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_AE_MAX_LENGTH = 16
_NAMESPACE = uuid.UUID("2f6c8f0e-6f37-5d0b-9c0e-0d1c0a7b9d11")


class UID(str):
    """A unique identifier of at most 64 digits and dots (PS3.5 section 9.1).

    Leading zeros in a component are forbidden by the standard but sent by real scanners: they are accepted as they
    come and never written by this node.
    """

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check the form; raises InvalidValue."""
        text = str(value).rstrip("\0 ")
        if len(text) > _UID_MAX_LENGTH or not _LENIENT_UID.fullmatch(text):
            raise InvalidValue(f"not a {cls.__name__}: {len(text)} characters that PS3.5 section 9.1 does not allow")
        return super().__new__(cls, text)

    @property
    def is_strict(self) -> bool:
        """Whether every component also has no leading zero."""
        return _UID.fullmatch(self) is not None


class StudyInstanceUID(UID):
    """Names one study (0020,000D)."""

    __slots__ = ()


class SeriesInstanceUID(UID):
    """Names one series (0020,000E)."""

    __slots__ = ()


class SOPInstanceUID(UID):
    """Names one instance (0008,0018)."""

    __slots__ = ()


class SOPClassUID(UID):
    """Names what kind of object an instance is (0008,0016)."""

    __slots__ = ()


class TransferSyntaxUID(UID):
    """Names how a data set is encoded (0002,0010)."""

    __slots__ = ()


class FrameOfReferenceUID(UID):
    """Names a patient coordinate system (0020,0052); equal UIDs mean spatially related images."""

    __slots__ = ()


class AETitle(str):
    """The name of an application entity: 1 to 16 characters, no backslash or control character (PS3.5, VR AE)."""

    __slots__ = ()

    def __new__(cls, value: str) -> Self:
        """Check the form after stripping the spaces that are not significant; raises InvalidValue."""
        text = str(value).strip(" ")
        if not 1 <= len(text) <= _AE_MAX_LENGTH or "\\" in text or not (text.isascii() and text.isprintable()):
            raise InvalidValue("not an AE title: 1 to 16 printable ASCII characters without backslash (PS3.5, VR AE)")
        return super().__new__(cls, text)


def derived_uid(*entropy: str) -> str:
    """Make the UID that always belongs to these texts, under the root 2.25 (PS3.5 section B.2, UUID version 5).

    The same derivation run twice therefore names the same series and instances, and a retry cannot make a second one.
    """
    seed = hashlib.sha256("\0".join(entropy).encode()).hexdigest()
    return f"2.25.{uuid.uuid5(_NAMESPACE, seed).int}"
