"""The digest that names a file of the spool: BLAKE3, which costs a fifth of SHA-256 and is as hard to forge (ADR 8)."""

from pathlib import Path

from blake3 import blake3

_PIECE_BYTES = 1 << 20


class Digest:
    """The digest of bytes that come piece by piece."""

    __slots__ = ("_hasher",)

    def __init__(self, data: bytes = b"") -> None:
        self._hasher = blake3(data)

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self._hasher.update(data)

    def hex(self) -> str:
        """Give the 64 hex digits of all bytes so far."""
        return self._hasher.hexdigest()


def file_digest(file: Path) -> str:
    """Read a whole file and give the hex digits of its digest; raises OSError."""
    digest = Digest()
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            digest.update(piece)
    return digest.hex()
