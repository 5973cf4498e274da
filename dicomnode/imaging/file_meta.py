"""What the file meta information of an instance in the spool says of it (PS3.10 section 7.1)."""

from dataclasses import dataclass
from pathlib import Path

from pydicom.filereader import read_file_meta_info

from dicomnode.domain.errors import InvalidValue, MalformedInstance
from dicomnode.domain.uids import AETitle, SOPClassUID, SOPInstanceUID, TransferSyntaxUID
from dicomnode.imaging.attributes import UNREADABLE, quiet_pydicom, text

_NO_FILE_META: tuple[type[Exception], ...] = (InvalidValue, *UNREADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMeta:
    """Which instance a file was announced as, its encoding, and the AE title it came from (None: it does not say)."""

    sop_class_uid: SOPClassUID
    sop_instance_uid: SOPInstanceUID
    transfer_syntax_uid: TransferSyntaxUID
    source_ae: AETitle | None


def read_file_meta(path: Path) -> FileMeta:
    """Read the file meta information alone; raises MalformedInstance where it names no instance."""
    try:
        with quiet_pydicom():
            meta = read_file_meta_info(path)
        source = text(meta, "SourceApplicationEntityTitle")
        return FileMeta(
            sop_class_uid=SOPClassUID(text(meta, "MediaStorageSOPClassUID")),
            sop_instance_uid=SOPInstanceUID(text(meta, "MediaStorageSOPInstanceUID")),
            transfer_syntax_uid=TransferSyntaxUID(text(meta, "TransferSyntaxUID")),
            source_ae=AETitle(source) if source else None,
        )
    except _NO_FILE_META as error:
        # The cause is left out: pydicom's messages quote the bytes they stumble over.
        raise MalformedInstance(f"the file meta information names no instance ({type(error).__name__})") from None
