"""A header that nobody could finish reading is given up soon, and its bytes go where a person can look at them."""

import struct
import time
from io import BytesIO
from pathlib import Path

import pytest

from dicomnode.domain.errors import MalformedInstance
from dicomnode.imaging.bounded_reading import BoundedReading
from dicomnode.imaging.headers import read_header
from tests.builders import a_series, with_file_meta


def test_it_reads_as_the_stream_does_until_it_was_asked_too_often() -> None:
    reading = BoundedReading(BytesIO(b"abcdef"), reads=3)
    assert (reading.read(2), reading.tell(), reading.read(), reading.read()) == (b"ab", 2, b"cdef", b"")
    with pytest.raises(ValueError, match="more elements than a header has"):
        reading.read(1)


def test_a_sequence_of_endless_items_is_given_up_within_a_second(tmp_path: Path) -> None:
    (dataset,) = a_series(slices=1)
    buffer = BytesIO()
    with_file_meta(dataset).save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    (group_length,) = struct.unpack_from("<I", data, 140)
    front = data[: 144 + group_length]
    sequence = struct.pack("<HH2s2xI", 0x0008, 0x1140, b"SQ", 0xFFFF_FFFF)
    endless = sequence + struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    file = tmp_path / "endless.dcm"
    file.write_bytes(front + endless + data[len(front) :])
    begun = time.process_time()
    with pytest.raises(MalformedInstance):
        read_header(file)
    assert time.process_time() - begun < 3
