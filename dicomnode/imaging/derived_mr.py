"""A synthesised volume -> classic MR Image instances, one for each slice of the target series (PS3.3 A.4, C.8.3.1).

Built by whitelist on highdicom's SOPClass: what is not named here does not travel from the source.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from dicomnode.domain.derivation import NODE_MANUFACTURER
from dicomnode.domain.uids import derived_uid
from dicomnode.domain.volume import Volume
from dicomnode.imaging.labels import NODE_MODEL_NAME, SOURCE_IMAGE, SOURCE_SERIES, Labels
from dicomnode.imaging.volume_from_instances import SourceSeries

_PLANE = (
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SliceLocation",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)
_SERIES = ("BodyPartExamined", "PatientPosition", "AnatomicalOrientationType", "RequestAttributesSequence")
_ACQUISITION = ("AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime", "AcquisitionNumber", "AcquisitionUID")
_IMAGE = (
    "ImageLaterality",
    "AnatomicRegionSequence",
    "PrimaryAnatomicStructureSequence",
    "PatientOrientation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "RecognizableVisualFeatures",
)
_PULSE_SEQUENCE = (
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "EchoTrainLength",
    "MagneticFieldStrength",
    "FlipAngle",
    "ImagedNucleus",
    "NumberOfAverages",
    "ImagingFrequency",
    "EchoNumbers",
    "PixelBandwidth",
    "ContrastBolusAgent",
    "ContrastBolusRoute",
    "ContrastBolusVolume",
)
"""True of the output only where its contrast is still the source's (denoising, resolution)."""
_PIXEL_GROUP = 0x7FE0
_HEADROOM = 1.35
_LARGEST_STORED = 32_767
"""15 bits: viewers that read unsigned pixels as signed show no negative tissue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesIdentity:
    """The identifiers of a derived series; every SOP Instance UID follows from `key` and its source slice."""

    key: str
    series_number: int
    same_contrast: bool = False

    @property
    def series_instance_uid(self) -> str:
        """The UID that this work always gives its series."""
        return derived_uid(self.key, "series")

    def sop_instance_uid(self, source_sop_instance_uid: str) -> str:
        """Give the UID that this work always gives the instance made from a source slice."""
        return derived_uid(self.key, "instance", source_sop_instance_uid)


def derive_mr(
    image: Volume, target: SourceSeries, others: Sequence[SourceSeries], labels: Labels, identity: SeriesIdentity
) -> tuple["DerivedMRImage", ...]:
    """Write a volume on the target's grid as MR Image instances, one for each instance the target has.

    Slices that the target lacks are not written. Stored values are the volume's own, rounded to 0..32767; a volume
    outside of that range is scaled by one factor for the whole series.
    """
    pixels = _stored(image.array)
    window = _window(pixels)
    further = tuple(dataset for other in others for dataset in other.datasets)
    return tuple(
        DerivedMRImage(source, pixels[index], further=further, labels=labels, identity=identity, window=window)
        for source, index in zip(target.datasets, target.indices, strict=True)
    )


def _stored(array: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Round to unsigned integers; a signal below zero means nothing in a magnitude image and becomes 0."""
    highest = float(array.max())
    scale = _LARGEST_STORED / highest if highest > _LARGEST_STORED else 1.0
    return np.asarray(np.rint(np.clip(array, 0, None) * scale), dtype=np.uint16)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    center: float
    width: float


def _window(pixels: npt.NDArray[np.uint16]) -> _Window:
    """Show from black to well above the brightest tissue, so that what is brighter still stands out."""
    signal = pixels[pixels > 0]
    brightest = float(np.percentile(signal, 99)) if signal.size else 1.0
    width = max(_HEADROOM * brightest, 1.0)
    return _Window(center=width / 2, width=width)


class DerivedMRImage(hd.SOPClass):
    """One derived slice as a classic MR Image (SOP Class 1.2.840.10008.5.1.4.1.1.4)."""

    def __init__(
        self,
        source: Dataset,
        pixels: npt.NDArray[np.uint16],
        *,
        further: Sequence[Dataset],
        labels: Labels,
        identity: SeriesIdentity,
        window: _Window,
    ) -> None:
        super().__init__(
            study_instance_uid=source.StudyInstanceUID,
            series_instance_uid=identity.series_instance_uid,
            series_number=identity.series_number,
            sop_instance_uid=identity.sop_instance_uid(source.SOPInstanceUID),
            sop_class_uid=MRImageStorage,
            instance_number=max(int(source.get("InstanceNumber") or 0), 1),
            modality="MR",
            manufacturer=NODE_MANUFACTURER,
            manufacturer_model_name=NODE_MODEL_NAME,
            device_serial_number=labels.model.digest,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            content_qualification=labels.content_qualification,
            series_description=labels.series_description,
            content_date=labels.at.date(),
            content_time=labels.at.time(),
            series_date=labels.at.date(),
            series_time=labels.at.time(),
        )
        # As a list: a tuple, which highdicom's signature asks for, makes pydicom warn.
        self.add_new("SoftwareVersions", "LO", list(labels.software_versions))
        self._copy_context(_header(source), same_contrast=identity.same_contrast)
        self._label(labels)
        self._refer((source, *further), source)
        self._name_equipment(source, labels)
        self._fill_pulse_sequence(source, same_contrast=identity.same_contrast)
        self._fill_pixels(pixels, window)

    def _copy_context(self, source: Dataset, *, same_contrast: bool) -> None:
        """Carry over patient, study, frame of reference, plane and acquisition, and fill the type 2 gaps."""
        self.copy_patient_and_study_information(source)
        self._copy_character_set(source)
        for keyword in (*_SERIES, *_PLANE, *_ACQUISITION, *_IMAGE, *(_PULSE_SEQUENCE if same_contrast else ())):
            if keyword in source and source[keyword].value not in (None, "", []):
                self[keyword] = source[keyword]
        for keyword in ("PositionReferenceIndicator", "SliceThickness"):
            if keyword not in self:
                setattr(self, keyword, None)
        if "LossyImageCompression" not in self:
            self.LossyImageCompression = "00"
        # Type 2C: required unless the body part implies that it is unpaired (PS3.3 C.7.3.1).
        if "BodyPartExamined" not in self and "ImageLaterality" not in self:
            self.Laterality = source.get("Laterality") or ""

    def _copy_character_set(self, source: Dataset) -> None:
        """Keep the source's repertoire for the copied texts; the node's own are ASCII, which every one contains."""
        if source.get("SpecificCharacterSet"):
            self.SpecificCharacterSet = source.SpecificCharacterSet

    def _label(self, labels: Labels) -> None:
        """Say in every place a person or a program looks that this was not acquired."""
        if labels.synthetic_data:
            self.SyntheticData = labels.synthetic_data
        self.ImageType = list(labels.image_type)
        self.ImageComments = labels.image_comments
        self.BurnedInAnnotation = "NO"
        self.DerivationDescription = labels.derivation_description
        self.DerivationCodeSequence = [CodedConcept.from_code(code) for code in labels.derivation_codes]
        # One instant for the whole series, so that the same work run again writes the same bytes.
        self.InstanceCreationDate, self.InstanceCreationTime = self.ContentDate, self.ContentTime

    def _refer(self, sources: Sequence[Dataset], target: Dataset) -> None:
        """Name every instance that went in (PS3.3 C.12.4, C.12.2) and the series this one belongs to (C.7.3.1)."""
        self.SourceImageSequence = [_source_image(source, is_target=source is target) for source in sources]
        by_series: dict[str, list[Dataset]] = {}
        for source in sources:
            by_series.setdefault(source.SeriesInstanceUID, []).append(_reference(source))
        self.ReferencedSeriesSequence = []
        for uid, references in by_series.items():
            item = Dataset()
            item.SeriesInstanceUID, item.ReferencedInstanceSequence = uid, references
            self.ReferencedSeriesSequence.append(item)
        related = []
        for uid in by_series:
            item = Dataset()
            item.StudyInstanceUID, item.SeriesInstanceUID = target.StudyInstanceUID, uid
            item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(SOURCE_SERIES)]
            related.append(item)
        self.RelatedSeriesSequence = related

    def _name_equipment(self, source: Dataset, labels: Labels) -> None:
        """Record the scanner, the model with the digest of its weights, and whoever contributed before (C.12.1.1.5)."""
        model = hd.ContributingEquipment(
            manufacturer=labels.vendor,
            purpose_of_reference=labels.equipment_purpose,
            manufacturer_model_name=labels.model.name,
            software_versions=labels.model.version,
            device_serial_number=labels.model.weights_digest,
            contribution_datetime=labels.at.replace(tzinfo=None),
            contribution_description=labels.derivation_description,
        )
        self._add_contributing_equipment([model], source_image=source)
        # highdicom stamps its own item with the present instant.
        self.ContributingEquipmentSequence[-1].ContributionDateTime = model.ContributionDateTime
        earlier = source.get("ContributingEquipmentSequence")
        if earlier:
            self.ContributingEquipmentSequence = [*deepcopy(earlier), *self.ContributingEquipmentSequence]

    def _fill_pulse_sequence(self, source: Dataset, *, same_contrast: bool) -> None:
        """Fill the MR Image module (C.8.3.1); for a new contrast claim no acquisition that never took place."""
        if not same_contrast:
            self.ScanningSequence, self.SequenceVariant = "RM", "NONE"
            self.MRAcquisitionType = source.get("MRAcquisitionType") or None
        for keyword in ("ScanningSequence", "SequenceVariant"):
            if not self.get(keyword):
                setattr(self, keyword, "RM" if keyword == "ScanningSequence" else "NONE")
        for keyword in ("ScanOptions", "MRAcquisitionType", "RepetitionTime", "EchoTime", "EchoTrainLength"):
            if keyword not in self:
                setattr(self, keyword, None)

    def _fill_pixels(self, pixels: npt.NDArray[np.uint16], window: _Window) -> None:
        """Fill the Image Pixel and VOI LUT modules (C.7.6.3, C.11.2)."""
        self.SamplesPerPixel, self.PhotometricInterpretation = 1, "MONOCHROME2"
        self.Rows, self.Columns = pixels.shape
        self.BitsAllocated, self.BitsStored, self.HighBit, self.PixelRepresentation = 16, 16, 15, 0
        self.PixelData = np.ascontiguousarray(pixels, dtype="<u2").tobytes()
        self.add_new("SmallestImagePixelValue", "US", int(pixels.min()))
        self.add_new("LargestImagePixelValue", "US", int(pixels.max()))
        self.WindowCenter, self.WindowWidth = f"{window.center:.6g}", f"{window.width:.6g}"
        self.PresentationLUTShape = "IDENTITY"


def _header(source: Dataset) -> Dataset:
    """Copy a header, because elements that two data sets share would change together."""
    copied = Dataset()
    for element in source:
        if element.tag.group != _PIXEL_GROUP and not element.tag.is_private:
            copied.add(deepcopy(element))
    return copied


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    return item


def _source_image(source: Dataset, *, is_target: bool) -> Dataset:
    """Reference an input slice; only the target's voxels lie where the output's lie."""
    item = _reference(source)
    item.PurposeOfReferenceCodeSequence = [CodedConcept.from_code(SOURCE_IMAGE)]
    item.SpatialLocationsPreserved = "YES" if is_target else "NO"
    return item
