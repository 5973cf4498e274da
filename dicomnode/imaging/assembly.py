"""Putting an instance together from its header in the DICOM JSON Model and its bulk data (PS3.18 section 10.5.1.4)."""

from collections.abc import Mapping

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicomnode.domain.archive import DicomJson
from dicomnode.domain.errors import MalformedInstance
from dicomnode.imaging.attributes import UNREADABLE, quiet_pydicom
from dicomnode.imaging.exchange import encode

_FILE_META = "0002"
_UTF_8 = "ISO_IR 192"


def assemble_file(header: DicomJson, bulk_data: Mapping[str, bytes]) -> bytes:
    """Make a Part 10 file in Explicit VR Little Endian; `bulk_data` holds little endian bytes by their BulkDataURI.

    Raises MalformedInstance when the header is not of the model, or points to bulk data that is not there.
    """
    elements = {tag: element for tag, element in header.items() if not tag.startswith(_FILE_META)}
    try:
        with quiet_pydicom():
            dataset = Dataset.from_json(elements, lambda uri: _even(bulk_data[uri]))
            # JSON is UTF-8 whatever the header says of itself (PS3.18 section F.2.1).
            dataset.SpecificCharacterSet = _UTF_8
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            return encode(dataset)
    except UNREADABLE as error:
        # The cause is left out: pydicom's messages quote the values they stumble over.
        raise MalformedInstance(f"header and bulk data make no instance ({type(error).__name__})") from None


def _even(value: bytes) -> bytes:
    """Pad a value to the even length that every value has (PS3.5 section 7.1.1)."""
    return value + b"\0" * (len(value) % 2)
