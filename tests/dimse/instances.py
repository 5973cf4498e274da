"""Files to send: real MR instances, and data sets of any bytes in any transfer syntax (nobody on the way decodes)."""

import random
from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian
from pynetdicom.dsutils import split_dataset

from dicomnode.domain.delivery import OutgoingInstance
from dicomnode.domain.uids import SOPClassUID, SOPInstanceUID, TransferSyntaxUID
from tests.builders import a_series, uid, with_file_meta, write_series

MR_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def opaque_file(
    folder: Path,
    name: str,
    *,
    transfer_syntax: str = EXPLICIT_LITTLE_ENDIAN,
    sop_class: str = MR_IMAGE_STORAGE,
    size: int = 5000,
) -> OutgoingInstance:
    """Write a Part 10 file whose data set is noise that depends on its name."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(uid(name))
    meta.TransferSyntaxUID = UID(transfer_syntax)
    encoded_meta = DicomBytesIO()
    write_file_meta_info(encoded_meta, meta)
    path = folder / f"{name}.dcm"
    path.write_bytes(bytes(128) + b"DICM" + encoded_meta.getvalue() + random.Random(name).randbytes(size))
    return outgoing(path)


def series_files(folder: Path, slices: int = 3) -> tuple[OutgoingInstance, ...]:
    """Write a small MR series."""
    return tuple(outgoing(path) for path in write_series(folder, a_series(slices=slices)))


def series_in(folder: Path, syntax: UID = ExplicitVRLittleEndian, slices: int = 3) -> tuple[OutgoingInstance, ...]:
    """Write a small MR series in a transfer syntax."""
    series = a_series(slices=slices)
    for dataset in series:
        if syntax.is_encapsulated:
            dataset.compress(syntax)
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = dataset.pixel_array.astype(">u2").tobytes()
            with_file_meta(dataset, syntax)
        else:
            with_file_meta(dataset, syntax)
    return tuple(outgoing(path) for path in write_series(folder, series))


def outgoing(path: Path) -> OutgoingInstance:
    """Name a file as the node's sender wants it."""
    meta, _offset = split_dataset(path)
    return OutgoingInstance(
        sop_instance_uid=SOPInstanceUID(str(meta.MediaStorageSOPInstanceUID)),
        sop_class_uid=SOPClassUID(str(meta.MediaStorageSOPClassUID)),
        transfer_syntax_uid=TransferSyntaxUID(str(meta.TransferSyntaxUID)),
        file=str(path),
    )


def data_set_of(item: OutgoingInstance) -> bytes:
    """Read the encoded data set of a file: all that follows the file meta information."""
    _meta, offset = split_dataset(Path(item.file))
    return Path(item.file).read_bytes()[offset:]
