"""What a modality says of a performed procedure step, attribute by attribute (PS3.4 Table F.7.2-1)."""

from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset

from tests.builders import PATIENT_NAME
from tests.dimse.instances import MR_IMAGE_STORAGE

STEP = "1.2.826.1.9"
PATIENT = PATIENT_NAME


def begun(*studies: str, **change: Any) -> Dataset:
    """Write the attributes of an N-CREATE; an attribute of `change` replaces one, None removes it."""
    said = Dataset()
    said.SpecificCharacterSet = "ISO_IR 192"
    said.ScheduledStepAttributesSequence = [_scheduled(study) for study in studies]
    said.PatientName, said.PatientID = PATIENT, "T-0001"
    said.PatientBirthDate, said.PatientSex = "19700102", "F"
    said.PerformedProcedureStepID, said.PerformedStationAETitle = "PPS-1", "MR-1"
    said.PerformedStationName, said.PerformedLocation = "", ""
    said.PerformedProcedureStepStartDate, said.PerformedProcedureStepStartTime = "20260301", "101500"
    said.PerformedProcedureStepStatus, said.PerformedProcedureStepDescription = "IN PROGRESS", ""
    said.PerformedProcedureStepEndDate, said.PerformedProcedureStepEndTime = "", ""
    said.Modality, said.StudyID, said.PerformedSeriesSequence = "MR", "1", []
    for keyword, value in change.items():
        if value is None:
            delattr(said, keyword)
        else:
            setattr(said, keyword, value)
    return said


def an_end(state: str, series: Sequence[Dataset]) -> Dataset:
    """Write the modification list of the N-SET that ends a step."""
    said = Dataset()
    said.PerformedProcedureStepStatus = state
    said.PerformedProcedureStepEndDate, said.PerformedProcedureStepEndTime = "20260301", "104500"
    said.PerformedSeriesSequence = list(series)
    return said


def a_series_item(series: str, images: Sequence[str], others: Sequence[str] = ()) -> Dataset:
    """Write one item of the Performed Series Sequence."""
    item = Dataset()
    item.SeriesInstanceUID, item.SeriesDescription, item.ProtocolName = series, "t1 se tra", "head"
    item.PerformingPhysicianName, item.OperatorsName, item.RetrieveAETitle = "", "", ""
    item.ReferencedImageSequence = [_made(uid) for uid in images]
    item.ReferencedNonImageCompositeSOPInstanceSequence = [_made(uid) for uid in others]
    return item


def _scheduled(study: str) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID, item.AccessionNumber = study, "ACC-1"
    item.ReferencedStudySequence, item.RequestedProcedureID = [], ""
    return item


def _made(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MR_IMAGE_STORAGE, uid
    return item
