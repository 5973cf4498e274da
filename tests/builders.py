"""Small real DICOM series for tests, built attribute by attribute; never files with real names."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

PATIENT_NAME = "Testperson^Tilda"
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)

T1: dict[str, Any] = {"ScanningSequence": "SE", "RepetitionTime": 500, "EchoTime": 12, "SeriesDescription": "t1 se tra"}
T2: dict[str, Any] = {
    "ScanningSequence": "SE",
    "RepetitionTime": 4500,
    "EchoTime": 100,
    "SeriesDescription": "t2 tse tra",
}
FLAIR: dict[str, Any] = {
    "ScanningSequence": ["SE", "IR"],
    "RepetitionTime": 9000,
    "EchoTime": 110,
    "InversionTime": 2500,
    "SeriesDescription": "flair tra",
}


def uid(*names: str) -> str:
    """Make a UID that is the same for the same names, so that a test can build the same series twice."""
    return str(generate_uid(prefix="1.2.826.0.1.3680043.8.498.", entropy_srcs=["dicomnode tests", *names]))


def a_series(
    *,
    study: str = "study",
    series: str = "series",
    slices: int = 8,
    shape: tuple[int, int] = (32, 24),
    spacing: tuple[float, float, float] = (3.0, 1.5, 1.0),
    orientation: Sequence[float] = AXIAL,
    origin: tuple[float, float, float] = (-10.0, -20.0, -30.0),
    voxels: npt.NDArray[Any] | None = None,
    **attributes: Any,
) -> list[Dataset]:
    """Build one MR series in memory: `spacing` is (between slices, between rows, between columns) in mm.

    Further attributes replace or add elements of every instance by keyword; None removes one.
    """
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    normal = np.cross(row, column)
    array = _gradient(slices, shape) if voxels is None else voxels
    instances = []
    for index in range(len(array)):
        position = np.asarray(origin) + index * spacing[0] * normal
        dataset = _instance(study, series, index, array[index])
        dataset.ImageOrientationPatient = [float(value) for value in orientation]
        dataset.ImagePositionPatient = [round(float(value), 6) for value in position]
        dataset.PixelSpacing = [spacing[1], spacing[2]]
        dataset.SliceThickness = spacing[0]
        for keyword, value in attributes.items():
            if value is None:
                if keyword in dataset:
                    delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        instances.append(dataset)
    return instances


def _gradient(slices: int, shape: tuple[int, int]) -> npt.NDArray[np.uint16]:
    """A block whose value names its place: no two neighbouring voxels are equal."""
    k, i, j = np.indices((slices, *shape))
    return np.asarray(100 * k + 3 * i + j, dtype=np.uint16)


def _instance(study: str, series: str, index: int, pixels: npt.NDArray[Any]) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = MRImageStorage, uid(study, series, str(index))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(study), uid(study, series)
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = uid(study, "frame of reference"), ""
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, "T-0001"
    dataset.PatientBirthDate, dataset.PatientSex = "19700102", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20260301", "101500", "1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "ACC-1", ""
    dataset.StudyDescription, dataset.SeriesDescription = "MR head", series
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "MR", 1, index + 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    dataset.Manufacturer, dataset.ManufacturerModelName = "Maker", "Scanner"
    dataset.BodyPartExamined, dataset.PatientPosition = "BRAIN", "HFS"
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "SK", ""
    dataset.MRAcquisitionType, dataset.RepetitionTime, dataset.EchoTime = "2D", 500, 12
    dataset.EchoTrainLength, dataset.MagneticFieldStrength = 1, 3
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20260301", "102000"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelData = np.ascontiguousarray(pixels, dtype=np.uint16).tobytes()
    return with_file_meta(dataset)


def with_file_meta(dataset: Dataset, transfer_syntax: UID = ExplicitVRLittleEndian) -> Dataset:
    """Give a data set the file meta information it needs to be written (PS3.10 section 7.1)."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    return dataset


def write_series(folder: Path, datasets: Sequence[Dataset]) -> list[Path]:
    """Write a series as Part 10 files named by their place in the list."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, dataset in enumerate(datasets):
        path = folder / f"{index:04d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
