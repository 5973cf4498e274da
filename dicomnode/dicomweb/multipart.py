"""Bodies of several parts, written as a stream and taken apart (multipart/related, RFC 2387; PS3.18 section 8.6)."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from starlette.responses import StreamingResponse

_CHUNK = 1024 * 1024
_END_OF_HEADERS = b"\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part: its Content-Type and its bytes, a piece at a time."""

    content_type: str
    pieces: Iterable[bytes]


def multipart_response(part_type: str, parts: Iterable[Part], cache_control: str) -> StreamingResponse:
    """Answer with parts that are read as they are sent."""
    boundary = f"dicomnode.{secrets.token_hex(16)}"
    return StreamingResponse(
        _written(parts, boundary),
        media_type=f'multipart/related; type="{part_type}"; boundary={boundary}',
        headers={"Cache-Control": cache_control},
    )


def pieces_of(file: Path) -> Iterator[bytes]:
    """Read a file in pieces of at most 1 MiB."""
    with file.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            yield piece


def take_apart(content_type: str, body: bytes) -> list[bytes]:
    """Give the content of each part of a body; raises ValueError when it is no multipart body."""
    message = Message()
    message["Content-Type"] = content_type
    boundary = message.get_boundary()
    if message.get_content_maintype() != "multipart" or not boundary:
        raise ValueError("not a multipart body")
    # The first delimiter may stand at the very start; every other one begins with the line break before it.
    _preamble, *parts = (b"\r\n" + body).split(f"\r\n--{boundary}".encode())
    if not parts or not parts[-1].startswith(b"--"):
        raise ValueError("the multipart body is cut short")
    return [part.partition(_END_OF_HEADERS)[2] for part in parts[:-1]]


def _written(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        yield f"--{boundary}\r\nContent-Type: {part.content_type}\r\n\r\n".encode()
        yield from part.pieces
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
