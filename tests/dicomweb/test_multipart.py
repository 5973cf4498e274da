"""Multipart bodies, written and taken apart."""

from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import StreamingResponse

from dicomnode.dicomweb.multipart import Part, multipart_response, pieces_of, take_apart


def body_of(response: StreamingResponse) -> bytes:
    async def read() -> bytes:
        return b"".join([bytes(piece) async for piece in response.body_iterator if not isinstance(piece, str)])

    return anyio.run(read)


@given(st.lists(st.lists(st.binary(max_size=40), max_size=3), min_size=1, max_size=4))
def test_what_is_written_is_read_again(contents: list[list[bytes]]) -> None:
    parts = [Part(content_type="application/dicom", pieces=pieces) for pieces in contents]
    response = multipart_response("application/dicom", parts, "private")
    found = take_apart(response.headers["content-type"], body_of(response))
    assert found == [b"".join(pieces) for pieces in contents]


def test_line_ends_inside_of_a_part_stay() -> None:
    body = b"--x\r\nContent-Type: a/b\r\n\r\n\r\n--y\r\n\r\n\r\n--x\r\n\r\nsecond\r\n--x--\r\n"
    assert take_apart("multipart/related; boundary=x", body) == [b"\r\n--y\r\n\r\n", b"second"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/related", b"--x--"),
        ("multipart/related; boundary=x", b""),
        ("multipart/related; boundary=x", b"--x\r\n\r\ncut sho"),
    ],
)
def test_what_is_no_whole_multipart_body_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(ValueError, match="multipart"):
        take_apart(content_type, body)


def test_a_file_is_read_in_pieces(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * 10_000)
    pieces = list(pieces_of(file))
    assert len(pieces) == 3
    assert b"".join(pieces) == file.read_bytes()
