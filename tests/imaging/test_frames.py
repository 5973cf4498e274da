"""Frames by their place in the file and decoded, held against pydicom."""

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.domain.errors import NotInLedger, UnreadablePixels
from dicomnode.imaging.frames import PixelPlace, encode_explicit, read_frame, read_pixel_place
from tests.builders import a_series, write_series

NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def multi_frame(frames: int = 3, columns: int = 24) -> tuple[Dataset, np.ndarray]:
    voxels = np.arange(frames * 32 * columns, dtype=np.uint16).reshape(frames, 32, columns)
    dataset = a_series(slices=1, shape=(32, columns))[0]
    dataset.NumberOfFrames, dataset.PixelData = frames, voxels.tobytes()
    return dataset, voxels


def write_in(folder: Path, dataset: Dataset, voxels: np.ndarray, syntax: UID) -> Path:
    """Write a data set in a transfer syntax that is not compressed frame by frame."""
    is_little = syntax != ExplicitVRBigEndian
    if not is_little:
        dataset["PixelData"].VR = "OW"
        dataset.PixelData = voxels.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    file = folder / "one.dcm"
    with file.open("wb") as stream:
        dcmwrite(stream, dataset, implicit_vr=syntax.is_implicit_VR, little_endian=is_little, enforce_file_format=True)
    return file


def place_of(file: Path) -> PixelPlace:
    place = read_pixel_place(file)
    assert place is not None
    return place


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("as_stored", [True, False])
def test_a_frame_that_is_not_compressed_is_little_endian(tmp_path: Path, syntax: UID, as_stored: bool) -> None:
    dataset, voxels = multi_frame()
    file = write_in(tmp_path, dataset, voxels, syntax)
    for number, expected in enumerate(voxels, start=1):
        frame = read_frame(file, place_of(file), number, as_stored=as_stored)
        assert str(frame.transfer_syntax_uid) == ExplicitVRLittleEndian
        assert np.array_equal(np.frombuffer(frame.data, "<u2").reshape(expected.shape), expected)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless], ids=lambda syntax: syntax.name)
def test_a_compressed_frame_is_decoded_or_given_as_it_is(tmp_path: Path, syntax: UID) -> None:
    dataset, voxels = multi_frame()
    dataset.compress(syntax, generate_instance_uid=False)
    file = write_series(tmp_path, [dataset])[0]
    stored = list(generate_frames(dataset.PixelData, number_of_frames=3))
    for number, expected in enumerate(voxels, start=1):
        decoded = read_frame(file, place_of(file), number, as_stored=False)
        as_it_is = read_frame(file, place_of(file), number, as_stored=True)
        assert np.array_equal(np.frombuffer(decoded.data, "<u2").reshape(expected.shape), expected)
        assert str(decoded.transfer_syntax_uid) == ExplicitVRLittleEndian
        assert str(as_it_is.transfer_syntax_uid) == syntax
        assert as_it_is.data == stored[number - 1]


def test_frames_of_single_bits_are_packed_anew(tmp_path: Path) -> None:
    """Frames of 5 x 7 bits do not begin at a byte (PS3.5 section 8.1.1)."""
    bits = np.random.default_rng(1).integers(0, 2, (3, 5, 7), dtype=np.uint8)
    dataset, _voxels = multi_frame()
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = 5, 7, 3
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    dataset.PixelData = np.packbits(bits, axis=None, bitorder="little").tobytes()
    file = write_series(tmp_path, [dataset])[0]
    for number, expected in enumerate(bits, start=1):
        data = read_frame(file, place_of(file), number, as_stored=False).data
        unpacked = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: expected.size]
        assert np.array_equal(unpacked.reshape(expected.shape), expected)


@pytest.mark.parametrize("number", [0, 4])
def test_a_frame_that_is_not_there_is_refused(tmp_path: Path, number: int) -> None:
    dataset, _voxels = multi_frame()
    file = write_series(tmp_path, [dataset])[0]
    with pytest.raises(NotInLedger, match="3 frames"):
        read_frame(file, place_of(file), number, as_stored=False)


def test_pixel_data_that_is_cut_short_is_unreadable(tmp_path: Path) -> None:
    dataset, _voxels = multi_frame()
    file = write_series(tmp_path, [dataset])[0]
    file.write_bytes(file.read_bytes()[:-100])
    read_frame(file, place_of(file), 2, as_stored=False)
    with pytest.raises(UnreadablePixels):
        read_frame(file, place_of(file), 3, as_stored=False)


def test_damaged_compressed_data_is_unreadable(tmp_path: Path) -> None:
    dataset, _voxels = multi_frame(frames=1)
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)
    dataset.PixelData = encapsulate([b"no image at all"])
    file = write_series(tmp_path, [dataset])[0]
    with pytest.raises(UnreadablePixels):
        read_frame(file, place_of(file), 1, as_stored=False)


def test_an_instance_without_pixels_has_no_place(tmp_path: Path) -> None:
    dataset, _voxels = multi_frame()
    del dataset.PixelData
    assert read_pixel_place(write_series(tmp_path, [dataset])[0]) is None


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless],
    ids=lambda syntax: syntax.name,
)
def test_an_instance_is_encoded_anew_without_a_change_of_content(tmp_path: Path, syntax: UID) -> None:
    dataset, voxels = multi_frame()
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
        file = write_series(tmp_path, [dataset])[0]
    else:
        file = write_in(tmp_path, dataset, voxels, syntax)
    again = dcmread(BytesIO(encode_explicit(file)))
    assert again.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert again.SOPInstanceUID == dataset.SOPInstanceUID
    assert np.array_equal(again.pixel_array, voxels)


def test_a_deflated_file_that_becomes_millions_of_elements_is_not_encoded_anew(tmp_path: Path) -> None:
    dataset, voxels = multi_frame()
    plain = write_in(tmp_path, dataset, voxels, ExplicitVRLittleEndian).read_bytes()
    start = 144 + int.from_bytes(plain[140:144], "little")
    meta = plain[:start].replace(b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99")
    length = int.from_bytes(meta[140:144], "little") + 2
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    trap = packer.compress(plain[start:] + bytes(20_000_000)) + packer.flush()
    file = tmp_path / "trap.dcm"
    file.write_bytes(meta[:140] + length.to_bytes(4, "little") + meta[144:] + trap)
    with pytest.raises(UnreadablePixels, match="more than 100000 elements"):
        encode_explicit(file)


@pytest.mark.shared_data
def test_one_image_in_sixteen_syntaxes_is_the_same_where_nothing_was_lost(shared_data: Path) -> None:
    folder = shared_data / "dicom" / "codec-matrix" / "ct-chest-16-syntaxes"
    truth = dcmread(folder / "CTImage.dcm").pixel_array
    told = ("Lossless_", "LosslessOnly", "LosslessTransfer", "BigEndian", "Deflated", "LittleEndian", "Process14")
    files = [file for file in sorted(folder.glob("*.dcm")) if any(word in file.name for word in told)]
    assert len(files) >= 8
    for file in files:
        data = read_frame(file, place_of(file), 1, as_stored=False).data
        assert np.array_equal(np.frombuffer(data, "<i2").reshape(truth.shape), truth), file.name
