"""What every derived instance says of itself: the words and codes of the label (PS3.3 C.12.1, C.7.6.1, C.12.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicomnode.domain.derivation import LabelLanguage, ModelIdentity
from dicomnode.domain.model_card import ModelCard

LABEL = "SYNTH"
"""The first word of every derived series description; lists are often cut, so it comes first."""
WARNING = "AI-SYNTHESIZED - NOT ACQUIRED"
NODE_MODEL_NAME = "dicomnode"
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
"""CID 7162; CID 7203 (Image Derivation) is extensible and has no code for synthesis as of 2026b."""
SPATIAL_RESAMPLING = Code("113085", "DCM", "Spatial resampling")
SYNTHESIZING_EQUIPMENT = codes.DCM.SynthesizingEquipment
PROCESSING_EQUIPMENT = codes.DCM.ProcessingEquipment
SOURCE_IMAGE = codes.DCM.SourceImageForImageProcessingOperation
SOURCE_SERIES = Code("121323", "DCM", "Source series for image processing operation")
_DESCRIPTION_LENGTH = 1024
_FROM: Mapping[LabelLanguage, tuple[str, str]] = {
    LabelLanguage.ENGLISH: ("from", "AI"),
    LabelLanguage.GERMAN: ("aus", "KI"),
    LabelLanguage.FRENCH: ("depuis", "IA"),
}
"""The words of a series description; ASCII alone, which every Specific Character Set can write (PS3.5 section 6.1)."""
_WARNINGS: Mapping[LabelLanguage, str] = {
    LabelLanguage.ENGLISH: WARNING,
    LabelLanguage.GERMAN: f"{WARNING} / KI-SYNTHETISIERT - NICHT AUFGENOMMEN",
    LabelLanguage.FRENCH: f"{WARNING} / SYNTHESE PAR IA - NON ACQUIS",
}
"""The English words are always there: the output gate looks for them, and so do readers of other languages."""
_SHOWN = (
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "ImageType",
    "SyntheticData",
    "ContentQualification",
    "ImageComments",
    "DerivationDescription",
    "Manufacturer",
    "SoftwareVersions",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The label of one derived series."""

    series_description: str
    image_type: tuple[str, ...]
    image_comments: str
    derivation_description: str
    derivation_codes: tuple[Code, ...]
    synthetic_data: str | None
    """YES, or None where the content is a faithful representation and the attribute is left out."""
    content_qualification: str
    software_versions: tuple[str, ...]
    equipment_purpose: Code
    model: ModelIdentity
    vendor: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What was done, as far as the label tells it."""

    card: ModelCard
    model: ModelIdentity
    source_weightings: tuple[str, ...]
    resampled: bool
    interpolated_slices: int
    revision: int
    node_version: str
    at: datetime
    language: LabelLanguage = LabelLanguage.ENGLISH


def label(work: Work) -> Labels:
    """Write the label of a derived series from the model's card and the work that was done.

    Series Description and Image Comments are in the language that the rule asks for; the description of the derivation
    is in English.
    """
    card, model = work.card, work.model
    sources = "+".join(dict.fromkeys(work.source_weightings)) or "source"
    is_synthetic = card.output.synthetic_data == "YES"
    again = f" rev {work.revision}" if work.revision > 1 else ""
    origin, ai = _FROM[work.language]
    return Labels(
        series_description=f"{LABEL} {card.output.label} {origin} {sources} ({ai}, {_qualification(card)}){again}",
        image_type=_image_type(card),
        image_comments=f"{_WARNINGS[work.language]}. {model.name} {model.version}",
        derivation_description=_describe(work, sources),
        derivation_codes=(ARTIFICIAL_INTELLIGENCE, *((SPATIAL_RESAMPLING,) if work.resampled else ())),
        synthetic_data="YES" if is_synthetic else None,
        content_qualification=_qualification(card),
        software_versions=(f"dicomnode {work.node_version}", f"{model.name} {model.version}"),
        equipment_purpose=SYNTHESIZING_EQUIPMENT if is_synthetic else PROCESSING_EQUIPMENT,
        model=model,
        vendor=card.vendor,
        at=work.at,
    )


def _qualification(card: ModelCard) -> str:
    """Say PRODUCT only for an approved model (PS3.3 C.8.13.2.1.1: any doubt makes it RESEARCH)."""
    return "PRODUCT" if card.approved else "RESEARCH"


def _image_type(card: ModelCard) -> tuple[str, ...]:
    """Build Image Type for a classic instance (PS3.3 C.7.6.1.1.2, C.8.3.1.1.1, C.8.2.1.1.1)."""
    third = "AXIAL" if card.output.modality == "CT" else "OTHER"
    return ("DERIVED", "SECONDARY", third, "SYNTHETIC" if card.output.synthetic_data == "YES" else "PROCESSED")


def _describe(work: Work, sources: str) -> str:
    """Write the derivation in plain words (0008,2111)."""
    sentences = [
        f"{work.card.output.label} image computed by {work.model.name} {work.model.version} from {sources}; "
        "not acquired.",
        "Other inputs were resampled onto the grid of this series." if work.resampled else "",
        f"Slices missing in the inputs ({work.interpolated_slices}) were interpolated for the model."
        if work.interpolated_slices
        else "",
        work.card.intended_use,
    ]
    return " ".join(sentence for sentence in sentences if sentence)[:_DESCRIPTION_LENGTH]


def read_labels(dataset: Dataset) -> dict[str, str]:
    """List the labels of a derived instance as they stand in it, by keyword."""
    written = {keyword: _in_words(dataset[keyword].value) for keyword in _SHOWN if keyword in dataset}
    written["DerivationCodeSequence"] = "; ".join(item.CodeMeaning for item in dataset.DerivationCodeSequence)
    written["SourceImageSequence"] = f"{len(dataset.SourceImageSequence)} instances"
    written["ContributingEquipmentSequence"] = "; ".join(
        f"{item.PurposeOfReferenceCodeSequence[0].CodeMeaning}: {item.get('ManufacturerModelName', item.Manufacturer)}"
        for item in dataset.ContributingEquipmentSequence
    )
    return written


def _in_words(value: object) -> str:
    """Write a value as DICOM does, several separated by backslashes (PS3.5 section 6.4)."""
    return "\\".join(map(str, value)) if isinstance(value, list | MultiValue) else str(value)
