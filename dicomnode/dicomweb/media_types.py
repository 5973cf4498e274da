"""What a client accepts: media types and transfer syntaxes of an Accept header (PS3.18 section 8.7)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dicomnode.domain.archive import EXPLICIT_VR_LITTLE_ENDIAN
from dicomnode.domain.errors import NotAcceptable

DICOM_JSON = "application/dicom+json"
_AS_JSON = (DICOM_JSON, "application/json", "application/*", "*/*")
_RANGE = re.compile(r'(?:[^,"]|"[^"]*")+')
_PARAMETER = re.compile(r'(?:[^;"]|"[^"]*")+')
_AS_STORED = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRange:
    """One media type a client accepts, with its parameters in lower-case keys."""

    type: str
    parameters: Mapping[str, str]

    @property
    def quality(self) -> float:
        """How much the client likes it, from 0 to 1 (RFC 9110 section 12.4.2)."""
        try:
            return float(self.parameters.get("q", "1"))
        except ValueError:
            return 0.0

    @property
    def transfer_syntax(self) -> str:
        """The transfer syntax that is asked for; `*` means as it is stored."""
        return self.parameters.get("transfer-syntax", EXPLICIT_VR_LITTLE_ENDIAN)


def accepted(header: str | None) -> Sequence[MediaRange]:
    """Read an Accept header, most liked first; without one a client takes anything."""
    ranges = [_read(text) for text in _RANGE.findall(header or "*/*")]
    return sorted((found for found in ranges if found.quality > 0), key=lambda found: -found.quality)


def require_json(header: str | None) -> None:
    """Refuse a client that does not take JSON; raises NotAcceptable."""
    if not any(found.type in _AS_JSON for found in accepted(header)):
        raise NotAcceptable("this answer is only given as application/dicom+json")


def transfer_syntaxes(header: str | None, part_type: str) -> Sequence[str]:
    """List the transfer syntaxes in which a client takes multipart/related parts of this type, best first.

    Raises NotAcceptable when it takes no such parts.
    """
    found = tuple(one.transfer_syntax for one in accepted(header) if _takes_parts(one, part_type))
    if not found:
        raise NotAcceptable(f'this answer is only given as multipart/related; type="{part_type}"')
    return found


def wants_as_stored(syntaxes: Sequence[str], stored: str) -> bool:
    """Say whether to send data as it is stored, or else in Explicit VR Little Endian; raises NotAcceptable."""
    for syntax in syntaxes:
        if syntax in (_AS_STORED, stored):
            return True
        if syntax == EXPLICIT_VR_LITTLE_ENDIAN:
            return False
    raise NotAcceptable("pixel data is only given as it is stored (transfer-syntax=*) or in Explicit VR Little Endian")


def _read(text: str) -> MediaRange:
    """Read one range; what names no type fits nothing."""
    type_, *parameters = [part.strip() for part in _PARAMETER.findall(text)] or [""]
    pairs = (parameter.partition("=") for parameter in parameters)
    return MediaRange(
        type=type_.lower(), parameters={name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
    )


def _takes_parts(found: MediaRange, part_type: str) -> bool:
    if found.type in ("*/*", "multipart/*"):
        return True
    return found.type == "multipart/related" and found.parameters.get("type", part_type).lower() in (part_type, "*/*")
