"""A small Enhanced MR object, built functional group by functional group (PS3.3 C.7.6.16, C.8.13)."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from tests.builders import AXIAL, with_file_meta

Groups = Mapping[str, Mapping[str, Any]]

T1_3D: Groups = {
    "MRTimingAndRelatedParametersSequence": {"RepetitionTime": 1800.0, "EchoTrainLength": 1, "FlipAngle": 9.0},
    "MRModifierSequence": {"InversionRecovery": "YES", "InversionTimes": 900.0},
    "MREchoSequence": {"EffectiveEchoTime": 2.41},
}


def an_enhanced_mr(shared: Groups = T1_3D, frames: Sequence[Groups] = ({}, {}, {}), **attributes: Any) -> Dataset:
    """Build a multi-frame instance without pixels; groups are macro -> attributes, root attributes come by keyword."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = EnhancedMRImageStorage, "1.2.3.1"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    dataset.Modality, dataset.ImageType = "MR", ["ORIGINAL", "PRIMARY", "M", "NONE"]
    dataset.EchoPulseSequence, dataset.MRAcquisitionType = "GRADIENT", "3D"
    dataset.InstanceNumber, dataset.NumberOfFrames = 1, len(frames)
    dataset.SharedFunctionalGroupsSequence = [_group(shared)]
    dataset.PerFrameFunctionalGroupsSequence = [
        _group({"PlaneOrientationSequence": {"ImageOrientationPatient": list(AXIAL)}, **frame}) for frame in frames
    ]
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return with_file_meta(dataset)


def _group(macros: Groups) -> Dataset:
    group = Dataset()
    for macro, attributes in macros.items():
        item = Dataset()
        for keyword, value in attributes.items():
            setattr(item, keyword, value)
        setattr(group, macro, [item])
    return group
