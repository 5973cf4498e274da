"""A small instance that belongs to no patient, for trying whether a destination takes what this node sends."""

from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from dicomnode.domain.delivery import OutgoingInstance
from dicomnode.domain.derivation import NODE_MANUFACTURER
from dicomnode.imaging.exchange import encode, outgoing_instances

TRIAL_PATIENT = ("TEST^DICOMNODE", "DICOMNODE-TEST")
"""Name and ID that the instance has, for a person to find and delete it."""
_SIDE = 64


def write_trial_instance(folder: Path, now: datetime) -> OutgoingInstance:
    """Write a Secondary Capture Image (PS3.3 A.8.1) under UIDs of its own into a folder."""
    dataset = _identified(now)
    dataset.SeriesDescription = "TEST OF A DESTINATION - NO PATIENT"
    dataset.Modality, dataset.ConversionType = "OT", "WSD"
    dataset.Laterality = dataset.PatientOrientation = ""
    dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    dataset.Manufacturer, dataset.SeriesNumber, dataset.InstanceNumber = NODE_MANUFACTURER, 1, 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = _SIDE
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    rows, columns = np.indices((_SIDE, _SIDE))
    dataset.PixelData = ((rows + columns) * 2).astype(np.uint8).tobytes()
    file = folder / "trial.dcm"
    file.write_bytes(encode(dataset))
    return outgoing_instances([file])[0]


def _identified(now: datetime) -> Dataset:
    """Begin a data set with patient, study, series and instance."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid(prefix=None)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(prefix=None), generate_uid(prefix=None)
    dataset.PatientName, dataset.PatientID = TRIAL_PATIENT
    dataset.PatientBirthDate = dataset.PatientSex = dataset.ReferringPhysicianName = dataset.AccessionNumber = ""
    dataset.StudyDate, dataset.StudyTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    dataset.StudyID, dataset.StudyDescription = "TEST", "TEST OF A DESTINATION - NO PATIENT"
    return dataset
