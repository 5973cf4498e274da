"""A file that may only be read so often: a few megabytes of empty elements would keep a parser busy for minutes."""

from typing import BinaryIO

MOST_READS_OF_IDENTIFIERS = 60_000
"""pydicom reads about twice for an element; in front of the identifiers stand a few hundred."""
MOST_READS = 5_000_000
"""Enhanced instances describe each of thousands of frames by some hundred elements."""


class BoundedReading:
    """A binary stream that ends with a ValueError when it was read too often."""

    def __init__(self, stream: BinaryIO, reads: int) -> None:
        self._stream = stream
        self._left = reads
        self.seek = stream.seek
        self.tell = stream.tell
        self.close = stream.close

    @property
    def name(self) -> str:
        """What pydicom calls the file in its messages."""
        return ""

    def read(self, size: int = -1) -> bytes:
        """Read so many bytes, or fewer at the end; raises ValueError."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("more elements than a header has")
        return self._stream.read(size)
