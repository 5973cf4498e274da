"""Whether a series was acquired for reading, or was made from one, or only to plan (PS3.3 C.7.6.1.1.2)."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.uid import (
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from dicomnode.domain.facts import Confidence
from dicomnode.imaging.attributes import items, text, texts
from dicomnode.imaging.description import OF_SERIES, described
from dicomnode.imaging.finding import Finding
from dicomnode.imaging.functional_groups import frame_macros
from dicomnode.imaging.weighting import Classified, Weighting


class IsPrimary(StrEnum):
    """Whether a series is a primary acquisition."""

    YES = "YES"
    NO = "NO"
    """A localizer, a map, a reformatted, subtracted or projected series, a capture, or no image at all."""
    UNKNOWN = "UNKNOWN"
    """Called derived, and nothing says how: some archives and scanners call everything so."""


_CAPTURES = (
    SecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)
_MAPS = frozenset(
    {"ADC", "ADC_UNSPECIFIED", "EADC", "FA", "TRACE", "TRACEW", "TENSOR", "TENSOR_B0", "DENSITY MAP", "DIFFUSION MAP"}
    | {"T1 MAP", "T2 MAP", "T2_STAR MAP", "R2 MAP", "R2_STAR MAP", "VELOCITY MAP", "PHASE MAP", "FIELD_MAP", "B0 MAP"}
    | {"CBF", "CBV", "MTT", "TTP", "TMAX", "RCBF", "RCBV", "RELCBF", "RELCBV", "FAT_FRACTION"}
    | {"SUBTRACTION", "SUB", "MODULUS SUBTRACT", "PHASE SUBTRACT", "IMAGE ADDITION", "ADDITION", "DIVISION"}
    | {"SYNTHETIC", "SCREEN SAVE", "SECONDARY CAPTURE"}
)
"""Values of Image Type and Frame Type that say that pixels were calculated, also where they are called original."""
_VIEWS = frozenset(
    {"MPR", "MPR RANGE", "CPR", "CURVED_MPR", "MIP", "MIN IP", "MINIP", "PROJECTION IMAGE", "REFORMATTED", "RESAMPLED"}
    | {"VOLUME_RENDER", "SURFACE_SHADING", "CSA MPR", "CSAPARALLEL", "CSARESAMPLED", "CSA RESAMPLED"}
)
"""Values that say that slices were laid through a volume; GE also calls an oblique acquisition ORIGINAL and MPR."""
_CALCULATED_BY_PHILIPS = re.compile(r"(?!(?:M|R|I|P|PHASE)_)[A-Z0-9]+_(?:FFE|SE|IR|B1)")
"""Value 3 of Philips' classic Image Type: what was reconstructed and with which technique; M_SE is a magnitude."""
_MADE_WORD = re.compile(
    r"(?<![a-z])(?:mpr|mip|min ?ip|sub(?:tra[ck]t[a-z]*|straction|straccion)?|reformat[a-z]*|reconstruc[a-z]*|"
    r"rekonstruktion|recon|curved|vrt?|mpvr|cor ref|sag ref|ax ref)(?![a-z])|再構成|差分|サブトラクション"
)
_COMPRESSED = re.compile(r"compress|lossy|lossless|jpeg|full fidelity", re.IGNORECASE)
_NO_ACQUISITIONS = frozenset(
    {"AU", "DOC", "KO", "PLAN", "PR", "REG", "RTDOSE", "RTPLAN", "RTRECORD", "RTSTRUCT", "RWV", "SEG", "SR"}
)
"""Modalities of what is no acquisition, though some of it has pixels."""


def is_primary(datasets: Sequence[Dataset], classified: Classified) -> Finding:
    """Say whether a series is a primary acquisition, in the light of what `classify` made of it."""
    if not any("Rows" in dataset for dataset in datasets):
        return _finding(IsPrimary.NO, "no images", Confidence.HIGH)
    if any(text(dataset, "Modality") in _NO_ACQUISITIONS for dataset in datasets):
        return _finding(IsPrimary.NO, "its modality is no acquisition", Confidence.HIGH)
    if any(text(dataset, "SOPClassUID") in _CAPTURES for dataset in datasets):
        return _finding(IsPrimary.NO, "Secondary Capture", Confidence.HIGH)
    types = {code.upper() for dataset in datasets for code in _types(dataset)}
    if "LOCALIZER" in types:
        return _finding(IsPrimary.NO, "Image Type LOCALIZER", Confidence.HIGH)
    if classified.weighting in (Weighting.LOCALIZER, Weighting.ADC):
        called = classified.weighting.value
        return _finding(IsPrimary.NO, f"{called}: {classified.evidence}", classified.confidence)
    return _by_type(types) or _said_to_be_derived(datasets, types)


def _by_type(types: set[str]) -> Finding | None:
    """Judge by what Image Type says was made, or that nothing was; None for what is only called derived."""
    is_original = "ORIGINAL" in types and "DERIVED" not in types and "SECONDARY" not in types
    if made := sorted(types & _MAPS):
        return _finding(IsPrimary.NO, f"Image Type {', '.join(made)}", Confidence.HIGH)
    if views := sorted(types & _VIEWS):
        if is_original:
            return _finding(IsPrimary.UNKNOWN, f"Image Type ORIGINAL and {', '.join(views)}", Confidence.LOW)
        return _finding(IsPrimary.NO, f"Image Type {', '.join(views)}", Confidence.HIGH)
    if not is_original:
        return None
    if calculated := sorted(filter(_CALCULATED_BY_PHILIPS.fullmatch, types)):
        return _finding(IsPrimary.UNKNOWN, f"Image Type ORIGINAL and {', '.join(calculated)}", Confidence.LOW)
    return _finding(IsPrimary.YES, "Image Type ORIGINAL", Confidence.HIGH)


def _said_to_be_derived(datasets: Sequence[Dataset], types: set[str]) -> Finding:
    """Judge what is called derived: only what also says from what or how is believed."""
    called = f"Image Type {', '.join(sorted(types & {'DERIVED', 'SECONDARY', 'MIXED'})) or 'without ORIGINAL'}"
    told = {reason for dataset in datasets for reason in _derivations(dataset)}
    if told and all(map(_COMPRESSED.search, told)) and "DERIVED" in types:
        return _finding(IsPrimary.YES, f"{called}, but derived only by compression", Confidence.MEDIUM)
    if told or any(items(dataset, "SourceImageSequence") for dataset in datasets):
        return _finding(IsPrimary.NO, f"{called}, and it says from what", Confidence.MEDIUM)
    if _MADE_WORD.search(described(datasets, OF_SERIES)):
        return _finding(IsPrimary.NO, f"{called}, and the description says reformatted", Confidence.MEDIUM)
    return _finding(IsPrimary.UNKNOWN, f"{called}, and nothing says how it was derived", Confidence.LOW)


def _derivations(dataset: Dataset) -> Iterator[str]:
    """List how an instance says it was derived (PS3.3 C.7.6.1.1.3): codes in words, or else the description."""
    coded = [text(code, "CodeMeaning") for code in items(dataset, "DerivationCodeSequence")]
    description = text(dataset, "DerivationDescription")
    yield from coded or ([description] if description else [])


def _types(dataset: Dataset) -> Sequence[str]:
    """List the values of Image Type, and of the Frame Types of all frames."""
    macros = [
        macro
        for name in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence")
        for macro in frame_macros(dataset, name)
    ]
    return [*texts(dataset, "ImageType"), *(code for macro in macros for code in texts(macro, "FrameType"))]


def _finding(value: IsPrimary, evidence: str, confidence: Confidence) -> Finding:
    return Finding(value=value.value, evidence=evidence, confidence=confidence)
