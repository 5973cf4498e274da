"""The data that every server is sent: synthetic instances with headers as scanners write them and noise for pixels.

Made from a seed, so that two runs of the benchmark send the same bytes.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_file_meta_info
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

_SEED = 20261125
_INDEX = "index.json"
_PREAMBLE_AND_GROUP_LENGTH = 128 + 4 + 12
_HEAD_BYTES = 64 * 1024
_FRAMES, _FRAME_SIZE = 1600, 256
_ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"


class DataSetName(StrEnum):
    """The three kinds of data; the words stand in the table of results."""

    MR = "mr"
    """Classic MR images of 132 kB."""
    CT = "ct"
    """Classic CT images of 526 kB."""
    ENHANCED = "enhanced"
    """One enhanced multi-frame MR image of 210 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """What tells one classic series from another: modality, SOP class, matrix and number of files."""

    modality: str
    sop_class_uid: str
    size: int
    files: int


_CLASSIC = {
    DataSetName.MR: _Shape(modality="MR", sop_class_uid="1.2.840.10008.5.1.4.1.1.4", size=256, files=400),
    DataSetName.CT: _Shape(modality="CT", sop_class_uid="1.2.840.10008.5.1.4.1.1.2", size=512, files=160),
}

_EQUIPMENT: dict[str, object] = {
    "Manufacturer": "Synthetic Systems",
    "InstitutionName": "Benchmark Hospital",
    "InstitutionAddress": "1 Loopback Road, Localtown",
    "StationName": "BENCH01",
    "InstitutionalDepartmentName": "Radiology",
    "ManufacturerModelName": "Noise Maker 3T",
    "DeviceSerialNumber": "40001",
    "SoftwareVersions": ["bench", "1.0"],
    "ProtocolName": "noise_ax",
}
_STUDY: dict[str, object] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "StudyDate": "20260102",
    "SeriesDate": "20260102",
    "AcquisitionDate": "20260102",
    "ContentDate": "20260102",
    "StudyTime": "101112.130000",
    "SeriesTime": "101314.150000",
    "AcquisitionTime": "101415.160000",
    "ContentTime": "101416.170000",
    "AccessionNumber": "A0001",
    "ReferringPhysicianName": "Bench^Referrer",
    "StudyDescription": "Head without contrast",
    "SeriesDescription": "noise axial",
    "OperatorsName": "Bench^Operator",
    "PatientName": "Bench^Noise",
    "PatientID": "BENCH-1",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "PatientAge": "056Y",
    "PatientSize": "1.75",
    "PatientWeight": "75",
    "StudyID": "1",
    "SeriesNumber": "4",
    "AcquisitionNumber": "1",
    "PositionReferenceIndicator": "",
    "PatientPosition": "HFS",
    "RequestedProcedureDescription": "Head",
    "PerformedProcedureStepStartDate": "20260102",
    "PerformedProcedureStepStartTime": "101112.130000",
    "PerformedProcedureStepID": "P1",
    "PerformedProcedureStepDescription": "Head without contrast",
    "CommentsOnThePerformedProcedureStep": "",
}
_IMAGE: dict[str, object] = {
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "SmallestImagePixelValue": 0,
    "LargestImagePixelValue": 4095,
    "WindowCenter": "2048",
    "WindowWidth": "4096",
    "RescaleIntercept": "0",
    "RescaleSlope": "1",
    "BodyPartExamined": "HEAD",
    "SliceThickness": "1",
    "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
}
_OF_MODALITY: dict[str, dict[str, object]] = {
    "MR": {
        "ScanningSequence": "SE",
        "SequenceVariant": ["SK", "SP"],
        "ScanOptions": "PFP",
        "MRAcquisitionType": "2D",
        "SequenceName": "tse2d1_9",
        "AngioFlag": "N",
        "RepetitionTime": "4000",
        "EchoTime": "92",
        "NumberOfAverages": "2",
        "ImagingFrequency": "123.25",
        "ImagedNucleus": "1H",
        "EchoNumbers": "1",
        "MagneticFieldStrength": "3",
        "SpacingBetweenSlices": "1.2",
        "NumberOfPhaseEncodingSteps": "232",
        "EchoTrainLength": "9",
        "PercentSampling": "80",
        "PercentPhaseFieldOfView": "100",
        "PixelBandwidth": "220",
        "TransmitCoilName": "Body",
        "AcquisitionMatrix": [0, 256, 205, 0],
        "InPlanePhaseEncodingDirection": "ROW",
        "FlipAngle": "120",
        "VariableFlipAngleFlag": "N",
        "SAR": "0.8",
        "dBdt": "0",
    },
    "CT": {
        "ScanOptions": "HELICAL",
        "KVP": "120",
        "DataCollectionDiameter": "500",
        "ReconstructionDiameter": "240",
        "DistanceSourceToDetector": "1040",
        "DistanceSourceToPatient": "570",
        "GantryDetectorTilt": "0",
        "TableHeight": "150",
        "RotationDirection": "CW",
        "ExposureTime": "1000",
        "XRayTubeCurrent": "200",
        "Exposure": "200",
        "FilterType": "FLAT",
        "GeneratorPower": "24",
        "FocalSpots": "1.2",
        "ConvolutionKernel": "H30",
    },
}
_PRIVATE_ELEMENTS = 48
"""Vendors add about as many elements of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One file that instances are made from: its name, its UIDs, and where its data set begins, in bytes."""

    file: str
    sop_class_uid: str
    sop_instance_uid: str
    data_set_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshInstance:
    """One instance to be sent: its UIDs and its encoded data set (Explicit VR Little Endian)."""

    sop_class_uid: str
    sop_instance_uid: str
    data_set: bytes


class Templates:
    """A folder of data, from which any number of instances with UIDs of their own can be made."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._templates = [Template(**entry) for entry in json.loads((folder / _INDEX).read_text())]
        self._bytes = [(folder / one.file).read_bytes()[one.data_set_at :] for one in self._templates]
        self._by_uid = {one.sop_instance_uid: data for one, data in zip(self._templates, self._bytes, strict=True)}

    @property
    def sop_class_uid(self) -> str:
        """The SOP class that all of them have."""
        return self._templates[0].sop_class_uid

    def instance(self, number: int) -> FreshInstance:
        """Make the instance of a number: always the same bytes for the same number."""
        which = number % len(self._templates)
        template, data_set = self._templates[which], self._bytes[which]
        own = sent_uid(number)
        head = data_set[:_HEAD_BYTES].replace(template.sop_instance_uid.encode(), own.encode(), 1)
        return FreshInstance(
            sop_class_uid=template.sop_class_uid,
            sop_instance_uid=own,
            data_set=b"".join((head, memoryview(data_set)[_HEAD_BYTES:])),
        )

    def files(self, count: int) -> list[Path]:
        """Name so many of the files, as a program sends them that takes files."""
        return [self._folder / one.file for one in self._templates[:count]]

    def data_set(self, sop_instance_uid: str) -> bytes:
        """Give the encoded data set that was sent under a UID."""
        return self._by_uid.get(sop_instance_uid) or self.instance(number_of(sop_instance_uid)).data_set


def sent_uid(number: int) -> str:
    """Give the SOP Instance UID of the instance of a number; as long as those in the files."""
    return f"2.25.1{2:0>27d}{number:0>10d}"


def number_of(uid: str) -> int:
    """Give the number of the instance that has a UID."""
    return int(uid[-10:])


def _file_uid(kind: int, number: int) -> str:
    return f"2.25.1{kind * 100 + 3:0>27d}{number:0>10d}"


def make_data_sets(folder: Path, names: set[DataSetName]) -> None:
    """Write the files of each kind into a folder of its name."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        made = _enhanced() if name is DataSetName.ENHANCED else _classic(_CLASSIC[name])
        index = [asdict(_write(folder / name, number, one)) for number, one in enumerate(made)]
        (folder / name / _INDEX).write_text(json.dumps(index))


def _write(folder: Path, number: int, instance: Dataset) -> Template:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = instance.SOPClassUID
    meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta = meta
    file = folder / f"{number:05d}.dcm"
    dcmwrite(file, instance, enforce_file_format=True)
    return Template(
        file=file.name,
        sop_class_uid=str(instance.SOPClassUID),
        sop_instance_uid=str(instance.SOPInstanceUID),
        data_set_at=_PREAMBLE_AND_GROUP_LENGTH + int(read_file_meta_info(file).FileMetaInformationGroupLength),
    )


def _classic(shape: _Shape) -> Iterator[Dataset]:
    """Make the instances of one series, slice by slice."""
    noise = np.random.default_rng(_SEED + shape.size)
    kind = shape.size
    for number in range(shape.files):
        instance = _with(_EQUIPMENT | _STUDY | _IMAGE | _OF_MODALITY[shape.modality])
        instance.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        instance.Modality, instance.SOPClassUID = shape.modality, shape.sop_class_uid
        _place(instance, kind, number)
        instance.ImagePositionPatient = ["-120", "-120", str(1.2 * number)[:16]]
        instance.SliceLocation = str(1.2 * number)[:16]
        instance.PixelSpacing = [str(240 / shape.size)] * 2
        instance.Rows = instance.Columns = shape.size
        instance.ReferencedStudySequence = Sequence([_reference("1.2.840.10008.3.1.2.3.1", _file_uid(kind, 1))])
        instance.ReferencedImageSequence = Sequence(
            [_reference(shape.sop_class_uid, _file_uid(kind, 10**6 + view)) for view in range(3)]
        )
        _add_private_elements(instance, number)
        instance.PixelData = noise.integers(0, 4096, shape.size * shape.size, np.uint16).tobytes()
        instance["PixelData"].VR = "OW"
        yield instance


def _with(values: dict[str, object]) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def _place(instance: Dataset, kind: int, number: int) -> None:
    """Put an instance into the study and series of its kind."""
    instance.SOPInstanceUID = _file_uid(kind, number)
    instance.StudyInstanceUID, instance.SeriesInstanceUID = _file_uid(kind, 10**9), _file_uid(kind, 10**9 + 1)
    instance.FrameOfReferenceUID = _file_uid(kind, 10**9 + 2)
    instance.InstanceNumber = number + 1


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    return _with({"ReferencedSOPClassUID": sop_class_uid, "ReferencedSOPInstanceUID": sop_instance_uid})


def _add_private_elements(instance: Dataset, number: int) -> None:
    block = instance.private_block(0x0019, "SYNTHETIC BENCH", create=True)
    kinds: tuple[tuple[str, object], ...] = (("DS", f"{number}.5"), ("LO", "ON"), ("US", number), ("FD", 0.5))
    for element in range(_PRIVATE_ELEMENTS):
        vr, value = kinds[element % len(kinds)]
        block.add_new(element, vr, value)


def _enhanced() -> Iterator[Dataset]:
    """Make one enhanced MR image of 1600 frames."""
    instance = _with(_EQUIPMENT | _STUDY | {name: _IMAGE[name] for name in _IMAGE if name not in _PER_FRAME})
    instance.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    instance.Modality, instance.SOPClassUID = "MR", _ENHANCED_MR
    _place(instance, _FRAMES, 0)
    instance.Rows = instance.Columns = _FRAME_SIZE
    instance.NumberOfFrames = _FRAMES
    orientation = _with({"ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"]})
    measures = _with({"PixelSpacing": ["0.9375", "0.9375"], "SliceThickness": "1"})
    shared = _with({"PlaneOrientationSequence": Sequence([orientation]), "PixelMeasuresSequence": Sequence([measures])})
    instance.SharedFunctionalGroupsSequence = Sequence([shared])
    instance.PerFrameFunctionalGroupsSequence = Sequence([_functional_groups(frame) for frame in range(_FRAMES)])
    noise = np.random.default_rng(_SEED)
    instance.PixelData = noise.integers(0, 4096, _FRAMES * _FRAME_SIZE * _FRAME_SIZE, np.uint16).tobytes()
    instance["PixelData"].VR = "OW"
    yield instance


_PER_FRAME = frozenset({"ImageOrientationPatient", "SliceThickness"})


def _functional_groups(frame: int) -> Dataset:
    content = _with({"StackID": "1", "InStackPositionNumber": frame + 1, "DimensionIndexValues": [1, frame + 1]})
    position = _with({"ImagePositionPatient": ["-120", "-120", str(frame)]})
    return _with({"FrameContentSequence": Sequence([content]), "PlanePositionSequence": Sequence([position])})
