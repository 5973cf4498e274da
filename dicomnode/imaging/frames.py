"""Single frames of an instance's pixel data, read by their place in the file or decoded (PS3.5 section 8)."""

import math
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import data_element_offset_to_value, read_file_meta_info, read_partial
from pydicom.filewriter import dcmwrite
from pydicom.pixels.utils import get_expected_length, pixel_array
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from dicomnode.domain.archive import EXPLICIT_VR_LITTLE_ENDIAN, Frame
from dicomnode.domain.errors import NotInLedger, UnreadablePixels
from dicomnode.domain.uids import TransferSyntaxUID
from dicomnode.imaging.attributes import UNREADABLE, quiet_pydicom

_FLOAT_PIXEL_DATA, _DOUBLE_FLOAT_PIXEL_DATA = Tag("FloatPixelData"), Tag("DoubleFloatPixelData")
PIXEL_DATA_TAGS = frozenset({_FLOAT_PIXEL_DATA, _DOUBLE_FLOAT_PIXEL_DATA, Tag("PixelData")})
_IMAGE_PIXEL: list[BaseTag | int] = [
    Tag(keyword)
    for keyword in (
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "BitsAllocated",
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
    )
]
_DECODE_ERRORS: tuple[type[Exception], ...] = (*UNREADABLE, RuntimeError)
"""Decoders add RuntimeError to what pydicom raises on damaged bytes."""
_BITS_OF_A_BYTE = 8
_UNDEFINED_LENGTH = 0xFFFFFFFF
_FILE_META_FRONT = 128 + 4 + 12
_MOST_ELEMENTS = 100_000
"""At the top level; real instances have a few hundred."""
_INFLATED_LIMIT = 512 * 1024 * 1024
"""A few kilobytes can be made to inflate beyond any memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelPlace:
    """Where the pixel data of a file lies: which element, the offset of its value in bytes, how it is cut into frames.

    `frame_bits` is the size of a frame that is not compressed; frames of single bits need not begin at a byte.
    """

    tag: int
    vr: str
    offset: int
    frames: int
    frame_bits: int
    samples: int
    transfer_syntax: UID
    is_encapsulated: bool
    extended_offsets: tuple[bytes, bytes] | None = None

    @property
    def is_readable_in_place(self) -> bool:
        """Whether the bytes in the file are what the frames would be in Explicit VR Little Endian."""
        return not self.is_encapsulated and self.transfer_syntax != ExplicitVRBigEndian


def read_pixel_place(file: Path) -> PixelPlace | None:
    """Find the pixel data of a Part 10 file without reading it; None where there is none that could be shown."""
    try:
        with closing(_open(file)) as stream, quiet_pydicom():
            dataset = read_partial(stream, stop_when=_is_pixel_data, specific_tags=_IMAGE_PIXEL)
            return _place(dataset, stream)
    except UNREADABLE:
        return None


def read_frame(file: Path, place: PixelPlace, number: int, *, as_stored: bool) -> Frame:
    """Read one frame, counted from 1: as it was stored, or in Explicit VR Little Endian.

    Raises NotInLedger when the instance has no such frame, UnreadablePixels when it is damaged or cannot be decoded.
    """
    if not 1 <= number <= place.frames:
        raise NotInLedger(f"the instance has {place.frames} frames, and none with the number {number}")
    is_compressed = as_stored and place.is_encapsulated
    try:
        with closing(_open(file)) as stream:
            if place.is_readable_in_place:
                data = _read_in_place(stream, place, number)
            elif is_compressed:
                data = _read_encapsulated(stream, place, number)
            else:
                data = _decode(stream, place, number)
    except _DECODE_ERRORS as error:
        raise UnreadablePixels(f"frame {number} cannot be read ({type(error).__name__})") from error
    syntax = TransferSyntaxUID(place.transfer_syntax) if is_compressed else EXPLICIT_VR_LITTLE_ENDIAN
    return Frame(transfer_syntax_uid=syntax, data=data)


def encode_explicit(file: Path) -> bytes:
    """Encode an instance as a Part 10 file in Explicit VR Little Endian; raises UnreadablePixels."""
    try:
        with closing(_open(file)) as stream:
            dataset = read_partial(stream, stop_when=_few_elements())
        # Elements of a command are no part of a data set, but some old exports have them.
        del dataset[0x00000000:0x00010000]
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress(generate_instance_uid=False)
        buffer = BytesIO()
        with quiet_pydicom():
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except _DECODE_ERRORS as error:
        raise UnreadablePixels(f"the instance cannot be decoded ({type(error).__name__})") from error
    return buffer.getvalue()


def _few_elements() -> Callable[[BaseTag, str | None, int], bool]:
    """Count elements while they are read; raises UnreadablePixels where nothing but a trap has so many."""
    counted = count(1)

    def stop(_tag: BaseTag, _vr: str | None, _length: int) -> bool:
        if next(counted) > _MOST_ELEMENTS:
            raise UnreadablePixels(f"the instance has more than {_MOST_ELEMENTS} elements")
        return False

    return stop


def _is_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag in PIXEL_DATA_TAGS


def _open(file: Path) -> BinaryIO:
    """Open a Part 10 file; one that is deflated as a whole (PS3.5 section A.5) is inflated in memory first."""
    stream = file.open("rb")
    if DeflatedExplicitVRLittleEndian.encode("ascii") not in stream.peek(1024)[:1024]:
        return stream
    with stream:
        return _inflate(file, stream)


def _inflate(file: Path, stream: BinaryIO) -> BytesIO:
    """Write a deflated file as the same instance in Explicit VR Little Endian."""
    meta = read_file_meta_info(file)
    stream.seek(_FILE_META_FRONT + int(meta.FileMetaInformationGroupLength))
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(stream.read(), _INFLATED_LIMIT)
    head = Dataset()
    head.file_meta = meta
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, head, enforce_file_format=True)
    buffer.write(inflated)
    buffer.seek(0)
    return buffer


def _place(dataset: Dataset, stream: BinaryIO) -> PixelPlace | None:
    """Describe the pixel data before whose element the stream stands."""
    start = stream.tell()
    is_implicit, is_little = dataset.original_encoding
    front = stream.read(data_element_offset_to_value(bool(is_implicit), "OW"))
    if not front or "Rows" not in dataset:
        return None
    order = "<" if is_little else ">"
    group, element = struct.unpack(f"{order}HH", front[:4])
    (length,) = struct.unpack(f"{order}L", front[-4:])
    tag = Tag(group, element)
    frames = int(dataset.get("NumberOfFrames") or 1)
    offsets = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
    return PixelPlace(
        tag=tag,
        vr=_vr(tag, front, is_implicit=bool(is_implicit)),
        offset=start + len(front),
        frames=frames,
        frame_bits=_frame_bits(dataset, frames),
        samples=int(dataset.get("SamplesPerPixel") or 1),
        transfer_syntax=UID(dataset.file_meta.TransferSyntaxUID),
        is_encapsulated=length == _UNDEFINED_LENGTH,
        extended_offsets=cast("tuple[bytes, bytes]", offsets) if all(offsets) else None,
    )


def _frame_bits(dataset: Dataset, frames: int) -> int:
    """Count the bits of one frame (PS3.5 section 8.1.1); subsampled colour takes fewer than its samples say."""
    if dataset.BitsAllocated == 1:
        return get_expected_length(dataset, "pixels") // frames
    return get_expected_length(dataset) * _BITS_OF_A_BYTE // frames


def _vr(tag: BaseTag, front: bytes, *, is_implicit: bool) -> str:
    """Name the VR that the pixel data element has in JSON."""
    written = "OW" if is_implicit else front[4:6].decode("ascii")
    return {_FLOAT_PIXEL_DATA: "OF", _DOUBLE_FLOAT_PIXEL_DATA: "OD"}.get(tag, written)


def _read_in_place(stream: BinaryIO, place: PixelPlace, number: int) -> bytes:
    """Cut a frame out of pixel data that is not compressed; raises EOFError."""
    first, skipped = divmod((number - 1) * place.frame_bits, _BITS_OF_A_BYTE)
    size = math.ceil((skipped + place.frame_bits) / _BITS_OF_A_BYTE)
    stream.seek(place.offset + first)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the pixel data is cut short")
    if not skipped and place.frame_bits % _BITS_OF_A_BYTE == 0:
        return data
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[skipped : skipped + place.frame_bits]
    return np.packbits(bits, bitorder="little").tobytes()


def _read_encapsulated(stream: BinaryIO, place: PixelPlace, number: int) -> bytes:
    """Take a compressed frame out of its fragments (PS3.5 section A.4)."""
    stream.seek(place.offset)
    return get_frame(stream, number - 1, number_of_frames=place.frames, extended_offsets=place.extended_offsets)


def _decode(stream: BinaryIO, place: PixelPlace, number: int) -> bytes:
    """Decode a frame with pydicom and write it little endian; raises NotImplementedError for colour.

    A decoded colour frame need not have the photometric interpretation that the header names.
    """
    if place.samples > 1:
        raise NotImplementedError("colour frames are only given as they are stored")
    array = pixel_array(stream, index=number - 1, raw=True)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
