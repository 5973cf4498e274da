"""Which compressed transfer syntaxes for still images this host can decode."""

from dataclasses import dataclass

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLETransferSyntaxes,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoders:
    """The names of the transfer syntaxes that can and cannot be decoded here."""

    available: tuple[str, ...]
    lacking: tuple[str, ...]


def decoders() -> Decoders:
    """Ask pydicom's decoders, each of which knows the libraries it needs."""
    still = (
        *JPEGTransferSyntaxes,
        *JPEGLSTransferSyntaxes,
        *JPEG2000TransferSyntaxes,
        *RLETransferSyntaxes,
        HTJ2KLossless,
        HTJ2KLosslessRPCL,
        HTJ2K,
    )
    answers = {syntax.name: _decodes(syntax) for syntax in still}
    return Decoders(
        available=tuple(name for name, can in answers.items() if can),
        lacking=tuple(name for name, can in answers.items() if not can),
    )


def _decodes(syntax: UID) -> bool:
    """Say whether a decoder exists and has its libraries; some retired JPEG processes have no decoder at all."""
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False
