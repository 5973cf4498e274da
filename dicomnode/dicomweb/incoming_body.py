"""A request's body as it arrives: expanded, and taken apart into its parts (RFC 9110 section 8.4, RFC 2046)."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from dicomnode.domain.errors import ContentTooLarge, InvalidValue

_PIECE = 1024 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class PartTaker(Protocol):
    """Takes the parts of a body one after another."""

    def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a part; the names of its header fields are in lower case."""
        ...

    def write(self, data: memoryview) -> None:
        """Take the next bytes of the part's content."""
        ...

    def end(self) -> None:
        """End the part: all of it has come."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpansionLimit:
    """How far a compressed body may expand: bytes in all, and beyond the free ones so many for each that was sent."""

    size: int = 16 * 1024**3
    ratio: int = 100
    free: int = 256 * 1024**2


class Expansion:
    """Expands a body with Content-Encoding gzip (RFC 1952), a piece of at most 1 MiB at a time."""

    def __init__(self, limit: ExpansionLimit) -> None:
        self._limit = limit
        self._member = zlib.decompressobj(_GZIP)
        self._taken = self._given = 0

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Expand the next bytes; raises InvalidValue for what is no gzip, ContentTooLarge for a bomb."""
        self._taken += len(data)
        piece = b""
        # A full piece may leave more of the same behind, even when all input is used up.
        while data or (len(piece) == _PIECE and not self._member.eof):
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                piece = self._member.decompress(data, _PIECE)
            except zlib.error as error:
                raise InvalidValue("the body is not gzip, as its Content-Encoding says") from error
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._given += len(piece)
            self._check()
            yield piece

    def finish(self) -> None:
        """Check that the body was whole; raises InvalidValue."""
        if not self._member.eof:
            raise InvalidValue("the gzip body is cut short")

    def _check(self) -> None:
        if self._given > min(self._limit.size, max(self._limit.free, self._limit.ratio * self._taken)):
            raise ContentTooLarge("the gzip body expands further than this node allows")


class IncomingBody:
    """Hands a multipart body to a taker, part by part, while it arrives; no more of it than a piece is in memory."""

    def __init__(self, boundary: str, taker: PartTaker, expansion: Expansion | None = None) -> None:
        self._taker = taker
        self._expansion = expansion
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[str, str] = {}
        self._has_ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": self._take_name,
                    "on_header_value": self._take_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_part,
                    "on_part_data": self._take_data,
                    "on_part_end": taker.end,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise InvalidValue("the boundary of the multipart body is too long (RFC 2046 section 5.1.1)") from error

    def write(self, data: bytes) -> None:
        """Take the next bytes; raises InvalidValue for what is no such body, ContentTooLarge, and what a taker does."""
        for piece in [data] if self._expansion is None else self._expansion.pieces(data):
            try:
                self._parser.write(piece)
            except FormParserError as error:
                raise InvalidValue("the multipart body is malformed (RFC 2046 section 5.1)") from error

    def finish(self) -> None:
        """Check that the body was whole; raises InvalidValue."""
        if self._expansion is not None:
            self._expansion.finish()
        if not self._has_ended:
            raise InvalidValue("the multipart body is cut short: its closing delimiter did not come")

    def _take_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _take_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._name.decode("ascii").lower()] = self._value.decode("latin-1").strip()
        self._name.clear()
        self._value.clear()

    def _begin_part(self) -> None:
        self._taker.begin(dict(self._headers))

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        self._taker.write(memoryview(data)[start:end])

    def _end(self) -> None:
        self._has_ended = True
