"""Part 10 files on their way out and back: what a sender must say of them, and whether a copy is still the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from dicomnode.domain.delivery import OutgoingInstance
from dicomnode.domain.errors import MalformedInstance
from dicomnode.domain.uids import SOPClassUID, SOPInstanceUID, TransferSyntaxUID
from dicomnode.imaging.volume_from_instances import place


def outgoing_instances(files: Sequence[Path]) -> tuple[OutgoingInstance, ...]:
    """Read from each file's meta information what C-STORE has to announce; raises MalformedInstance."""
    return tuple(_outgoing(file) for file in files)


def _outgoing(file: Path) -> OutgoingInstance:
    try:
        meta = pydicom.dcmread(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).file_meta
        return OutgoingInstance(
            sop_instance_uid=SOPInstanceUID(meta.MediaStorageSOPInstanceUID),
            sop_class_uid=SOPClassUID(meta.MediaStorageSOPClassUID),
            transfer_syntax_uid=TransferSyntaxUID(meta.TransferSyntaxUID),
            file=str(file),
        )
    except (InvalidDicomError, AttributeError) as error:
        raise MalformedInstance(f"{file.name} is no Part 10 file (PS3.10 section 7.1)") from error


def encode(dataset: Dataset) -> bytes:
    """Encode an instance as a Part 10 file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBack:
    """What came back of a derived series, held against the series it was made from."""

    instances: int
    same_study: bool
    same_frame_of_reference: bool
    geometry_equal: bool
    synthetic_data: str
    series_description: str

    @property
    def holds(self) -> bool:
        """Whether the copy lies in the same study and exactly on its source."""
        return self.same_study and self.same_frame_of_reference and self.geometry_equal


def compare_with_target(derived: Sequence[bytes], target: Sequence[bytes], missing_slices: int) -> ReadBack:
    """Hold a derived series as a destination gave it back against the target series there; raises GeometryError."""
    returned = [pydicom.dcmread(BytesIO(copy), stop_before_pixels=True) for copy in derived]
    source = [pydicom.dcmread(BytesIO(copy), stop_before_pixels=True) for copy in target]
    geometry, indices = place(returned, missing_slices)
    expected, places = place(source, missing_slices)
    return ReadBack(
        instances=len(returned),
        same_study={item.StudyInstanceUID for item in returned} == {item.StudyInstanceUID for item in source},
        same_frame_of_reference=geometry.frame_of_reference_uid == expected.frame_of_reference_uid,
        geometry_equal=geometry.equals(expected) and sorted(indices) == sorted(places),
        synthetic_data=str(returned[0].get("SyntheticData", "")),
        series_description=str(returned[0].get("SeriesDescription", "")),
    )
